package faults_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/testworld/history"
	"koubei-landing/internal/testworld/respproxy"
	"koubei-landing/koubeisim"
)

const sessionCookie = "koubei_session"

// scene is one run of one operation in a lane, with a fault, or without one to record its commands.
type scene struct {
	*lane
	t     *testing.T
	at    int // the number of the command at which the fault happens; 0 for none
	fault respproxy.Fault

	onEnd func()

	known   map[string]bool    // the keys of the sessions whose tokens the browsers have
	fired   *respproxy.Command // the command at which the fault happened
	record  []respproxy.Command
	first   []int       // the statuses of the responses during the fault
	emptied atomic.Bool // Redis has lost its data
	killed  atomic.Bool // a replica was killed

	history *history.History
	report  history.Report // of its check

	mu        sync.Mutex
	opened    []*browser
	issued    []link
	ended     bool // the fault
	wrong     []string
	unavoided []string // why an invariant could not hold
}

// fail records that an invariant does not hold.
func (s *scene) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// lost records that an invariant does not hold because Redis has lost its data.
func (s *scene) lost(format string, args ...any) {
	if !s.emptied.Load() {
		s.fail(format, args...)
		return
	}
	s.unavoidable("Redis lost its data")
}

func (s *scene) unavoidable(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unavoided = append(s.unavoided, why)
}

// begin arms the fault. The next command has the number 1.
func (s *scene) begin() {
	s.known = map[string]bool{}
	for _, b := range s.opened {
		if token := b.token(); token != "" {
			s.known["koubei:"+s.koubei.AppID()+":session:"+session.Token(token).Hash()] = true
		}
	}
	s.proxy.Watch(s.at, s.fault)
}

// end ends the fault and restarts a replica that got SIGKILL or SIGTERM.
func (s *scene) end() {
	s.fired = s.proxy.Heal()
	s.record = s.proxy.Record()
	s.onEnd()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}

var people atomic.Int64

// stranger returns a person that no other cell uses.
func stranger() koubeisim.Person {
	n := people.Add(1)
	return koubeisim.Person{OperatorID: fmt.Sprintf("20882%011d", n), OperatorType: "PROVIDER", PartnerID: fmt.Sprintf("20883%011d", n)}
}

// forPartner returns the same operator with another partner.
func forPartner(p koubeisim.Person) koubeisim.Person {
	p.PartnerID = stranger().PartnerID
	return p
}

// link is a landing's link and its person.
type link struct {
	koubeisim.Person
	code string
	uri  string
}

// issue has Koubei issue a code.
func (s *scene) issue(p koubeisim.Person) link {
	code := s.koubei.Issue(p)
	s.lane.mu.Lock()
	s.keys["koubei:"+s.koubei.AppID()+":code:"+operator.HashCode(s.koubei.AppID(), code)] = true
	s.lane.mu.Unlock()
	u, err := url.Parse(s.koubei.LandingURL(code, koubeisim.Observed))
	if err != nil {
		panic(err) // koubeisim's own address
	}
	l := link{p, code, u.RequestURI()}
	s.issued = append(s.issued, l)
	return l
}

// judge checks what the contract requires of every response.
func (s *scene) judge(what string, a answer) {
	s.mu.Lock()
	if !s.ended {
		s.first = append(s.first, a.status)
	}
	s.mu.Unlock()
	switch {
	case a.status == 0 && !s.killed.Load():
		s.fail("%s: no answer from a replica that lives", what)
	case a.status >= 500 && a.status != http.StatusServiceUnavailable:
		s.fail("%s: %d %s", what, a.status, problem(a))
	case a.status >= 500 && a.header.Get("Retry-After") == "":
		s.fail("%s: %d without Retry-After", what, a.status)
	}
}

// patience is longer than a claim's lease.
const patience = 20 * time.Second

// settle repeats a request at alternating replicas until the response is final.
func (s *scene) settle(ask func(n int) answer) answer { return s.persist(ask(0), ask) }

// persist is settle for a request that already has a first response.
func (s *scene) persist(first answer, ask func(n int) answer) answer {
	began := time.Now()
	for n := 1; first.unsettled() && time.Since(began) < patience; n++ {
		time.Sleep(100 * time.Millisecond) // the pace of a browser that retries, not a wait for anything
		first = ask(n % len(s.nodes))
	}
	return first
}

