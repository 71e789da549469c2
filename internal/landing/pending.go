package landing

import (
	"encoding/json"
	"slices"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// pendingGrant is what a spent code was worth, in the browser's own cookie because Redis was lost between exchange and save.
// It is sealed, bound to the code by the seal, and to the browser by an arrival.
type pendingGrant struct {
	Grant    operator.Grant
	Owner    string   // of the claim that earned it
	Browsers []string // hashes of the arrivals that brought the code
}

// sealPending returns the grant for the browser to keep; empty when the browser showed no arrival to bind it to.
func (l *Lander) sealPending(v visit, e entry, grant operator.Grant) string {
	if len(v.browsers) == 0 {
		return ""
	}
	plain, err := json.Marshal(pendingGrant{Grant: grant, Owner: e.Owner, Browsers: v.browsers})
	if err != nil {
		return ""
	}
	return l.sealer.Seal(session.SealPending, v.hash, plain)
}

// openPending returns the pending grant of this code and this browser, nil when there is none. One that is forged,
// old, of another code or another browser's counts as none. Its age allows for replicas whose clocks differ; the exact limit
// is Redis's, when the grant becomes a session.
func (l *Lander) openPending(v visit) *pendingGrant {
	for _, sealed := range v.Pending {
		plain, err := l.sealer.Open(session.SealPending, v.hash, sealed)
		if err != nil {
			continue
		}
		var p pendingGrant
		if json.Unmarshal(plain, &p) != nil || l.now().Sub(p.Grant.ExchangedAt).Abs() >= heldFor || p.Grant.AppID != l.appID {
			continue
		}
		if slices.ContainsFunc(v.browsers, func(b string) bool { return slices.Contains(p.Browsers, b) }) {
			return &p
		}
	}
	return nil
}
