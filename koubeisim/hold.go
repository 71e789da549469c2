package koubeisim

import (
	"context"
	"time"
)

// Release lets every held call go on, and says how many there were. Calls held afterwards wait for the next Release.
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

// AwaitHeld returns as soon as n calls are being held at once: a test then knows where they are.
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

// hold waits for Release, or for the client to leave.
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

// linger waits for d, or for the client to leave; without d only for that.
func linger(ctx context.Context, d time.Duration) error {
	if d == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
