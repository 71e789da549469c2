package landing

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// visit is an arrival, with what is known of it.
type visit struct {
	Arrival
	hash     string   // of the code
	browsers []string // hashes of the arrival cookies
	live     []session.Held
	pending  *pendingGrant
}

func (l *Lander) visit(a Arrival, live []session.Held) visit {
	v := visit{Arrival: a, hash: operator.HashCode(l.appID, a.Code), live: live}
	for _, b := range a.Browsers[:min(len(a.Browsers), session.MaxArrivals)] {
		v.browsers = append(v.browsers, hashBrowser(b))
	}
	v.pending = l.openPending(v)
	return v
}

func hashBrowser(arrival string) string {
	sum := sha256.Sum256([]byte(arrival))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// replayOwn finds the code in a session of this browser: a replay, whatever the ledger says.
func (v visit) replayOwn() (Outcome, bool) {
	for _, h := range v.live {
		if e, ok := h.Session.OfCode(v.hash); ok {
			return Outcome{Result: Replayed, Token: h.Token, Session: h.Session, Entry: e}, true
		}
	}
	return Outcome{}, false
}

// brought reports whether this browser brought the code that the entry is about. No arrival is equal to none.
func (v visit) brought(e entry) bool {
	return slices.ContainsFunc(v.browsers, func(b string) bool { return slices.Contains(e.Browsers, b) })
}

// asked reports whether the question that the entry holds was put to this browser.
func (v visit) asked(e entry) bool {
	return v.brought(e) || slices.ContainsFunc(v.live, func(h session.Held) bool { return names(e.Session, h.Session) })
}

// own returns the live session of an operator.
func (v visit) own(operatorID string) (session.Held, bool) {
	i := slices.IndexFunc(v.live, func(h session.Held) bool { return h.Session.OperatorID == operatorID })
	if i < 0 {
		return session.Held{}, false
	}
	return v.live[i], true
}

// others returns the live sessions of operators other than one.
func (v visit) others(operatorID string) []session.Held {
	return slices.DeleteFunc(slices.Clone(v.live), func(h session.Held) bool { return h.Session.OperatorID == operatorID })
}

// foreign reports whether another operator is signed in here.
func (v visit) foreign(operatorID string) bool { return len(v.others(operatorID)) > 0 }

// unseen returns the sessions that are not among the live ones.
func (v visit) unseen(met []session.Held) []session.Held {
	return slices.DeleteFunc(met, func(m session.Held) bool {
		return slices.ContainsFunc(v.live, func(h session.Held) bool { return h.Session.Hash() == m.Session.Hash() })
	})
}

// mustAsk reports whether the person decides about a landing of this operator: another operator is signed in here, or
// nobody is and the browser remembers other operators only. Koubei's redirect has no state that ties it to this browser, so
// a stranger's link looks like one's own.
func (l *Lander) mustAsk(v visit, operatorID string) bool {
	if !l.confirm {
		return false
	}
	_, own := v.own(operatorID)
	return v.foreign(operatorID) || !own && len(v.Known) > 0 && !slices.Contains(v.Known, operatorID)
}

// replaced names the sessions that a landing of this operator would replace: one, or several where cookies were tossed in.
func (v visit) replaced(operatorID string) string {
	var hashes []string
	for _, h := range v.others(operatorID) {
		hashes = append(hashes, h.Session.Hash())
	}
	return strings.Join(hashes, ".")
}

// names reports whether a session is one of those that replaced has named.
func names(sessions string, s session.Session) bool {
	return slices.Contains(strings.Split(sessions, "."), s.Hash())
}
