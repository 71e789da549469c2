package landing

import (
	"context"
	"crypto/rand"
	"time"

	"koubei-landing/internal/operator"
)

// claimOrWait is one loop: claim the code if possible, otherwise wait and read the ledger again. It makes the first attempt
// without reading. It takes the gateway slot before the claim, because waiting for a slot would use up the lease. It reads
// the ledger before it waits for a slot, because a replay needs no slot.
func (l *Lander) claimOrWait(ctx context.Context, v visit, limit *count) (claimed, error) {
	patience, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	owner := rand.Text()
	w := waiter{queue: l.queue, hash: v.hash}
	defer w.stop()
	e := record{key: l.ledger.key(v.hash)}
	for read := false; ; read = true {
		switch {
		case !v.mayClaim(e) && e.State == refused:
			// The replica that landed the code may have been killed, and another browser's landing may then have been refused.
			return claimed{record: e, concurrent: l.concurrent(ctx, v)}, nil
		case !v.mayClaim(e) && e.State != open:
			return claimed{record: e}, nil
		case !v.mayClaim(e):
			limit.stop() // another landing has claimed the code
			if err := w.pause(patience); err != nil {
				return claimed{}, err
			}
			if w.polls%pollsPerLookup > 0 {
				break
			}
			if met := l.concurrent(ctx, v); holds(met, v.hash) {
				return claimed{record: e, concurrent: met}, nil
			}
		case limit.within():
			release, free := l.queue.tryEnter(v.Client)
			if !free && !read {
				break // read the ledger before waiting for a slot
			}
			if !free {
				var err error
				if release, err = l.queue.enter(patience, v.Client); err != nil {
					return claimed{}, err
				}
			}
			c, err := l.take(ctx, v, e, owner, release)
			if err != nil || c.owned {
				return c, err
			}
			e = c.record
			continue
		case read:
			return claimed{}, ErrRateLimited
		}
		var err error
		if e, err = l.ledger.look(ctx, v.hash); err != nil {
			return claimed{}, err
		}
	}
}

// take writes the claim if the ledger still contains e. In the same step it reads what other landings of this browser have
// stored. It waits for Redis's reply even if the browser leaves: a claim with an unknown result would block the browser's
// next request until the lease ends. It gives the gateway slot back unless this landing owns the claim.
func (l *Lander) take(ctx context.Context, v visit, e record, owner string, release func()) (c claimed, err error) {
	defer func() {
		if !c.owned {
			release()
		}
	}()
	ctx = context.WithoutCancel(ctx)
	until := time.Now().Add(l.lease)
	if l.queue.outlasts(until) {
		return claimed{}, ErrDraining
	}
	tick := l.sessions.Tick(ctx)
	lookup := l.sessions.LookUpArrivals(ctx, v.browsers)
	now, written, err := l.ledger.claim(ctx, e, record{Owner: owner, Browsers: v.browsers}, l.lease, tick, lookup.Commands())
	if err != nil || !written {
		return claimed{record: now}, err
	}
	at, err := tick.Time()
	if err != nil {
		return claimed{}, err
	}
	met, err := lookup.Sessions(ctx)
	if err != nil {
		l.log.WarnContext(ctx, "arrival lookup failed", "error", err)
	}
	return claimed{owned: true, record: now, concurrent: met, at: operator.LogicalTime(at), until: until, release: release}, nil
}
