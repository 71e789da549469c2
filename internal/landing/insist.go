package landing

import (
	"context"
	"errors"
	"time"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

const (
	// insistFor is how long this process remembers what the ledger could not be told.
	insistFor = pendingFor

	// insistEvery is how often it tries.
	insistEvery = 500 * time.Millisecond
)

// insist goes on telling the ledger what it could not be told, in the background, until it is told or belongs to another
// claim. The browser may have left before its answer, and then its next try brings nothing that says what the code was
// worth. No exchange begins while Redis is away, so there are never more of these than were under way when it was lost.
func (l *Lander) insist(ctx context.Context, tell func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), insistFor)
	l.telling.Go(func() {
		defer cancel()
		again := time.NewTicker(insistEvery)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-again.C:
			}
			if err := tell(ctx); !errors.Is(err, store.ErrUnavailable) {
				return
			}
		}
	})
}

// Told returns a channel that is closed when the ledger has been told everything, once no landing is under way any more: a
// process that ended before would take with it what a code was worth.
func (l *Lander) Told() <-chan struct{} {
	told := make(chan struct{})
	go func() {
		l.telling.Wait()
		close(told)
	}()
	return told
}

// shelve puts a grant by that did not become a session, for when the same browser comes again. A write whose answer was
// lost may have been done, though: then the code has landed.
func (l *Lander) shelve(ctx context.Context, v visit, e entry, grant operator.Grant) error {
	outcome, err := l.heldEntry(v, grant)
	if err != nil {
		return err
	}
	for _, h := range v.live {
		s, err := l.sessions.Find(ctx, h.Token)
		if errors.Is(err, session.ErrNone) {
			continue
		}
		if err != nil {
			return err
		}
		if _, ok := s.OfCode(v.hash); ok {
			outcome = l.landedEntry(v, session.Held{Token: h.Token, Session: s}, grant.PartnerID)
		}
	}
	_, _, err = l.ledger.settle(ctx, e, outcome)
	return err
}
