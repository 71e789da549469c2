package landing

import (
	"context"
	"crypto/rand"
	"time"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// claim is a code that this landing may exchange, or the reason why it may not.
type claim struct {
	ours    bool
	entry   entry                // our own claim, or the outcome of another landing of the code
	met     []session.Held       // sessions that other landings of this browser have started
	at      operator.LogicalTime // set if the claim is ours
	until   time.Time            // set if the claim is ours: the lease ends no earlier
	release func()               // gives the gateway slot back; never nil
}

// claim takes a lease on the code. If another landing has claimed the code, claim waits for the outcome and returns it. It
// checks the rate limit before it waits for a slot. Only claims count towards the limit.
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

// claimOrWait is one loop: claim the code if possible, otherwise wait and read the ledger again. It makes the first attempt
// without reading. It takes the gateway slot before the claim, because waiting for a slot would use up the lease. It reads
// the ledger before it waits for a slot, because a replay needs no slot.
func (l *Lander) claimOrWait(ctx context.Context, v visit, limit *count) (claim, error) {
	patience, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	owner := rand.Text()
	w := waiter{queue: l.queue, hash: v.hash}
	defer w.stop()
	e := entry{key: l.ledger.key(v.hash)}
	for read := false; ; read = true {
		switch {
		case !l.claimable(v, e) && e.State == refused:
			// The replica that landed the code may have been killed, and then a stranger's landing refused.
			return claim{entry: e, met: l.met(ctx, v)}, nil
		case !l.claimable(v, e) && e.State != open:
			return claim{entry: e}, nil
		case !l.claimable(v, e):
			limit.stop() // another landing has claimed the code
			if err := w.pause(patience); err != nil {
				return claim{}, err
			}
			if w.polls%pollsPerLookup > 0 {
				break
			}
			if met := l.met(ctx, v); holds(met, v.hash) {
				return claim{entry: e, met: met}, nil
			}
		case limit.within():
			release, free := l.queue.tryEnter(v.Client)
			if !free && !read {
				break // read the ledger before waiting for a slot
			}
			if !free {
				var err error
				if release, err = l.queue.enter(patience, v.Client); err != nil {
					return claim{}, err
				}
			}
			c, err := l.take(ctx, v, e, owner, release)
			if err != nil || c.ours {
				return c, err
			}
			e = c.entry
			continue
		case read:
			return claim{}, ErrRateLimited
		}
		var err error
		if e, err = l.ledger.look(ctx, v.hash); err != nil {
			return claim{}, err
		}
	}
}

// claimable reports whether a landing may claim the code although the ledger contains e. It may do so if e is empty. With a
// pending grant it may also replace the claim that earned the grant, or a refusal, because the gateway refuses a code that
// was exchanged before.
func (l *Lander) claimable(v visit, e entry) bool {
	return e.State == "" || v.pending != nil && (e.State == refused || e.State == open && e.Owner == v.pending.Owner)
}
