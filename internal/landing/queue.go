package landing

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"
)

// How many landings wait, for the gateway or for another landing of the same code.
const (
	maxWaiting        = 1024
	maxWaitingPerCode = 64
)

// queue is the places toward the gateway, given in the order of asking, and the count of those who wait.
type queue struct {
	places *semaphore.Weighted

	mu      sync.Mutex
	waiting int
	perCode map[string]int
}

func newQueue(places int) *queue {
	return &queue{places: semaphore.NewWeighted(int64(places)), perCode: map[string]int{}}
}

// enter takes a place, waiting for one until ctx ends, and returns how to give it back. Where there is none at once and
// needless reports that none is needed, it takes none and returns nil. It fails with ErrOverloaded.
func (q *queue) enter(ctx context.Context, needless func() bool) (leave func(), err error) {
	if q.places.TryAcquire(1) {
		return sync.OnceFunc(func() { q.places.Release(1) }), nil
	}
	if needless() {
		return nil, nil
	}
	stop, err := q.wait("")
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := q.places.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("%w for the gateway", ErrOverloaded)
	}
	return sync.OnceFunc(func() { q.places.Release(1) }), nil
}

// wait counts one more that waits, for a code or, with the empty hash, for the gateway. It fails with ErrOverloaded.
func (q *queue) wait(hash string) (stop func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting >= maxWaiting {
		return nil, ErrOverloaded
	}
	if hash != "" {
		if q.perCode[hash] >= maxWaitingPerCode {
			return nil, fmt.Errorf("%w for one code", ErrOverloaded)
		}
		q.perCode[hash]++
	}
	q.waiting++
	return func() { q.stopWaiting(hash) }, nil
}

func (q *queue) stopWaiting(hash string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting--
	if hash == "" {
		return
	}
	if q.perCode[hash]--; q.perCode[hash] == 0 {
		delete(q.perCode, hash)
	}
}
