package landing

import (
	"context"
	"slices"
	"time"

	"koubei-landing/internal/session"
)

const (
	// pollInterval is how often a waiting landing reads the ledger.
	pollInterval = 50 * time.Millisecond

	// pollsPerLookup is the number of polls after which a waiting landing also reads its arrivals, because the replica that
	// holds the claim may have been killed.
	pollsPerLookup = 20
)

// waiter is a landing that waits for the outcome of another landing of the same code.
type waiter struct {
	queue *queue
	hash  string
	leave func()
	polls int
}

// pause waits for one poll interval. It fails with ErrOverloaded, ErrDraining and, when ctx ends, with ErrInProgress.
func (w *waiter) pause(ctx context.Context) error {
	if w.leave == nil {
		leave, err := w.queue.wait(w.hash)
		if err != nil {
			return err
		}
		w.leave = leave
	}
	w.polls++
	tick := time.NewTimer(pollInterval)
	defer tick.Stop()
	select {
	case <-tick.C:
		return nil
	case <-w.queue.draining:
		return ErrDraining
	case <-ctx.Done():
		return ErrInProgress
	}
}

func (w *waiter) stop() {
	if w.leave != nil {
		w.leave()
	}
}

// concurrent returns the sessions that other landings of this browser have started. It ignores errors: if a read fails, it
// returns no sessions.
func (l *Lander) concurrent(ctx context.Context, v visit) []session.Held {
	found, _ := l.sessions.FindArrivals(ctx, v.browsers)
	return found
}

// holds reports whether one of the sessions was started with the code.
func holds(sessions []session.Held, codeHash string) bool {
	return slices.ContainsFunc(sessions, func(h session.Held) bool {
		_, ok := h.Session.OfCode(codeHash)
		return ok
	})
}