// revoke revokes an operator's sessions, at the second replica first, until it is done.
func (s *scene) revoke(operatorID string) {
	s.keepRevoking(s.revokeOnce(1, operatorID), operatorID)
}

// keepRevoking is revoke after a first response. It returns the number of revoked sessions according to the responses.
func (s *scene) keepRevoking(first answer, operatorID string) (sum int) {
	sum = count(first)
	a := s.persist(first, func(n int) answer {
		a := s.revokeOnce(n, operatorID)
		sum += count(a)
		return a
	})
	if a.status != http.StatusOK {
		s.fail("the revocation: %s", a)
	}
	return sum
}

func (s *scene) revokeOnce(n int, operatorID string) answer {
	began := time.Now()
	a := s.browser().ask(n, http.MethodDelete, "/admin/operators/"+operatorID+"/sessions", nil)
	o := history.Operation{Kind: history.Revoke, Person: operatorID, Result: history.OK, Began: began, Ended: time.Now()}
	if a.status != http.StatusOK {
		o.Result = history.Unknown
	}
	s.history.Add(o)
	return a
}

func count(a answer) int {
	var body struct{ Revoked int }
	if a.status != http.StatusOK {
		return 0
	}
	_ = json.Unmarshal([]byte(a.body), &body)
	return body.Revoked
}

// exchangedOnce checks that the gateway was called once for a code.
func (s *scene) exchangedOnce(l link) {
	if calls := s.front.of(l.code); len(calls) != 1 {
		s.lost("%d calls of the gateway, want 1: %v", len(calls), calls)
	}
}

// unsaved returns why a code is lost: its replica was killed after the exchange and before it wrote the session in a way that
// the browser can find. It returns an empty string if that is not the reason.
func (s *scene) unsaved(l link) string {
	calls := s.front.of(l.code)
	if !s.killed.Load() || len(calls) == 0 || calls[0].via != s.fired.Via {
		return ""
	}
	found := maps.Clone(s.known)
	written := false // this tab's session
	for _, c := range s.record {
		label, own := labelOf(c), c.Via == calls[0].via
		switch {
		case !c.Executed || own && c.At.Before(calls[0].ended):
		case !own:
			found[c.Key()] = true
		case label == "eval code", label == "eval arrival" && !s.met(c), label == "eval session" && found[c.Key()]:
			return ""
		case label == "eval session":
			written = true
		}
	}
	if written {
		return "the replica was killed between the writes that make a session found again"
	}
	return "the replica was killed between the gateway's answer and the first write"
}

// overlap is the time within which Redis may execute two connections' commands in another order than they arrived in.
const overlap = 50 * time.Millisecond

// met reports whether the arrival may have held another tab's session when a replica wanted to leave its own there.
func (s *scene) met(own respproxy.Command) bool {
	return slices.ContainsFunc(s.record, func(c respproxy.Command) bool {
		return c.Executed && c.Via != own.Via && labelOf(c) == "eval arrival" && c.At.Before(own.At.Add(overlap))
	})
}

// unrecorded reports whether the replica that called the gateway was killed before it wrote to the ledger.
func (s *scene) unrecorded(call gatewayCall) bool {
	return s.killed.Load() && call.via == s.fired.Via && !slices.ContainsFunc(s.record, func(c respproxy.Command) bool {
		return c.Executed && c.Via == call.via && c.At.After(call.ended) && labelOf(c) == "eval code"
	})
}

// checkHistory checks the history of each code, unless Redis has lost its data.
func (s *scene) checkHistory() history.Report {
	if s.emptied.Load() {
		return history.Report{}
	}
	for _, l := range s.issued {
		for i, c := range s.front.of(l.code) {
			o := history.Operation{Kind: history.Exchange, Code: l.code, Result: history.OK, Began: c.began, Ended: c.ended}
			switch {
			case c.lost:
				o.Result = history.Spent
			case c.outcome != "success":
				o.Result = history.Verdict(c.outcome)
			}
			o.Unwritten = i == 0 && s.unrecorded(c)
			s.history.Add(o)
		}
	}
	r := s.history.Check()
	for _, h := range r.Illegal {
		s.fail("%s", h)
	}
	return r
}
