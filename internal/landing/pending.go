package landing

import (
	"encoding/json"
	"slices"
	"time"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// pendingFor is how long a pending grant is good for.
const pendingFor = 5 * time.Minute

// pendingGrant is what a spent code was worth, on its way in the browser's own cookie because Redis was lost between
// exchange and save. It is sealed, bound to the code by the seal, and to the browser by an arrival.
type pendingGrant struct {
	Grant    operator.Grant
	Owner    string   // of the claim that earned it
	Browsers []string // hashes of the arrivals that brought the code
	Until    time.Time
}

// sealPending returns the grant for the browser to keep; empty when the browser showed no arrival to bind it to.
func (l *Lander) sealPending(v visit, e entry, grant operator.Grant) string {
	if len(v.browsers) == 0 {
		return ""
	}
	plain, err := json.Marshal(pendingGrant{Grant: grant, Owner: e.Owner, Browsers: v.browsers, Until: l.now().Add(pendingFor)})
	if err != nil {
		return ""
	}
	return l.sealer.Seal(session.SealPending, v.hash, plain)
}

// openPending returns the pending grant of this code and this browser, nil when there is none. One that is forged,
// stale, of another code or another browser's is as good as none.
func (l *Lander) openPending(v visit) *pendingGrant {
	for _, sealed := range v.Pending {
		plain, err := l.sealer.Open(session.SealPending, v.hash, sealed)
		if err != nil {
			continue
		}
		var p pendingGrant
		if json.Unmarshal(plain, &p) != nil || !l.now().Before(p.Until) || p.Grant.AppID != l.appID {
			continue
		}
		if slices.ContainsFunc(v.browsers, func(b string) bool { return slices.Contains(p.Browsers, b) }) {
			return &p
		}
	}
	return nil
}
