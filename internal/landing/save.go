package landing

import (
	"context"
	"errors"
	"slices"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// consent is a person's "yes": the sessions that may be replaced. It is nil before the person was asked.
type consent []string

// saved is a session that was written for a grant.
type saved struct {
	session.Held
	fresh bool           // begun by this landing
	met   []session.Held // begun by other landings of this browser, which has not shown them
}

// keepOrPend is save for a grant that was just exchanged. What Redis cannot keep, the browser keeps as a pending grant, and
// this process until Redis is back.
func (l *Lander) keepOrPend(ctx context.Context, v visit, e entry, grant operator.Grant) (Outcome, error) {
	out, err := l.save(ctx, v, e, grant, nil)
	if errors.Is(err, store.ErrUnavailable) {
		l.retryInBackground(ctx, func(ctx context.Context) error { return l.shelve(ctx, v, e, grant) })
		return Outcome{Pending: l.sealPending(v, e, grant)}, err
	}
	return out, err
}

// save makes a session of a grant and settles the code, or asks the person first. A live session of the grant's own
// operator gets another entry. In all other cases a new session begins, and those of other operators end.
func (l *Lander) save(ctx context.Context, v visit, e entry, grant operator.Grant, yes consent) (Outcome, error) {
	if yes == nil && l.mustAsk(v, grant.Operator.ID) {
		return l.ask(ctx, v, e, grant)
	}
	s, err := l.write(ctx, v, grant)
	if err == nil && len(s.met) > 0 {
		// Another tab landed meanwhile. Go on as if its cookie had come along.
		v.live = slices.Concat(v.live, s.met)
		_, own := v.own(grant.Operator.ID)
		switch {
		case yes == nil && l.mustAsk(v, grant.Operator.ID):
			if err := l.undo(ctx, s); err != nil {
				return Outcome{}, err
			}
			return l.ask(ctx, v, e, grant)
		case yes != nil && !yes.covers(v.others(grant.Operator.ID)):
			return Outcome{}, errors.Join(ErrSwitchStale, l.undo(ctx, s))
		case own:
			// The partner is added before the own session ends: a replica that is killed in between loses no code.
			begun := s
			if s, err = l.write(ctx, v, grant); err == nil { // sessions that it meets now are left alone
				err = l.undo(ctx, begun)
			}
		}
	}
	if errors.Is(err, session.ErrRevoked) || errors.Is(err, session.ErrNone) {
		return Outcome{}, l.void(ctx, e, err)
	}
	if err != nil {
		return Outcome{}, err
	}
	replaced, err := l.endOthers(ctx, v, grant.Operator.ID, yes)
	if err != nil {
		return Outcome{}, errors.Join(err, l.undo(ctx, s))
	}
	out, err := l.settle(ctx, v, e, grant, s)
	out.Replaced = replaced
	return out, err
}

// write adds to the operator's own session or begins a new one.
func (l *Lander) write(ctx context.Context, v visit, grant operator.Grant) (saved, error) {
	if own, ok := v.own(grant.Operator.ID); ok {
		s, err := l.sessions.AddPartner(ctx, own.Token, grant, v.Code)
		if !errors.Is(err, session.ErrNone) {
			l.withdrawIfUnknown(ctx, own.Session.Hash(), err)
			return saved{Held: session.Held{Token: own.Token, Session: s}}, err
		}
		// Signed out meanwhile: this landing is a sign-in of its own.
	}
	s, err := l.sessions.Start(ctx, grant, v.Code, v.browsers)
	if err != nil {
		l.withdrawIfUnknown(ctx, s.Session.Hash(), err)
		return saved{}, err
	}
	met, err := l.sessions.Met(ctx, s)
	if err != nil {
		l.log.WarnContext(ctx, "landed without another tab's session", "error", err)
	}
	return saved{Held: s.Held, fresh: true, met: v.unseen(met)}, nil
}

// withdrawIfUnknown sees to it that a session whose write failed, but may have been carried out, does not keep a grant that
// was revoked before it.
func (l *Lander) withdrawIfUnknown(ctx context.Context, hash string, err error) {
	if errors.Is(err, store.ErrUnavailable) {
		l.retryInBackground(ctx, func(ctx context.Context) error { return l.sessions.Withdraw(ctx, hash) })
	}
}

// settle writes to the ledger that the code has landed.
func (l *Lander) settle(ctx context.Context, v visit, e entry, grant operator.Grant, s saved) (Outcome, error) {
	outcome := l.landedEntry(v, s.Held, grant.PartnerID)
	now, ours, err := l.ledger.settle(ctx, e, outcome)
	if err != nil {
		// The session holds the code, which makes the next try a replay.
		l.log.WarnContext(ctx, "landed, but the ledger is not written yet", "error", err)
		l.retryInBackground(ctx, func(ctx context.Context) error {
			_, _, err := l.ledger.settle(ctx, e, outcome)
			return err
		})
	}
	if err == nil && !ours && (now.State == landed || now.State == declined) {
		// Another request of the same browser was first. One code makes one session, and a question has one answer.
		if err := l.undo(ctx, s); err != nil {
			return Outcome{}, err
		}
		return l.settled(ctx, v, now)
	}
	if s.fresh {
		l.onStarted(grant.Operator.Type)
	}
	partner, _ := s.Session.Partner(grant.PartnerID)
	return Outcome{Result: Landed, Token: s.Token, Session: s.Session, Entry: partner}, nil
}

// endOthers ends the sessions that a new operator replaces, the live ones and those that the person agreed to, and returns
// them as they were.
func (l *Lander) endOthers(ctx context.Context, v visit, operatorID string, yes consent) ([]session.Session, error) {
	hashes := slices.Clone(yes)
	for _, h := range v.others(operatorID) {
		hashes = append(hashes, h.Session.Hash())
	}
	slices.Sort(hashes)
	var ended []session.Session
	for _, hash := range slices.Compact(hashes) {
		s, err := l.sessions.EndByHash(ctx, hash)
		switch {
		case err == nil:
			l.onReplaced()
			if len(s.Entries) > 0 {
				ended = append(ended, s)
			}
		case !errors.Is(err, session.ErrNone):
			return nil, err
		}
	}
	return ended, nil
}

// undo ends a session that nobody was told of.
func (l *Lander) undo(ctx context.Context, s saved) error {
	if !s.fresh {
		return nil
	}
	_, err := l.sessions.End(ctx, s.Token)
	if errors.Is(err, session.ErrNone) {
		return nil
	}
	return err
}

// void settles a code whose grant is worth nothing any more.
func (l *Lander) void(ctx context.Context, e entry, cause error) error {
	if _, _, err := l.ledger.settle(ctx, e, entry{State: declined}); err != nil {
		return err
	}
	return errors.Join(ErrCodeUsed, cause)
}

// covers reports whether the person agreed to the end of all these sessions.
func (c consent) covers(sessions []session.Held) bool {
	return !slices.ContainsFunc(sessions, func(h session.Held) bool { return !slices.Contains(c, h.Session.Hash()) })
}
