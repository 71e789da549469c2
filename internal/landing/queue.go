package landing

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Limits on landings that wait for the gateway, or for another landing of the same code.
const (
	maxWaiting        = 1024
	maxWaitingPerCode = 64
)

// queue holds the gateway slots and counts the waiting landings. It gives free slots to the waiting clients in turn. No
// client gets more than three quarters of the slots, so one address cannot block the others.
type queue struct {
	perClient int
	draining  chan struct{} // closed by drain
	drain     func()        // makes waiting landings fail

	mu      sync.Mutex
	free    int
	taken   map[string]int // slots by client
	clients []string       // with landings that wait for a slot, the next one first
	waiters map[string][]chan struct{}
	waiting int
	perCode map[string]int
	until   time.Time // leases must end before this time; zero unless shutting down
}

func newQueue(slots int) *queue {
	draining := make(chan struct{})
	return &queue{
		perClient: slots - slots/4, draining: draining, drain: sync.OnceFunc(func() { close(draining) }),
		free: slots, taken: map[string]int{}, waiters: map[string][]chan struct{}{}, perCode: map[string]int{},
	}
}

// endBy lets landings claim a code only if their lease ends before the given time.
func (q *queue) endBy(until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.until = until
}

// outlasts reports whether a lease that ends at leaseEnds would exceed the shutdown deadline.
func (q *queue) outlasts(leaseEnds time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.until.IsZero() && leaseEnds.After(q.until)
}

// tryEnter takes a slot if one is free and no landing waits for it. leave returns the slot.
func (q *queue) tryEnter(client string) (leave func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free == 0 || len(q.clients) > 0 || q.taken[client] >= q.perClient {
		return nil, false
	}
	q.free--
	q.taken[client]++
	return q.leave(client), true
}

// enter takes a slot, and waits for one until ctx ends. It fails with ErrOverloaded and ErrDraining.
func (q *queue) enter(ctx context.Context, client string) (leave func(), err error) {
	if leave, ok := q.tryEnter(client); ok {
		return leave, nil
	}
	stop, err := q.wait("")
	if err != nil {
		return nil, err
	}
	defer stop()
	turn := q.enqueue(client)
	select {
	case <-turn:
		return q.leave(client), nil
	case <-q.draining:
		err = ErrDraining
	case <-ctx.Done():
		err = fmt.Errorf("%w for the gateway", ErrOverloaded)
	}
	if q.dequeue(client, turn) {
		return nil, err
	}
	return q.leave(client), nil // its turn came at the same time
}

// enqueue adds a client's landing to the queue. The channel is closed when the landing gets a slot.
func (q *queue) enqueue(client string) chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	turn := make(chan struct{})
	if len(q.waiters[client]) == 0 {
		q.clients = append(q.clients, client)
	}
	q.waiters[client] = append(q.waiters[client], turn)
	q.handOut()
	return turn
}

// dequeue removes a landing from the queue. It returns false if the landing has got a slot.
func (q *queue) dequeue(client string, turn chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiters[client], turn)
	if at < 0 {
		return false
	}
	q.waiters[client] = slices.Delete(q.waiters[client], at, at+1)
	if len(q.waiters[client]) == 0 {
		q.removeClient(client)
	}
	return true
}

func (q *queue) removeClient(client string) {
	delete(q.waiters, client)
	q.clients = slices.DeleteFunc(q.clients, func(c string) bool { return c == client })
}

// handOut gives free slots to the waiting clients in turn. The caller holds the lock.
func (q *queue) handOut() {
	for q.free > 0 {
		at := slices.IndexFunc(q.clients, func(c string) bool { return q.taken[c] < q.perClient })
		if at < 0 {
			return
		}
		client := q.clients[at]
		turn := q.waiters[client][0]
		q.waiters[client] = q.waiters[client][1:]
		q.clients = slices.Delete(q.clients, at, at+1)
		if len(q.waiters[client]) > 0 {
			q.clients = append(q.clients, client) // back to the end of the queue
		} else {
			delete(q.waiters, client)
		}
		q.free--
		q.taken[client]++
		close(turn)
	}
}

// leave returns a function that returns a client's slot, once.
func (q *queue) leave(client string) func() {
	return sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.free++
		if q.taken[client]--; q.taken[client] == 0 {
			delete(q.taken, client)
		}
		q.handOut()
	})
}

// wait counts a landing that waits for a code or, if hash is empty, for the gateway. It fails with ErrOverloaded.
func (q *queue) wait(hash string) (stop func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting >= maxWaiting {
		return nil, ErrOverloaded
	}
	if hash != "" && q.perCode[hash] >= maxWaitingPerCode {
		return nil, fmt.Errorf("%w for one code", ErrOverloaded)
	}
	q.waiting++
	q.perCode[hash]++
	return func() { q.stopWaiting(hash) }, nil
}

func (q *queue) stopWaiting(hash string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting--
	if q.perCode[hash]--; q.perCode[hash] == 0 {
		delete(q.perCode, hash)
	}
}
