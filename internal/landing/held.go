package landing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// heldGrant is stored sealed while the user decides: the grant, and the code for the session.
type heldGrant struct {
	Grant operator.Grant
	Code  string
}

// errGrantNotStored says that another landing has claimed the code after the claim that obtained the grant. The grant can be
// stored when that landing has ended.
var errGrantNotStored = fmt.Errorf("%w: another landing has claimed the code", store.ErrUnavailable)

// heldRecord returns the ledger's record with the sealed grant. It names no session, because nobody was asked about one.
func (l *Lander) heldRecord(v visit, grant operator.Grant) (record, error) {
	plain, err := json.Marshal(heldGrant{grant, v.Code})
	if err != nil {
		return record{}, err
	}
	return record{
		State: held,
		Grant: l.sealer.Seal(session.SealHeld, v.hash, plain),
		Until: grant.ExchangedAt.Add(heldFor),
	}, nil
}

func (l *Lander) openHeld(hash string, e record) (heldGrant, error) {
	plain, err := l.sealer.Open(session.SealHeld, hash, e.Grant)
	if err != nil {
		return heldGrant{}, errors.Join(ErrCodeUsed, err)
	}
	var waiting heldGrant
	if err := json.Unmarshal(plain, &waiting); err != nil {
		return heldGrant{}, fmt.Errorf("landing: held grant: %w", err)
	}
	return waiting, nil
}

// storeGrant stores a grant that did not become a session, until the same browser returns. If the write succeeded and only its
// reply was lost, the code has landed. If the browser has found that session in the meantime, storeGrant changes nothing: the
// user may have signed out since, and the grant would sign them in again. If another landing has claimed the code since,
// storeGrant replaces the refusal with which that landing ends: the gateway refuses a code that was exchanged before.
func (l *Lander) storeGrant(ctx context.Context, v visit, e record, grant operator.Grant) error {
	outcome, err := l.heldRecord(v, grant)
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
			outcome = l.landedRecord(v, session.Held{Token: h.Token, Session: s}, grant.PartnerID)
		}
	}
	now, _, err := l.ledger.settle(ctx, e, outcome)
	switch now.State {
	case open:
		return errGrantNotStored
	case refused:
		outcome.Browsers = e.Browsers
		_, _, err = l.ledger.settle(ctx, now, outcome)
	}
	return err
}
