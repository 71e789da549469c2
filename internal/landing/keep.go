package landing

import (
	"context"
	"errors"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// keep makes a session of a grant and settles the code, or asks first. What Redis can't keep, the browser does, and this
// process until Redis is back.
func (l *Lander) keep(ctx context.Context, v visit, e entry, grant operator.Grant) (Outcome, error) {
	work := l.save
	if l.confirm && v.foreign(grant.Operator.ID) {
		work = l.ask
	}
	out, err := work(ctx, v, e, grant)
	if errors.Is(err, store.ErrUnavailable) {
		l.insist(ctx, func(ctx context.Context) error { return l.shelve(ctx, v, e, grant) })
		return Outcome{Pending: l.sealPending(v, e, grant)}, err
	}
	return out, err
}

// save writes the session and settles the code. A live session of the grant's own operator is added to, in all other
// cases a new one begins, and those of other operators end.
func (l *Lander) save(ctx context.Context, v visit, e entry, grant operator.Grant) (Outcome, error) {
	h, met, fresh, err := l.write(ctx, v, grant)
	if errors.Is(err, session.ErrRevoked) || errors.Is(err, session.ErrNone) {
		return Outcome{}, l.void(ctx, e, err)
	}
	if err != nil {
		return Outcome{}, err
	}
	if other, ok := l.meet(ctx, v, met); ok {
		return l.join(ctx, v, e, grant, h, other)
	}
	if err := l.endOthers(ctx, v, grant.Operator.ID); err != nil {
		return Outcome{}, errors.Join(err, l.undo(ctx, h, fresh))
	}
	outcome := l.landedEntry(v, h, grant.PartnerID)
	now, ours, err := l.ledger.settle(ctx, e, outcome)
	if err != nil {
		// The session stands and holds the code: that is a replay by itself.
		l.log.WarnContext(ctx, "landed, but not in the ledger yet", "error", err)
		l.insist(ctx, func(ctx context.Context) error {
			_, _, err := l.ledger.settle(ctx, e, outcome)
			return err
		})
	}
	if err == nil && !ours && (now.State == landed || now.State == declined) {
		// The same browser's other request was first: one code, one session, one answer to a question.
		return l.overtaken(ctx, v, now, h, fresh)
	}
	if fresh {
		l.onStarted(grant.Operator.Type)
	}
	partner, _ := h.Session.Partner(grant.PartnerID)
	return Outcome{Result: Landed, Token: h.Token, Session: h.Session, Entry: partner}, nil
}

// join takes back the session that was just begun, and goes on as if the other tab's cookie had come along: the partner is
// added there, or, where another operator has landed, the person is asked.
func (l *Lander) join(ctx context.Context, v visit, e entry, grant operator.Grant, h, other session.Held) (Outcome, error) {
	if err := l.undo(ctx, h, true); err != nil {
		return Outcome{}, err
	}
	v.live = append(v.live[:len(v.live):len(v.live)], other)
	return l.keep(ctx, v, e, grant)
}

// overtaken takes back what was written and answers as the request that was first has decided.
func (l *Lander) overtaken(ctx context.Context, v visit, now entry, h session.Held, fresh bool) (Outcome, error) {
	if err := l.undo(ctx, h, fresh); err != nil {
		return Outcome{}, err
	}
	return l.known(ctx, v, now)
}

// write adds to the operator's own session or begins a new one. With that it returns the tokens of those that the browser's
// other landings have begun meanwhile.
func (l *Lander) write(ctx context.Context, v visit, grant operator.Grant) (h session.Held, met []session.Token, fresh bool, err error) {
	if own, ok := v.own(grant.Operator.ID); ok {
		s, err := l.sessions.AddPartner(ctx, own.Token, grant, v.Code)
		if !errors.Is(err, session.ErrNone) {
			return session.Held{Token: own.Token, Session: s}, nil, false, err
		}
		// Signed out meanwhile: this landing is a sign-in of its own.
	}
	token, s, met, err := l.sessions.StartMeeting(ctx, grant, v.Code, v.browsers)
	return session.Held{Token: token, Session: s}, met, true, err
}

// endOthers ends the sessions that a new operator replaces.
func (l *Lander) endOthers(ctx context.Context, v visit, operatorID string) error {
	for _, h := range v.others(operatorID) {
		_, err := l.sessions.End(ctx, h.Token)
		switch {
		case err == nil:
			l.onReplaced()
		case !errors.Is(err, session.ErrNone):
			return err
		}
	}
	return nil
}

// undo takes back a session that nobody was told of.
func (l *Lander) undo(ctx context.Context, h session.Held, fresh bool) error {
	if !fresh {
		return nil
	}
	_, err := l.sessions.End(ctx, h.Token)
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
