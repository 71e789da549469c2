package landing

import (
	"context"
	"errors"
	"slices"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// consent is the user's "yes": the sessions that may be replaced. It is nil before the user was asked.
type consent []string

// saved is a session that was written for a grant.
type saved struct {
	session.Started
	fresh      bool           // started by this landing
	concurrent []session.Held // started by other landings of this browser, which has not sent their cookies
}

// saveOrPend saves a grant that was just exchanged. If Redis fails, the browser keeps the grant as a pending grant, and
// this process retries the write until Redis is available again.
func (l *Lander) saveOrPend(ctx context.Context, v visit, e record, grant operator.Grant) (Outcome, error) {
	out, err := l.save(ctx, v, e, grant, nil)
	if errors.Is(err, store.ErrUnavailable) {
		l.retryInBackground(ctx, func(ctx context.Context) error { return l.storeGrant(ctx, v, e, grant) })
		return Outcome{Pending: l.sealPending(v, e, grant)}, err
	}
	return out, err
}

// save turns a grant into a session and settles the code, or asks the user first. If a session of the grant's operator is
// live, save adds an entry to it. Otherwise it starts a new session and ends those of other operators.
func (l *Lander) save(ctx context.Context, v visit, e record, grant operator.Grant, yes consent) (Outcome, error) {
	if yes == nil && l.mustAsk(v, grant.Operator.ID) {
		return l.ask(ctx, v, e, grant)
	}
	s, err := l.write(ctx, v, grant)
	if err == nil && len(s.concurrent) > 0 {
		// Another tab has landed in the meantime. Continue as if the request had carried its cookie.
		v.live = slices.Concat(v.live, s.concurrent)
		_, own := v.own(grant.Operator.ID)
		switch {
		case yes == nil && l.mustAsk(v, grant.Operator.ID):
			return l.askInstead(ctx, v, e, grant, s)
		case yes != nil && !yes.covers(v.others(grant.Operator.ID)):
			return Outcome{}, errors.Join(ErrSwitchStale, l.undo(ctx, s))
		case own:
			// Add the partner before ending this landing's session. Then no code is lost if the replica is killed in
			// between.
			begun := s
			if s, err = l.write(ctx, v, grant); err == nil { // do not join sessions that are found now
				err = l.undo(ctx, begun)
			}
		}
	}
	if errors.Is(err, session.ErrRevoked) || errors.Is(err, session.ErrNone) {
		return Outcome{}, l.discard(ctx, e, err)
	}
	if err != nil {
		return Outcome{}, err
	}
	replaced, err := l.endOthers(ctx, v, grant.Operator.ID, yes)
	if err != nil {
		return Outcome{}, errors.Join(err, l.undo(ctx, s))
	}
	out, err := l.settleLanded(ctx, v, e, grant, s)
	out.Replaced = replaced
	return out, err
}

// write adds an entry to the operator's session, or starts a new one.
func (l *Lander) write(ctx context.Context, v visit, grant operator.Grant) (saved, error) {
	if own, ok := v.own(grant.Operator.ID); ok {
		s, err := l.sessions.AddPartner(ctx, own.Token, grant, v.Code)
		if !errors.Is(err, session.ErrNone) {
			l.withdrawIfUnknown(ctx, own.Session.Hash(), err)
			return saved{Started: session.Started{Held: session.Held{Token: own.Token, Session: s}}}, err
		}
		// The session was signed out in the meantime: start a new one.
	}
	s, err := l.sessions.Start(ctx, grant, v.Code, v.browsers)
	if err != nil {
		l.withdrawIfUnknown(ctx, s.Session.Hash(), err)
		return saved{}, err
	}
	met, err := l.sessions.Concurrent(ctx, s)
	if err != nil {
		l.log.WarnContext(ctx, "landed without the session of another tab", "error", err)
	}
	return saved{Started: s, fresh: true, concurrent: v.unseen(met)}, nil
}

// withdrawIfUnknown handles a failed write that may have succeeded. It makes sure that the session does not keep a grant
// that was revoked before the write.
func (l *Lander) withdrawIfUnknown(ctx context.Context, hash string, err error) {
	if errors.Is(err, store.ErrUnavailable) {
		l.retryInBackground(ctx, func(ctx context.Context) error { return l.sessions.Withdraw(ctx, hash) })
	}
}

// settleLanded records in the ledger that the code has landed. If that fails, a held or pending grant has not landed: the ledger
// would give it to the browser again after a sign-out. A code that was just exchanged has landed, because no record of the
// ledger holds its grant.
func (l *Lander) settleLanded(ctx context.Context, v visit, e record, grant operator.Grant, s saved) (Outcome, error) {
	outcome := l.landedRecord(v, s.Held, grant.PartnerID)
	now, written, err := l.ledger.settleOwn(ctx, e, outcome)
	if err != nil && e.State == held {
		if s.fresh { // the browser's next request joins this session, and starts no retry
			l.retryInBackground(ctx, func(ctx context.Context) error { return l.settleLate(ctx, v, e, outcome, grant, s) })
		}
		return Outcome{}, err
	}
	if err != nil && v.pending != nil {
		return Outcome{}, err // the replica that has exchanged the code may still store the grant
	}
	if err != nil {
		// The session holds the code, so the browser's next request is a replay.
		l.log.WarnContext(ctx, "code landed, ledger record pending", "error", err)
		l.retryInBackground(ctx, func(ctx context.Context) error {
			_, _, err := l.ledger.settleOwn(ctx, e, outcome)
			return err
		})
	}
	if err == nil && !written && (now.State == landed || now.State == declined) {
		// Another request of the same browser was first. One code makes one session, and a question has one answer.
		if now.Session != s.Session.Hash() {
			err = l.abandon(ctx, v, s)
		} else if s.fresh {
			l.onStarted(grant.Operator.Type)
		}
		if err != nil {
			return Outcome{}, err
		}
		return l.outcomeOf(ctx, v, now)
	}
	if s.fresh {
		l.onStarted(grant.Operator.Type)
	}
	partner, _ := s.Session.Partner(grant.PartnerID)
	return Outcome{Result: Landed, Token: s.Token, Session: s.Session, Entry: partner}, nil
}

// settleLate records that a held grant has landed, unless another request was first. Then it ends the session, which no browser
// has received.
func (l *Lander) settleLate(ctx context.Context, v visit, e, outcome record, grant operator.Grant, s saved) error {
	now, written, err := l.ledger.settle(ctx, e, outcome)
	switch {
	case err != nil:
		return err
	case written, now.State == landed && now.Session == s.Session.Hash():
		l.onStarted(grant.Operator.Type)
	case now.State == landed || now.State == declined:
		return l.abandon(ctx, v, s)
	}
	return nil
}

// abandon ends the session of a landing whose code has landed with another session, which the browser gets. Other landings of
// the code may have joined the session, and abandon theirs, too. It leaves a session that the browser had before.
func (l *Lander) abandon(ctx context.Context, v visit, s saved) error {
	if slices.Contains(v.Tokens, s.Token) {
		return nil
	}
	return l.sessions.EndIfOnly(ctx, s.Token, v.hash)
}

// askInstead ends the session that this landing has started, and asks the user.
func (l *Lander) askInstead(ctx context.Context, v visit, e record, grant operator.Grant, s saved) (Outcome, error) {
	if err := l.undo(ctx, s); err != nil {
		return Outcome{}, err
	}
	out, err := l.ask(ctx, v, e, grant)
	if errors.Is(err, store.ErrUnavailable) {
		// Another request may have found the session before it ended, and settled the code with it.
		l.retryInBackground(ctx, func(ctx context.Context) error { return l.holdAgain(ctx, v, e, grant, s) })
	}
	return out, err
}

// holdAgain stores the grant, also if the ledger names the session that this landing has ended.
func (l *Lander) holdAgain(ctx context.Context, v visit, e record, grant operator.Grant, ended saved) error {
	outcome, err := l.heldRecord(v, grant)
	if err != nil {
		return err
	}
	now, _, err := l.ledger.settle(ctx, e, outcome)
	if now.State == landed && now.Session == ended.Session.Hash() {
		_, _, err = l.ledger.settle(ctx, now, outcome)
	}
	return err
}

// endOthers ends the sessions that a new operator replaces: those that the user agreed to or, if nobody was asked, the live
// ones. It returns them in their last state.
func (l *Lander) endOthers(ctx context.Context, v visit, operatorID string, yes consent) ([]session.Session, error) {
	if yes == nil {
		for _, h := range v.others(operatorID) {
			yes = append(yes, h.Session.Hash())
		}
	}
	var ended []session.Session
	for _, hash := range yes {
		s, err := l.sessions.EndByHash(ctx, hash)
		switch {
		case err == nil:
			l.onReplaced()
			ended = append(ended, s)
		case !errors.Is(err, session.ErrNone):
			return nil, err
		}
	}
	return ended, nil
}

// undo ends a session that this landing has started, unless another landing has joined it.
func (l *Lander) undo(ctx context.Context, s saved) error {
	if !s.fresh {
		return nil
	}
	return l.sessions.Undo(ctx, s.Started)
}

// discard settles a code whose grant is no longer valid.
func (l *Lander) discard(ctx context.Context, e record, cause error) error {
	if _, _, err := l.ledger.settleOwn(ctx, e, record{State: declined}); err != nil {
		return err
	}
	return errors.Join(ErrCodeUsed, cause)
}

// covers reports whether the user agreed to end all these sessions.
func (c consent) covers(sessions []session.Held) bool {
	return !slices.ContainsFunc(sessions, func(h session.Held) bool { return !slices.Contains(c, h.Session.Hash()) })
}
