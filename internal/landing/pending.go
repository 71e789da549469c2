package landing

import (
	"encoding/json"
	"slices"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// pendingGrant is the result of an exchange after which Redis failed. The browser keeps it in a cookie. It is sealed, and
// bound to the code by the seal and to the browser by an arrival.
type pendingGrant struct {
	Grant    operator.Grant
	Owner    string   // of the claim that obtained it
	Browsers []string // hashes of the arrivals that brought the code
}

// sealPending returns the sealed grant for the browser's cookie. It is empty if the browser showed no arrival.
func (l *Lander) sealPending(v visit, e record, grant operator.Grant) string {
	if len(v.browsers) == 0 {
		return ""
	}
	plain, err := json.Marshal(pendingGrant{Grant: grant, Owner: e.Owner, Browsers: v.browsers})
	if err != nil {
		return ""
	}
	return l.sealer.Seal(session.SealPending, v.hash, plain)
}

// openPending returns the pending grant of this code and this browser, or nil. It returns nil for a grant that is forged,
// expired, or from another code or browser. The age limit here leaves room for differences between the replicas' clocks.
// Redis applies the exact limit when the grant becomes a session.
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
