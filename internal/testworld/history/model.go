package history

import (
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// phase is the phase of a code: the states of package landing's table as a browser sees them.
type phase string

const (
	none     phase = "none"     // not exchanged
	spent    phase = "spent"    // exchanged for its owner, who has no response yet
	held     phase = "held"     // exchanged, and its owner was asked
	landed   phase = "landed"   // its owner has the session
	ended    phase = "ended"    // that session has ended
	declined phase = "declined" // its owner said no, or the operator was revoked
	refused  phase = "refused"  // the gateway gave a verdict
	burnt    phase = "burnt"    // exchanged, and the grant is lost, unless its owner has it as a pending grant
)

// state is the state of one code.
type state struct {
	phase
	owner   string // the browser that the code belongs to, once it is exchanged; refused, burnt: that has a pending grant
	token   string // of its session, once it was seen
	verdict Result
	since   time.Time // when the verdict was given
}

// forgotten is how long the ledger keeps the verdict AUTH_CODE_NOT_EXIST, minus a margin for a busy machine.
const forgotten = 55 * time.Second

// unknownCode is the verdict that is forgotten.
var unknownCode = Verdict("AUTH_CODE_NOT_EXIST")

// model returns the rules for one code. They are those of package landing's table and of the contract's section 3:
//
//   - A code is exchanged once. It then belongs to one of the browsers that had brought it by then.
//   - Only its owner gets its session, or is asked. It is always the same session, until that ends.
//   - Every other browser gets code_used. The owner gets it too, when the session has ended or the user has answered no.
//   - Everybody gets the same verdict, without another exchange. If the replica was killed before it could write the result of
//     the exchange, the next landing gets the verdict that the code was used, and the owner lands with a pending grant.
//   - A browser that is signed in with the code's partner is its owner, in its session. The owner is signed in until the
//     session ends.
//   - A revocation ends all sessions and questions of codes that were exchanged before.
//
// A 503 or a missing response allows both: the operation happened, or it did not.
func model(ops []Operation) porcupine.Model {
	m := rules{ops}
	nondeterministic := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{phase: none}} },
		Step: func(s, input, _ any) []any {
			var next []any
			for _, n := range m.step(s.(state), input.(Operation)) {
				next = append(next, n)
			}
			return next
		},
	}
	return nondeterministic.ToModel()
}

// rules are the model's, for a code with these operations.
type rules struct{ ops []Operation }

// step returns the states to which an operation with its result may lead. It returns none if the rules forbid the result.
func (m rules) step(s state, o Operation) []state {
	switch o.Kind {
	case Exchange:
		return m.exchange(s, o)
	case Land:
		return m.land(s, o)
	case Yes, No:
		return decide(s, o)
	case Check:
		return check(s, o)
	case SignOut:
		return either(s, o, s.signedOut(o))
	case Revoke:
		return either(s, o, s.revoked())
	}
	return nil
}

// either returns the states after an operation whose result does not tell whether it happened.
func either(before state, o Operation, after []state) []state {
	if o.Result == Unknown {
		return append(after, before)
	}
	return after
}

func (m rules) exchange(s state, o Operation) []state {
	again := s.phase == none || s.phase == burnt ||
		s.phase == refused && s.verdict == unknownCode && o.Began.Sub(s.since) > forgotten
	if !again {
		return nil
	}
	switch o.Result {
	case OK:
		if s.phase != none {
			return nil
		}
		return m.spentBy(o)
	case Spent:
		return []state{{phase: burnt}}
	}
	after := []state{{phase: refused, owner: s.owner, verdict: o.Result, since: o.Ended}}
	if o.Unwritten {
		after = append(after, s)
	}
	return after
}

// spentBy returns the states after an exchange: the code belongs to one of the browsers that brought it.
func (m rules) spentBy(o Operation) []state {
	var after []state
	for _, other := range m.ops {
		if other.Kind == Land && !other.Began.After(o.Ended) {
			after = append(after, state{phase: spent, owner: other.Browser})
			if o.Unwritten {
				after = append(after, state{phase: burnt, owner: other.Browser})
			}
		}
	}
	if o.Unwritten {
		after = append(after, state{phase: burnt})
	}
	if m.revokedMeanwhile(o) {
		after = append(after, state{phase: declined})
	}
	return slices.CompactFunc(after, func(a, b state) bool { return a == b })
}

// revokedMeanwhile reports whether a revocation met a landing that had begun before and exchanged the code after it: such
// a landing may be refused or not.
func (m rules) revokedMeanwhile(exchange Operation) bool {
	for _, r := range m.ops {
		if r.Kind != Revoke {
			continue
		}
		for _, l := range m.ops {
			if l.Kind == Land && l.Began.Before(r.Ended) && exchange.Ended.After(r.Began) {
				return true
			}
		}
	}
	return false
}

func (m rules) land(s state, o Operation) []state {
	own := s.owner == o.Browser
	switch {
	case o.Result == OK:
		if own && (s.mayLand() || s.phase == landed && (s.token == "" || s.token == o.Token)) {
			return []state{{phase: landed, owner: s.owner, token: o.Token}}
		}
	case o.Result == Asked:
		if own && s.mayLand() {
			return []state{{phase: held, owner: s.owner}}
		}
	case o.Result == Used:
		exchanged := s.phase == spent || s.phase == held || s.phase == landed
		if exchanged && !own || s.phase == ended || s.phase == declined || s.phase == burnt {
			return []state{s}
		}
	case strings.HasPrefix(string(o.Result), "verdict "):
		if s.phase == refused && s.verdict == o.Result {
			return []state{s}
		}
	}
	return nil
}

// mayLand reports whether the grant waits for its owner.
func (s state) mayLand() bool {
	return s.phase == spent || s.phase == held || (s.phase == burnt || s.phase == refused) && s.owner != ""
}

func decide(s state, o Operation) []state {
	own := s.owner == o.Browser
	yes := state{phase: landed, owner: s.owner, token: o.Token}
	no := state{phase: declined}
	switch {
	case o.Result == Used:
		if own && s.phase == held {
			return nil
		}
		return []state{s}
	case !own || s.phase != held && s.phase != landed && s.phase != declined:
		return either(s, o, nil)
	case o.Kind == Yes && (s.phase == held || s.phase == landed && (s.token == "" || s.token == o.Token || o.Result == Unknown)):
		return either(s, o, []state{yes})
	case o.Kind == No && (s.phase == held || s.phase == declined):
		return either(s, o, []state{no})
	}
	return either(s, o, nil)
}

func check(s state, o Operation) []state {
	own := s.owner == o.Browser && (s.token == "" || s.token == o.Token)
	switch {
	case o.Result == OK && own && s.phase != held && (s.mayLand() || s.phase == landed):
		return []state{{phase: landed, owner: s.owner, token: o.Token}}
	case o.Result == Nobody && !(own && s.phase == landed && s.token != ""):
		return []state{s}
	}
	return nil
}

// signedOut returns the states after a session has ended. If no response showed the token of the code's session, the ended
// session may or may not be this one.
func (s state) signedOut(o Operation) []state {
	over := state{phase: ended}
	switch {
	case s.phase == landed && s.token != "" && s.token == o.Token:
		return []state{over}
	case s.owner == o.Browser && s.phase != held && (s.mayLand() || s.phase == landed && s.token == ""):
		return []state{s, over}
	}
	return []state{s}
}

func (s state) revoked() []state {
	switch s.phase {
	case spent, held:
		return []state{{phase: declined}}
	case burnt, refused:
		s.owner = ""
	case landed:
		return []state{{phase: ended}}
	}
	return []state{s}
}
