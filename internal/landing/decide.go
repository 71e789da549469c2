package landing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// heldGrant is what waits sealed for an answer: the grant, and the code that the session will keep.
type heldGrant struct {
	Grant operator.Grant
	Code  string
}

// ask stores the grant and asks the person.
func (l *Lander) ask(ctx context.Context, v visit, e entry, grant operator.Grant) (Outcome, error) {
	outcome, err := l.heldEntry(v, grant)
	if err != nil {
		return Outcome{}, err
	}
	now, ours, err := l.ledger.settle(ctx, e, outcome)
	switch {
	case err != nil:
		return Outcome{}, err
	case ours || now.State == held && v.asked(now):
		return question(v, grant), nil
	}
	return l.settled(ctx, v, now)
}

// heldEntry is a grant that waits, sealed, with the sessions that it would replace, if any.
func (l *Lander) heldEntry(v visit, grant operator.Grant) (entry, error) {
	plain, err := json.Marshal(heldGrant{grant, v.Code})
	if err != nil {
		return entry{}, err
	}
	return entry{
		State:   held,
		Session: v.replaced(grant.Operator.ID),
		Grant:   l.sealer.Seal(session.SealHeld, v.hash, plain),
		Until:   grant.ExchangedAt.Add(heldFor),
	}, nil
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

// resume answers a browser that comes again while its question is open: it is asked again, about the session that is live
// now. With nothing left to ask, it lands.
func (l *Lander) resume(ctx context.Context, v visit, e entry) (Outcome, error) {
	if !v.asked(e) || !l.now().Before(e.Until) {
		return Outcome{}, ErrCodeUsed
	}
	h, err := l.openHeld(v.hash, e)
	if err != nil {
		return Outcome{}, err
	}
	v.Code = h.Code
	if e.Session != "" {
		// The person has seen the question about a session that was live. Once that session is gone, a refresh lands, and
		// the memory does not ask once more.
		v.Known = nil
	}
	if l.mustAsk(v, h.Grant.Operator.ID) {
		return question(v, h.Grant), nil
	}
	return l.save(context.WithoutCancel(ctx), v, e, h.Grant, nil)
}

func (l *Lander) openHeld(hash string, e entry) (heldGrant, error) {
	plain, err := l.sealer.Open(session.SealHeld, hash, e.Grant)
	if err != nil {
		return heldGrant{}, errors.Join(ErrCodeUsed, err)
	}
	var h heldGrant
	if err := json.Unmarshal(plain, &h); err != nil {
		return heldGrant{}, fmt.Errorf("landing: held grant: %w", err)
	}
	return h, nil
}

// Decision is a person's answer to a question.
type Decision struct {
	Landing  string // Question.Landing
	Sessions string // Question.Sessions
	Yes      bool
	Arrival  Arrival // without a code
}

// Decide carries out a person's answer. It fails with ErrSwitchStale when another session than the one asked about is
// live now, with ErrSwitchExpired when there is nothing to decide any more, and with store.ErrUnavailable: then nothing
// is consumed.
func (l *Lander) Decide(ctx context.Context, d Decision) (Outcome, error) {
	live, err := l.sessions.Live(ctx, d.Arrival.Tokens)
	if err != nil {
		return Outcome{}, err
	}
	e, err := l.ledger.look(ctx, d.Landing)
	if err != nil {
		return Outcome{}, err
	}
	v := l.visit(d.Arrival, live)
	v.hash = d.Landing
	switch { // the button was pressed twice
	case e.State == landed && d.Yes:
		out, err := l.replay(ctx, v, e)
		return out, expired(err)
	case e.State == declined && !d.Yes && v.brought(e):
		return v.kept(d), nil
	}
	if e.State != held || !v.asked(e) || !l.now().Before(e.Until) {
		return Outcome{}, ErrSwitchExpired
	}
	h, err := l.openHeld(v.hash, e)
	if err != nil {
		return Outcome{}, errors.Join(ErrSwitchExpired, err)
	}
	for _, other := range v.others(h.Grant.Operator.ID) {
		if !names(d.Sessions, other.Session) {
			return Outcome{}, ErrSwitchStale
		}
	}
	ctx = context.WithoutCancel(ctx)
	if !d.Yes {
		return l.decline(ctx, v, e, d)
	}
	v.Code = h.Code
	out, err := l.save(ctx, v, e, h.Grant, v.agreed(d, e))
	return out, expired(err)
}

// agreed are the sessions that the form names and that this browser was asked about: live ones, and those that were met
// under an arrival and whose cookies are not here yet.
func (v visit) agreed(d Decision, e entry) consent {
	yes := consent{}
	for hash := range strings.SplitSeq(d.Sessions, ".") {
		if slices.Contains(strings.Split(e.Session, "."), hash) && hash != "" {
			yes = append(yes, hash)
		}
	}
	for _, h := range v.live {
		if names(d.Sessions, h.Session) {
			yes = append(yes, h.Session.Hash())
		}
	}
	return yes
}

// expired says of a code that is used up what an answer to a question has to be told.
func expired(err error) error {
	if errors.Is(err, ErrCodeUsed) {
		return errors.Join(ErrSwitchExpired, err)
	}
	return err
}

// decline gives the grant up; the browser keeps the session it has.
func (l *Lander) decline(ctx context.Context, v visit, e entry, d Decision) (Outcome, error) {
	_, ours, err := l.ledger.settle(ctx, e, entry{State: declined})
	if err != nil {
		return Outcome{}, err
	}
	if !ours {
		return Outcome{}, ErrSwitchExpired
	}
	return v.kept(d), nil
}

// kept is the session that a browser keeps; none where that has ended meanwhile.
func (v visit) kept(d Decision) Outcome {
	for _, h := range v.live {
		if names(d.Sessions, h.Session) {
			return Outcome{Result: Kept, Token: h.Token, Session: h.Session, Entry: h.Session.Newest()}
		}
	}
	return Outcome{Result: Kept}
}

// shelve stores a grant that did not become a session, for when the same browser comes again. Where the write was carried
// out and only its reply was lost, the code has landed.
func (l *Lander) shelve(ctx context.Context, v visit, e entry, grant operator.Grant) error {
	outcome, err := l.heldEntry(v, grant)
	if err != nil {
		return err
	}
	for _, h := range v.live {
		s, err := l.sessions.Find(ctx, h.Token)
		if errors.Is(err, session.ErrNone) {
			continue
		}
		if err != nil {
			return err
		}
		if _, ok := s.OfCode(v.hash); ok {
			outcome = l.landedEntry(v, session.Held{Token: h.Token, Session: s}, grant.PartnerID)
		}
	}
	_, _, err = l.ledger.settle(ctx, e, outcome)
	return err
}
