package landing

import (
	"context"
	"errors"
	"time"

	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

const (
	// retryFor is how long this process retries a write.
	retryFor = session.PendingFor

	// retryInterval is the time between two attempts.
	retryInterval = 500 * time.Millisecond
)

// retryInBackground retries a write until Redis is available again. If the browser left before its response, its next
// request carries no pending grant. No exchange starts while Redis is unavailable, so the number of retries is at most the
// number of landings in progress when Redis failed.
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

// RetriesDone returns a channel that is closed when no write is retried any more. Call it when no landing is in progress. A
// process that exits earlier may lose the result of an exchange.
func (l *Lander) RetriesDone() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		l.retries.Wait()
		close(done)
	}()
	return done
}
