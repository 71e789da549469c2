package landing

import (
	"context"
	"errors"
	"slices"
	"strings"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// ask stores the grant and asks the user.
func (l *Lander) ask(ctx context.Context, v visit, e record, grant operator.Grant) (Outcome, error) {
	outcome, err := l.heldRecord(v, grant)
	if err != nil {
		return Outcome{}, err
	}
	outcome.Session = v.replaced(grant.Operator.ID)
	now, written, err := l.ledger.settleOwn(ctx, e, outcome)
	switch {
	case err != nil:
		return Outcome{}, err
	case written || now.State == held && v.asked(now):
		return question(v, grant), nil
	case now.State == open || now.State == refused: // another landing's claim, which the gateway refuses
		return Outcome{}, errGrantNotStored
	}
	return l.outcomeOf(ctx, v, now)
}

func question(v visit, grant operator.Grant) Outcome {
	q := Question{
		Landing:   v.hash,
		Sessions:  v.replaced(grant.Operator.ID),
		Arriving:  grant.Operator,
		PartnerID: grant.PartnerID,
	}
	if others := v.others(grant.Operator.ID); len(others) > 0 {
		q.Current = others[0].Session
	} else {
		q.LastKnown = v.Known[0]
	}
	return Outcome{Result: Asked, Question: q}
}

// resume handles a browser that returns while its question is open. It asks again, about the session that is live now. If
// no question is left, it lands.
func (l *Lander) resume(ctx context.Context, v visit, e record) (Outcome, error) {
	if !v.asked(e) || !l.now().Before(e.Until) {
		return Outcome{}, ErrCodeUsed
	}
	waiting, err := l.openHeld(v.hash, e)
	if err != nil {
		return Outcome{}, err
	}
	v.Code = waiting.Code
	if e.Session != "" {
		// The user has seen the question about a session that was live. When that session is gone, a reload lands without
		// another question about the memory.
		v.Known = nil
	}
	if l.mustAsk(v, waiting.Grant.Operator.ID) {
		return question(v, waiting.Grant), nil
	}
	return l.save(context.WithoutCancel(ctx), v, e, waiting.Grant, nil)
}

// Decision is the user's answer to a question.
type Decision struct {
	Landing  string // Question.Landing
	Sessions string // Question.Sessions
	Yes      bool
	Arrival  Arrival // without a code
}

// Decide carries out the user's answer. It fails with ErrSwitchStale if another session than the one in the question is
// live, with ErrSwitchExpired if the question is no longer open, and with store.ErrUnavailable. In the last case the grant
// still waits for an answer. If only the last write failed, the sessions that the answer replaces have ended.
func (l *Lander) Decide(ctx context.Context, d Decision) (Outcome, error) {
	live, err := l.sessions.Live(ctx, d.Arrival.Tokens)
	if err != nil {
		return Outcome{}, err
	}
	e, err := l.ledger.look(ctx, d.Landing)
	if err != nil {
		return Outcome{}, err
	}
	// The first answer may have failed for lack of replicas. As long as they are missing, another answer must not write
	// another session that could then not be confirmed.
	if err := l.ledger.confirm(ctx, e); err != nil {
		return Outcome{}, err
	}
	v := l.visit(d.Arrival, live)
	v.hash = d.Landing
	switch { // the user pressed the button twice
	case e.State == landed && d.Yes:
		out, err := l.replay(ctx, v, e)
		return out, expired(err)
	case e.State == declined && !d.Yes && v.brought(e):
		return v.kept(d), nil
	}
	if e.State != held || !v.asked(e) || !l.now().Before(e.Until) {
		return Outcome{}, ErrSwitchExpired
	}
	waiting, err := l.openHeld(v.hash, e)
	if err != nil {
		return Outcome{}, errors.Join(ErrSwitchExpired, err)
	}
	for _, other := range v.others(waiting.Grant.Operator.ID) {
		if !names(d.Sessions, other.Session) {
			return Outcome{}, ErrSwitchStale
		}
	}
	ctx = context.WithoutCancel(ctx)
	if !d.Yes {
		return l.decline(ctx, v, e, d)
	}
	v.Code = waiting.Code
	out, err := l.save(ctx, v, e, waiting.Grant, v.agreed(d, e))
	return out, expired(err)
}

// agreed returns the sessions in the form that this browser was asked about: live sessions, and sessions that were found
// under an arrival and whose cookies the browser does not have yet.
func (v visit) agreed(d Decision, e record) consent {
	yes := consent{}
	for hash := range strings.SplitSeq(d.Sessions, ".") {
		mine := slices.ContainsFunc(v.live, func(h session.Held) bool { return h.Session.Hash() == hash })
		if hash != "" && (mine || slices.Contains(strings.Split(e.Session, "."), hash)) {
			yes = append(yes, hash)
		}
	}
	return yes
}

// expired translates the error of a used code into the error of an answer to a question.
func expired(err error) error {
	if errors.Is(err, ErrCodeUsed) {
		return errors.Join(ErrSwitchExpired, err)
	}
	return err
}

// decline discards the grant. The browser keeps its session.
func (l *Lander) decline(ctx context.Context, v visit, e record, d Decision) (Outcome, error) {
	_, written, err := l.ledger.settle(ctx, e, record{State: declined})
	if err != nil {
		return Outcome{}, err
	}
	if !written {
		return Outcome{}, ErrSwitchExpired
	}
	return v.kept(d), nil
}

// kept returns the outcome with the session that a browser keeps, or without one if that session has ended.
func (v visit) kept(d Decision) Outcome {
	for _, h := range v.live {
		if names(d.Sessions, h.Session) {
			return Outcome{Result: Kept, Token: h.Token, Session: h.Session, Entry: h.Session.Newest()}
		}
	}
	return Outcome{Result: Kept}
}
