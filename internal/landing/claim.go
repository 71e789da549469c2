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

// claim takes the code on lease, or waits until it is known what became of it. The place toward the gateway is taken
// first: a claim that then had to wait would let its lease run out.
func (l *Lander) claim(ctx context.Context, v visit) (claim, error) {
	patience, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	leave, err := l.queue.enter(patience, func() bool { return l.settled(ctx, v) })
	if err != nil {
		return claim{}, err
	}
	c, err := l.claimOrWait(ctx, patience, v)
	c.done = leave
	if err != nil || !c.ours {
		leave()
		c.done = func() {}
	}
	return c, err
}

// settled reports whether the ledger can answer without the gateway, so that a replay waits for no place.
func (l *Lander) settled(ctx context.Context, v visit) bool {
	e, err := l.ledger.look(ctx, v.hash)
	return err != nil || e.State != "" && !l.claimable(v, e)
}

func (l *Lander) claimOrWait(ctx, patience context.Context, v visit) (claim, error) {
	owner := rand.Text()
	e := entry{key: l.ledger.key(v.hash)}
	stop := func() {}
	defer func() { stop() }()
	for waits := false; ; waits = true {
		c, err := l.tryClaim(ctx, v, e, owner)
		if err != nil || c.ours || c.entry.State != open {
			return c, err
		}
		if !waits {
			if stop, err = l.queue.wait(v.hash); err != nil {
				stop = func() {}
				return claim{}, err
			}
		}
		if e, err = l.await(ctx, patience, v); err != nil {
			return claim{}, err
		}
	}
}

// tryClaim takes the code on lease where the ledger says e, or anything else that may be taken over, and returns what
// stands there otherwise.
func (l *Lander) tryClaim(ctx context.Context, v visit, e entry, owner string) (claim, error) {
	if v.pending == nil && l.claimable(v, e) && !l.limit.Allows(v.Client) {
		e, err := l.ledger.look(ctx, v.hash)
		if err == nil && e.State == "" {
			err = ErrRateLimited
		}
		return claim{entry: e}, err
	}
	for l.claimable(v, e) {
		until := time.Now().Add(l.lease)
		now, ours, err := l.ledger.claim(ctx, e, owner, v.browsers, l.lease)
		if err != nil {
			return claim{}, err
		}
		if ours {
			if v.pending == nil {
				l.limit.Count(v.Client)
			}
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

// await looks again and again, and returns what stands in the ledger once it is no longer open, or may be claimed.
func (l *Lander) await(ctx, patience context.Context, v visit) (entry, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-patience.Done():
			return entry{}, ErrInProgress
		case <-tick.C:
		}
		e, err := l.ledger.look(ctx, v.hash)
		if err != nil || e.State != open || l.claimable(v, e) {
			return e, err
		}
	}
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
