package landing

import (
	"context"
	"errors"
	"slices"

	"koubei-landing/internal/session"
)

// recoverSession returns the session that a landing of this code has stored under an arrival of this browser, if the ledger does
// not contain it yet. The replica was killed in between, or is about to write it.
func (l *Lander) recoverSession(ctx context.Context, v visit, c claimed) (Outcome, error) {
	h := c.concurrent[slices.IndexFunc(c.concurrent, func(h session.Held) bool { return holds([]session.Held{h}, v.hash) })]
	entry, _ := h.Session.OfCode(v.hash)
	var replaced []session.Session
	if !l.confirm {
		var err error
		if replaced, err = l.endOthers(ctx, v, h.Session.OperatorID, nil); err != nil {
			return Outcome{}, err
		}
	}
	if c.record.State == open || c.record.State == refused {
		now, written, err := l.settleFound(ctx, v, c.record, h, entry.PartnerID)
		if err != nil {
			return Outcome{}, err
		}
		if !written && now.State != open {
			return l.claimedBefore(ctx, v, now) // the owner is still running, and has settled the code in the meantime
		}
	}
	if l.confirm && v.foreign(h.Session.OperatorID) {
		return Outcome{}, ErrCodeUsed // do not replace an operator without a question
	}
	return Outcome{Result: Replayed, Token: h.Token, Session: h.Session, Entry: entry, Replaced: replaced}, nil
}

// settleReplay settles the code of a session of this browser if the ledger does not have its outcome yet: the replica that
// exchanged the code may have been killed, or may still want to store the grant, also when its lease has ended. After a
// sign-out, either would bring the code back. It reads the ledger only as long as a grant may be left. It fails with
// ErrCodeUsed if the session has ended and the code waits for an answer.
func (l *Lander) settleReplay(ctx context.Context, v visit, out Outcome) error {
	if l.now().Sub(out.Entry.AuthenticatedAt) > heldFor {
		return nil
	}
	e, err := l.ledger.look(ctx, v.hash)
	for err == nil && (e.State == "" || e.State == open || e.State == held) { // again if another request has changed it
		if e.State == held { // its owner may have ended the session to ask the user
			if _, err := l.sessions.Find(ctx, out.Token); errors.Is(err, session.ErrNone) {
				return ErrCodeUsed
			}
		}
		e, _, err = l.settleFound(ctx, v, e, session.Held{Token: out.Token, Session: out.Session}, out.Entry.PartnerID)
	}
	return err
}

// settleFound settles a code whose session this browser has, on behalf of the replica that exchanged it. If that was killed,
// the claim would expire, and the next landing would send the code again. The claim e may belong to a later landing of another
// browser. That browser gets no right to the session.
func (l *Lander) settleFound(ctx context.Context, v visit, e record, h session.Held, partner string) (record, bool, error) {
	outcome := l.landedRecord(v, h, partner)
	outcome.Browsers = append([]string{}, v.browsers...) // never nil, which settle would replace by those of e
	if v.brought(e) {
		outcome.Browsers = append(outcome.Browsers, e.Browsers...)
	}
	return l.ledger.settle(ctx, e, outcome)
}

// claimedBefore handles a code that another landing has claimed before. For a held grant it asks again, or lands.
func (l *Lander) claimedBefore(ctx context.Context, v visit, e record) (Outcome, error) {
	if e.State == held {
		return l.resume(ctx, v, e)
	}
	return l.outcomeOf(ctx, v, e)
}

// outcomeOf returns the outcome of a code that is final.
func (l *Lander) outcomeOf(ctx context.Context, v visit, e record) (Outcome, error) {
	switch e.State {
	case refused:
		return Outcome{}, errorOf(e.Verdict)
	case landed:
		return l.replay(ctx, v, e)
	}
	return Outcome{}, ErrCodeUsed
}

// replay returns the same session again to the browser that made it. Other browsers get ErrCodeUsed.
func (l *Lander) replay(ctx context.Context, v visit, e record) (Outcome, error) {
	// Read the sessions again: the ledger's record may be newer. Otherwise a session that a "yes" has replaced would block a
	// second, identical "yes".
	var err error
	if v.live, err = l.sessions.Live(ctx, v.Tokens); err != nil {
		return Outcome{}, err
	}
	token, err := l.tokenFor(v, e)
	if err != nil {
		return Outcome{}, err
	}
	s, err := l.sessions.Find(ctx, token)
	if errors.Is(err, session.ErrNone) {
		return Outcome{}, ErrCodeUsed
	}
	if err != nil {
		return Outcome{}, err
	}
	partner, ok := s.Partner(e.Partner)
	if !ok {
		return Outcome{}, ErrCodeUsed
	}
	return Outcome{Result: Replayed, Token: token, Session: s, Entry: partner}, nil
}

// tokenFor returns the token of the code's session if this browser may have it: the browser's own token, or the sealed one
// if the browser shows an arrival of the claim. It returns no token if another operator is signed in, because only a
// question may replace an operator.
func (l *Lander) tokenFor(v visit, e record) (session.Token, error) {
	for _, h := range v.live {
		if h.Session.Hash() == e.Session {
			return h.Token, nil
		}
	}
	if !v.brought(e) || v.foreign(e.Operator) {
		return "", ErrCodeUsed
	}
	token, err := l.sealer.Open(session.SealToken, v.hash, e.Token)
	if err != nil {
		return "", errors.Join(ErrCodeUsed, err)
	}
	return session.Token(token), nil
}
