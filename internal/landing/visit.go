package landing

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"koubei-landing/internal/session"
)

// visit is an arrival and what the service knows about it.
type visit struct {
	Arrival
	hash     string   // of the code
	browsers []string // hashes of the arrival cookies
	live     []session.Held
	pending  *pendingGrant
}

func hashBrowser(arrival string) string {
	sum := sha256.Sum256([]byte(arrival))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// replayOwn looks for the code in a session of this browser. If it finds the code, the landing is a replay, whatever the
// ledger says.
func (v visit) replayOwn() (Outcome, bool) {
	for _, h := range v.live {
		if e, ok := h.Session.OfCode(v.hash); ok {
			return Outcome{Result: Replayed, Token: h.Token, Session: h.Session, Entry: e}, true
		}
	}
	return Outcome{}, false
}

// brought reports whether this browser brought the code of the record. Two missing arrivals are not equal.
func (v visit) brought(e record) bool {
	return slices.ContainsFunc(v.browsers, func(b string) bool { return slices.Contains(e.Browsers, b) })
}

// asked reports whether this browser got the question in the record.
func (v visit) asked(e record) bool {
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

// others returns the live sessions of all other operators.
func (v visit) others(operatorID string) []session.Held {
	return slices.DeleteFunc(slices.Clone(v.live), func(h session.Held) bool { return h.Session.OperatorID == operatorID })
}

// foreign reports whether another operator is signed in.
func (v visit) foreign(operatorID string) bool { return len(v.others(operatorID)) > 0 }

// unseen returns the sessions in met that are not live ones of the request.
func (v visit) unseen(met []session.Held) []session.Held {
	return slices.DeleteFunc(met, func(m session.Held) bool {
		return slices.ContainsFunc(v.live, func(h session.Held) bool { return h.Session.Hash() == m.Session.Hash() })
	})
}

// mustAsk reports whether the user must confirm a landing of this operator: another operator is signed in, or none is and
// the browser remembers only other operators. Koubei's redirect has no state that binds it to this browser, so an
// attacker's link looks like the user's own.
func (l *Lander) mustAsk(v visit, operatorID string) bool {
	if !l.confirm {
		return false
	}
	_, own := v.own(operatorID)
	return v.foreign(operatorID) || !own && len(v.Known) > 0 && !slices.Contains(v.Known, operatorID)
}

// replaced names the sessions that a landing of this operator would replace. There may be several if another host of the
// domain has set cookies.
func (v visit) replaced(operatorID string) string {
	var hashes []string
	for _, h := range v.others(operatorID) {
		hashes = append(hashes, h.Session.Hash())
	}
	return strings.Join(hashes, ".")
}

// names reports whether s is one of the sessions that replaced has named.
func names(sessions string, s session.Session) bool {
	return slices.Contains(strings.Split(sessions, "."), s.Hash())
}

// mayClaim reports whether this landing may claim the code although the ledger contains e. It may do so if e is empty. With a
// pending grant it may also replace the claim that obtained the grant, or a refusal, because the gateway refuses a code that
// was exchanged before.
func (v visit) mayClaim(e record) bool {
	return e.State == "" || v.pending != nil && (e.State == refused || e.State == open && e.Owner == v.pending.Owner)
}
