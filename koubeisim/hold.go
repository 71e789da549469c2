package koubeisim

import (
	"context"
	"time"
)

// Release lets all held calls continue and returns their number. Calls held later wait for the next Release.
func (k *Koubei) Release() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.held)
	for gate := range k.held {
		close(gate)
	}
	clear(k.held)
	return n
}

// AwaitHeld returns as soon as n calls are held at the same time. It fails when ctx ends.
func (k *Koubei) AwaitHeld(ctx context.Context, n int) error {
	for {
		k.mu.Lock()
		held, arrivals := len(k.held), k.arrivals
		k.mu.Unlock()
		if held >= n {
			return nil
		}
		select {
		case <-arrivals:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hold waits for Release. It fails when the client leaves.
func (k *Koubei) hold(ctx context.Context) error {
	gate := make(chan struct{})
	k.mu.Lock()
	k.held[gate] = true
	close(k.arrivals)
	k.arrivals = make(chan struct{})
	k.mu.Unlock()

	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.held, gate)
		return ctx.Err()
	}
}

// slow waits for Options.SlowFor. It fails when the client leaves.
func (k *Koubei) slow(ctx context.Context) error { return wait(ctx, k.o.SlowFor) }

// wait waits for d, or without end when d is zero. It fails when the client leaves.
func wait(ctx context.Context, d time.Duration) error {
	var done <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		done = timer.C
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
