// Package history records what browsers, operators and the gateway did with codes, and checks the responses against the
// ledger's rules. For each code, porcupine searches for an order of the operations that the model allows and that agrees with
// the times at which they began and ended. See model for the rules.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is the kind of an operation.
type Kind string

// The kinds of operations.
const (
	Exchange Kind = "exchange" // a replica asks the gateway
	Land     Kind = "land"     // a browser opens the code's link
	Yes      Kind = "yes"      // a browser answers the question with yes
	No       Kind = "no"       // or with no
	Check    Kind = "check"    // a browser asks who is signed in for the code's partner
	SignOut  Kind = "sign-out" // a session ends by a sign-out, or because another operator's replaces it
	Revoke   Kind = "revoke"   // an operator's sessions are revoked
)

// Result is the result of an operation.
type Result string

// The results, with the kinds that may have them.
const (
	OK      Result = "ok"      // exchange: an identity; land, yes: 303 with a session; no: 303; check: 200; the others: done
	Asked   Result = "asked"   // land: the page that asks
	Used    Result = "used"    // land, yes, no: 410, the code is another's, or its session has ended
	Nobody  Result = "nobody"  // check: 401 or 403
	Unknown Result = "unknown" // no response, or 503: the operation may have happened or may happen later
	Spent   Result = "spent"   // exchange: the gateway returned an identity, and the response was lost
)

// Verdict returns the result of an exchange that the gateway refused permanently, and of a landing that reports this.
func Verdict(code string) Result { return Result("verdict " + code) }

// Operation is one request and its response.
type Operation struct {
	Kind    Kind
	Code    string // the code; empty for SignOut and Revoke, which concern several codes
	Browser string // who asked; empty for Exchange and Revoke
	Token   string // land, yes: of the session that the answer set; check: that was shown; sign-out: of the session that ends
	Person  string // revoke: the operator; land: the operator that the code stands for
	Result  Result
	Began   time.Time
	Ended   time.Time

	// Unwritten marks an exchange whose replica was killed before it could write the result.
	Unwritten bool
}

func (o Operation) String() string {
	const layout = "05.000"
	s := fmt.Sprintf("%s–%s %s %s by %q: %s", o.Began.Format(layout), o.Ended.Format(layout), o.Kind, o.Code, o.Browser, o.Result)
	if o.Token != "" {
		s += fmt.Sprintf(", session %.6s…", o.Token)
	}
	if o.Unwritten {
		s += ", unwritten"
	}
	return s
}

// History holds the recorded operations. It is safe for concurrent use.
type History struct {
	mu  sync.Mutex
	all []Operation
}

// Add records an operation that has ended.
func (h *History) Add(o Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, o)
}

// Report is the result of a check.
type Report struct {
	Codes      int
	Operations int
	Illegal    []string // the history of each code that the model cannot explain
	Undecided  int      // codes for which the check took too long
}

// Plus returns the sum of two reports.
func (r Report) Plus(o Report) Report {
	return Report{r.Codes + o.Codes, r.Operations + o.Operations, slices.Concat(r.Illegal, o.Illegal), r.Undecided + o.Undecided}
}

func (r Report) String() string {
	return fmt.Sprintf("porcupine: %d codes, %d operations: %d histories not linearizable, %d undecided", r.Codes, r.Operations, len(r.Illegal), r.Undecided)
}

// perCode is the timeout for the check of one code.
const perCode = 10 * time.Second

// Check checks each code's history against the model.
func (h *History) Check() Report {
	var r Report
	for code, ops := range h.byCode() {
		r.Codes++
		r.Operations += len(ops)
		switch porcupine.CheckOperationsTimeout(model(ops), operations(ops), perCode) {
		case porcupine.Illegal:
			r.Illegal = append(r.Illegal, describe(code, ops))
		case porcupine.Unknown:
			r.Undecided++
		}
	}
	slices.Sort(r.Illegal)
	return r
}

// byCode returns the operations that concern each code, in the order in which they began.
func (h *History) byCode() map[string][]Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	ops, persons := map[string][]Operation{}, map[string]string{}
	for _, o := range h.all {
		if o.Code == "" {
			continue
		}
		ops[o.Code] = append(ops[o.Code], o)
		if o.Kind == Land {
			persons[o.Code] = o.Person
		}
	}
	for code, own := range ops {
		for _, o := range h.all {
			if o.Kind == SignOut && concerns(own, o) || o.Kind == Revoke && o.Person == persons[code] {
				own = append(own, o)
			}
		}
		slices.SortFunc(own, func(a, b Operation) int { return cmp.Compare(a.Began.UnixNano(), b.Began.UnixNano()) })
		ops[code] = own
	}
	return ops
}

// concerns reports whether a sign-out may have ended the session of a code: it was in the same browser.
func concerns(own []Operation, signOut Operation) bool {
	return slices.ContainsFunc(own, func(o Operation) bool {
		return o.Browser == signOut.Browser || o.Token != "" && o.Token == signOut.Token
	})
}

func operations(ops []Operation) []porcupine.Operation {
	var all []porcupine.Operation
	var end int64
	for _, o := range ops {
		end = max(end, o.Ended.UnixNano()+1)
	}
	for i, o := range ops {
		returned := o.Ended.UnixNano()
		if o.Result == Unknown {
			if o.Kind == Land || o.Kind == Check || o.Kind == Exchange {
				continue // ignored: the exchange records the effect of a landing without a response
			}
			returned = end // it may be carried out later
		}
		all = append(all, porcupine.Operation{ClientId: i, Input: o, Call: o.Began.UnixNano(), Return: returned})
	}
	return all
}

func describe(code string, ops []Operation) string {
	var s strings.Builder
	fmt.Fprintf(&s, "the history of a code is not linearizable")
	for _, o := range ops {
		o.Code = strings.TrimSuffix(o.Code, code)
		fmt.Fprintf(&s, "\n    %s", o)
	}
	return s.String()
}
