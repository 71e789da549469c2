package store

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

const (
	// fewReads: up to this many concurrent reads are sent one by one, because a batch would gain nothing.
	fewReads = 4

	// maxBatch is the maximum number of reads in a batch. It limits how many reads one lost packet delays.
	maxBatch = 64
)

// reads batches GETs that are requested at the same moment. The first read of a batch leads it: it lets the other runnable
// goroutines go first, then sends what they have added in one pipeline. So a batch is as large as the process is busy, and no
// read waits for a timer or for another read's reply, however far away Redis is. On a busy process one system call serves many
// reads.
//
// go-redis's AutoPipeline does the same, but it is experimental, and it carries commands out without their deadlines.
type reads struct {
	store   *Store
	pending atomic.Int32 // reads without a reply

	mu        sync.Mutex
	gathering *batch // the batch that takes reads; nil for none
}

// batch is reads that go in one pipeline.
type batch struct {
	cmds []redis.Cmder
	done chan struct{} // closed when each has its reply or its error
}

// get returns the value of a key, within the store's timeout. It fails with ErrUnavailable.
func (r *reads) get(ctx context.Context, key string) ([]byte, error) {
	cmd := redis.NewStringCmd(ctx, "get", key)
	defer r.pending.Add(-1)
	few := r.pending.Add(1) <= fewReads
	if _, limited := ctx.Deadline(); few || limited { // a batch would outlast the deadline
		if err := r.store.Do(ctx, cmd); err != nil {
			return nil, err
		}
		return Bytes(cmd), nil
	}
	b, leads := r.join(cmd)
	if leads {
		runtime.Gosched() // the other runnable goroutines may add their reads
		r.send(b)
	}
	select {
	case <-b.done: // at the latest after the store's timeout
		return Bytes(cmd), unavailable(cmd.Err()) // an error of another read in the batch does not matter
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// join adds a read to the batch that is gathering, or begins one, which the caller then leads.
func (r *reads) join(cmd redis.Cmder) (b *batch, leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gathering == nil {
		r.gathering = &batch{cmds: []redis.Cmder{cmd}, done: make(chan struct{})}
		return r.gathering, true
	}
	b = r.gathering
	b.cmds = append(b.cmds, cmd)
	if len(b.cmds) == maxBatch {
		r.gathering = nil
	}
	return b, false
}

// send sends a batch with a context of its own, so one canceled caller does not cancel the others. After a full batch, the next
// one is gathering already.
func (r *reads) send(b *batch) {
	r.mu.Lock()
	if r.gathering == b {
		r.gathering = nil
	}
	r.mu.Unlock()
	_ = r.store.Do(context.Background(), b.cmds...)
	close(b.done)
}
