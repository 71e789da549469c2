package landing

import (
	"context"
	"errors"
	"time"

	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

const (
	// retryFor is how long this process keeps what it could not write.
	retryFor = session.PendingFor

	// retryInterval is how often it tries.
	retryInterval = 500 * time.Millisecond
)

// retryInBackground repeats a write until Redis is back. The browser may have left before its response, and then its next
// try brings nothing that says what the code was worth. No exchange begins while Redis is away, so there are never more of
// these than landings were under way when Redis was lost.
func (l *Lander) retryInBackground(ctx context.Context, write func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryFor)
	l.retries.Go(func() {
		defer cancel()
		again := time.NewTicker(retryInterval)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-again.C:
			}
			if err := write(ctx); !errors.Is(err, store.ErrUnavailable) {
				return
			}
		}
	})
}

// Settled returns a channel that is closed when no write is retried any more, once no landing is under way: a process that
// ended before would take with it what a code was worth.
func (l *Lander) Settled() <-chan struct{} {
	settled := make(chan struct{})
	go func() {
		l.retries.Wait()
		close(settled)
	}()
	return settled
}
