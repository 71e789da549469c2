package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxReads is how many questions are under way at once before others are put together. One that a lost packet holds up
// then holds up no more than a part of the others.
const maxReads = 2

// maxWait is how long a question waits for others. It is longer than an answer takes on loopback, and short beside a round
// trip that takes longer: a question that waited for another's answer would take two of them.
const maxWait = time.Millisecond

// reads puts questions together that are asked at once. Up to maxReads go to Redis alone and at once; those that come
// meanwhile wait until one of these is answered, at most maxWait, and then go together, in one pipeline. So nothing waits
// while there is little to do, and where there is much, one system call serves many: a check costs a quarter less.
//
// go-redis's AutoPipeline does the same, but it is experimental, and it carries commands out without their deadlines.
type reads struct {
	store *Store

	mu       sync.Mutex
	underWay int
	waiting  *together // those that wait; nil for none
}

// together are questions that go in one pipeline.
type together struct {
	cmds     []redis.Cmder
	timer    *time.Timer   // sends them after maxWait
	answered chan struct{} // closed when they are
	err      error         // of the pipeline, set before
}

// get asks for the value of a key, within the store's time-out. It fails with ErrUnavailable.
func (r *reads) get(ctx context.Context, key string) ([]byte, error) {
	cmd := redis.NewStringCmd(ctx, "get", key)
	t := r.join(cmd)
	if t == nil {
		defer r.next()
		if err := r.store.Do(ctx, cmd); err != nil {
			return nil, err
		}
		return Bytes(cmd)
	}
	select {
	case <-t.answered: // at the latest maxWait after the store's timeout
		return t.answer(cmd)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// join returns with whom a question has to go, nil where it may go alone: then next is to be called after it.
func (r *reads) join(cmd redis.Cmder) *together {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.underWay < maxReads {
		r.underWay++
		return nil
	}
	if r.waiting == nil {
		t := &together{answered: make(chan struct{})}
		t.timer = time.AfterFunc(maxWait, func() { r.waited(t) })
		r.waiting = t
	}
	r.waiting.cmds = append(r.waiting.cmds, cmd)
	return r.waiting
}

// next sends those who wait in the place of what was answered.
func (r *reads) next() {
	r.mu.Lock()
	t := r.waiting
	r.waiting = nil
	if t == nil {
		r.underWay--
	}
	r.mu.Unlock()
	if t != nil {
		t.timer.Stop()
		go r.send(t)
	}
}

// waited sends those who have waited for maxWait, if nobody has sent them yet.
func (r *reads) waited(t *together) {
	r.mu.Lock()
	mine := r.waiting == t
	if mine {
		r.waiting = nil
		r.underWay++
	}
	r.mu.Unlock()
	if mine {
		r.send(t)
	}
}

// send asks on nobody's behalf alone: that one of those who wait leaves doesn't concern the others.
func (r *reads) send(t *together) {
	defer r.next()
	t.err = r.store.Do(context.Background(), t.cmds...)
	close(t.answered)
}

// answer returns what Redis has said to one question. That another question of the same pipeline was answered with an
// error doesn't concern it; only where it was not answered at all, the pipeline's error is its own.
func (t *together) answer(cmd *redis.StringCmd) ([]byte, error) {
	if err := unavailable(cmd.Err()); err != nil {
		return nil, err
	}
	if cmd.Err() == nil && cmd.Val() == "" && t.err != nil {
		return nil, t.err
	}
	return Bytes(cmd)
}
