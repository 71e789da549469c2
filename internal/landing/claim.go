package landing

import (
	"context"
	"crypto/rand"
	"time"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

const (
	// pollInterval is how often a waiting landing reads the ledger.
	pollInterval = 50 * time.Millisecond

	// pollsPerLookup is how many polls pass before a waiting landing also reads its arrivals: the claim may be that of a
	// replica that was killed.
	pollsPerLookup = 20
)

// claim is a code that this landing may spend, or what stands in its way.
type claim struct {
	ours    bool
	entry   entry                // ours, or what another landing of the code has left
	met     []session.Held       // sessions that other landings of this browser have begun
	at      operator.LogicalTime // when ours
	until   time.Time            // when ours: the lease ends no earlier
	release func()               // gives the gateway slot back; never nil
}

// claim takes the code on lease. Where another landing has claimed it, claim waits until that has come to an end, and
// returns what it has left. The rate limit is checked before anything waits for a slot, and only claims count.
func (l *Lander) claim(ctx context.Context, v visit) (claim, error) {
	limit := l.count(v)
	c, err := l.claimOrWait(ctx, v, limit)
	if c.release == nil {
		c.release = func() {}
	}
	if !c.ours {
		limit.stop()
	}
	return c, err
}

// claimOrWait is one loop: claim what may be claimed, else wait, then read the ledger again. The first claim is tried
// without reading. The gateway slot is taken before the claim, because a claim that waits for a slot uses up its lease, and
// the ledger is read before a landing waits for a slot, because a replay needs none.
func (l *Lander) claimOrWait(ctx context.Context, v visit, limit *count) (claim, error) {
	patience, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	owner := rand.Text()
	w := waiter{queue: l.queue, hash: v.hash}
	defer w.stop()
	e := entry{key: l.ledger.key(v.hash)}
	for read := false; ; read = true {
		switch {
		case l.claimable(v, e) && limit.within():
			release, err := l.slot(patience, v.Client, read)
			if err != nil {
				return claim{}, err
			}
			if release == nil {
				break // none is free: read the ledger before waiting for one
			}
			c, err := l.take(ctx, v, e, owner)
			if err == nil && c.ours {
				c.release = release
				return c, nil
			}
			release()
			if err != nil {
				return claim{}, err
			}
			e = c.entry
			continue
		case l.claimable(v, e) && read:
			return claim{}, ErrRateLimited
		case l.claimable(v, e):
		case e.State != open:
			return claim{entry: e}, nil
		default:
			limit.stop() // another landing has claimed the code
			if err := w.pause(patience); err != nil {
				return claim{}, err
			}
			if met := l.met(ctx, v, w.polls); holds(met, v.hash) {
				return claim{entry: e, met: met}, nil
			}
		}
		var err error
		if e, err = l.ledger.look(ctx, v.hash); err != nil {
			return claim{}, err
		}
	}
}

// claimable reports whether a landing may take over what stands in the ledger: nothing; or, with a pending grant, the
// claim that earned it, or a refusal, which is only what the gateway says of a spent code.
func (l *Lander) claimable(v visit, e entry) bool {
	return e.State == "" || v.pending != nil && (e.State == refused || e.State == open && e.Owner == v.pending.Owner)
}
