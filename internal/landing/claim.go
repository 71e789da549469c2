package landing

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// claim is a code that is this landing's to spend, or what has become of it.
type claim struct {
	ours  bool
	entry entry
	until time.Time // when the lease ends, at the latest
	done  func()    // gives the place toward the gateway back; never nil
}

// poll is how often a waiting landing looks whether the first one has ended.
const poll = 50 * time.Millisecond

// claim takes the code on lease, or waits until it is known what became of it.
func (l *Lander) claim(ctx context.Context, v visit) (claim, error) {
	patience, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	owner := rand.Text()
	e := entry{key: l.ledger.key(v.hash)}
	stop := func() {}
	defer func() { stop() }()
	for waits := false; ; {
		c, err := l.claimInTurn(ctx, patience, v, e, owner)
		if err != nil || c.ours {
			return c, err
		}
		if e = c.entry; l.claimable(v, e) {
			continue
		}
		if e.State == open && !waits {
			if stop, err = l.queue.wait(v.hash); err != nil {
				stop = func() {}
				return claim{}, err
			}
			waits = true
		}
		if e, err = l.await(ctx, patience, v, e); err != nil || !l.claimable(v, e) {
			return claim{entry: e, done: func() {}}, err
		}
	}
}

// claimInTurn tries to claim with a place toward the gateway. The place is taken first: a claim that then had to wait
// would let its lease run out. And it is given back at once where the code is not ours: those who wait for another
// landing of one code must not keep the landings of all other codes out.
func (l *Lander) claimInTurn(ctx, patience context.Context, v visit, e entry, owner string) (claim, error) {
	leave, err := l.queue.enter(patience, func() bool { return l.settled(ctx, v) })
	if err != nil {
		return claim{}, err
	}
	if leave == nil {
		e, err := l.ledger.look(ctx, v.hash)
		return claim{entry: e, done: func() {}}, err
	}
	c, err := l.tryClaim(ctx, v, e, owner)
	c.done = leave
	if err != nil || !c.ours {
		leave()
	}
	return c, err
}

// settled reports whether the ledger can answer without the gateway, so that a replay waits for no place.
func (l *Lander) settled(ctx context.Context, v visit) bool {
	e, err := l.ledger.look(ctx, v.hash)
	return err != nil || e.State != "" && !l.claimable(v, e)
}

// tryClaim takes the code on lease where the ledger says e, or anything else that may be taken over, and returns what
// stands there otherwise. Only a claim counts toward the limit, and not that of a grant which was counted before.
func (l *Lander) tryClaim(ctx context.Context, v visit, e entry, owner string) (claim, error) {
	if v.pending != nil {
		return l.take(ctx, v, e, owner)
	}
	giveBack, ok := l.limit.Take(v.Client)
	if !ok {
		e, err := l.ledger.look(ctx, v.hash)
		if err == nil && l.claimable(v, e) {
			err = ErrRateLimited
		}
		return claim{entry: e}, err
	}
	c, err := l.take(ctx, v, e, owner)
	if !c.ours {
		giveBack()
	}
	return c, err
}

// take writes the claim. It waits for Redis's answer though the browser leaves: a claim that nobody knows of would keep
// the same browser waiting until its lease ends.
func (l *Lander) take(ctx context.Context, v visit, e entry, owner string) (claim, error) {
	ctx = context.WithoutCancel(ctx)
	for l.claimable(v, e) {
		until := time.Now().Add(l.lease)
		now, ours, err := l.ledger.claim(ctx, e, owner, v.browsers, l.lease)
		if err != nil {
			return claim{}, err
		}
		if ours {
			return claim{ours: true, entry: now, until: until}, nil
		}
		e = now
	}
	return claim{entry: e}, nil
}

// claimable reports whether a landing may take over what stands in the ledger: nothing; or, with a pending grant, the
// claim that earned it, and a refusal, which is only what the gateway says of a code that is spent.
func (l *Lander) claimable(v visit, e entry) bool {
	if e.State == "" {
		return true
	}
	return v.pending != nil && (e.State == refused || e.State == open && e.Owner == v.pending.Owner)
}

// await looks again and again while e is open, and returns what stands in the ledger once it is not, or may be claimed.
func (l *Lander) await(ctx, patience context.Context, v visit, e entry) (entry, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for e.State == open && !l.claimable(v, e) {
		select {
		case <-patience.Done():
			return entry{}, ErrInProgress
		case <-tick.C:
		}
		var err error
		if e, err = l.ledger.look(ctx, v.hash); err != nil {
			return entry{}, err
		}
	}
	return e, nil
}

// verdictOf returns the verdict to remember; empty for a failure that says nothing about the code.
func verdictOf(err error) verdict {
	for v, kind := range verdicts {
		if errors.Is(err, kind) {
			return v
		}
	}
	return ""
}
