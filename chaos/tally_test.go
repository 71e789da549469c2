package chaos_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"koubei-landing/internal/testworld"
)

// tally counts during the run.
type tally struct {
	mu       sync.Mutex
	requests map[string][]request // about each code, by the browsers that brought it
	details  []string             // of what must not happen

	answers, unavailable, confirmations, refreshes, signOuts, thefts, redisKills, redisFreezes int

	// These must stay 0.
	noRetryAfter, stolen, wrongPartner, sessionsLost, refreshRefused, revived, died, spilled int
}

func (t *tally) add(n *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}

// wrong counts something that must not happen and keeps the first 20 descriptions.
func (t *tally) wrong(n *int, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
	if len(t.details) < 20 {
		t.details = append(t.details, fmt.Sprintf(format, args...))
	}
}

func (t *tally) unanswered(format string, args ...any) { t.wrong(&t.died, format, args...) }

func (t *tally) answered(a testworld.Answer) {
	t.add(&t.answers)
	if a.StatusCode < 500 {
		return
	}
	t.add(&t.unavailable)
	if a.Header.Get("Retry-After") == "" {
		t.wrong(&t.noRetryAfter, "%s: %d without Retry-After", a.Request.URL.Path, a.StatusCode)
	}
}

func (t *tally) landing(code string, r request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.requests == nil {
		t.requests = map[string][]request{}
	}
	t.requests[code] = append(t.requests[code], r)
}

// reason is why the service could not prevent that a code was lost or sent again.
type reason int

const (
	none reason = iota
	wire
	killed
	minute
)

// writing is how long a replica may take, on a busy machine, to write the gateway's result to Redis, or to retry after Redis
// is back.
const writing = time.Second

// result is the result of a run.
type result struct {
	landings, verdicts                int
	lost, again                       map[reason]int
	lostDetails                       []string
	calls, people, merchants, contest int
}

// judge evaluates each code.
//
// A code may be lost, or sent again after a verdict, for two reasons that the service cannot prevent:
//
//   - wire: the gateway spent the code, and the queued fault lost its response;
//   - killed: the test killed the replica before the replica could write the result, and the browser's request got no
//     response.
//
// An outage of Redis is not a reason: the browser keeps the grant, and so does the replica until Redis is back. The ledger
// keeps AUTH_CODE_NOT_EXIST for a minute only, so the code may be sent again after that.
func (w *world) judge(p *people) result {
	r := result{lost: map[reason]int{}, again: map[reason]int{}, people: len(p.all)}
	calls := w.gateway.byCode(w.t)
	r.calls = len(w.gateway.calls)
	for _, one := range p.all {
		r.merchants += max(0, len(one.brought)-1)
		for _, b := range one.brought {
			w.judgeCode(&r, one, b, calls[b.code])
		}
	}
	return r
}

func (w *world) judgeCode(r *result, p *person, b *brought, calls []*call) {
	w.judgeRepeats(r, b, calls)
	if b.rival != nil {
		r.contest++
	}
	if b.ending == landed && b.won == landed {
		w.tally.wrong(&w.tally.stolen, "person %d and a rival both landed with one code", p.id)
	}
	if b.ending == landed || b.won == landed {
		r.landings++
		return
	}
	spent := spending(calls)
	if spent == nil {
		r.verdicts++ // a queued fault refused it
		return
	}
	why := w.whyLost(b, spent)
	r.lost[why]++
	if why == none {
		r.lostDetails = append(r.lostDetails, fmt.Sprintf("person %d ended %d, rival %v: %s", p.id, b.ending, b.rival != nil, w.story(b, calls)))
	}
}

// spending returns the call that spent the code, or nil.
func spending(calls []*call) *call {
	for _, c := range calls {
		if c.outcome == success || c.lostOnTheWire() {
			return c
		}
	}
	return nil
}

func (w *world) judgeRepeats(r *result, b *brought, calls []*call) {
	for i := 1; i < len(calls); i++ {
		before := calls[i-1]
		if !before.verdict() {
			continue
		}
		why := none
		switch {
		case w.unwritten(before):
			why = killed
		case before.outcome == "AUTH_CODE_NOT_EXIST" && calls[i].began.Sub(before.ended) > 55*time.Second:
			why = minute
		}
		r.again[why]++
		if why == none {
			r.lostDetails = append(r.lostDetails, "sent again: "+w.story(b, calls))
		}
	}
}

// unwritten reports whether the replica was killed before it could write the result. On a busy machine the gateway may read a
// request after the process that sent it was killed.
func (w *world) unwritten(c *call) bool {
	until := c.ended.Add(writing)
	for _, x := range w.outages.all {
		if !x.from.After(until) && x.to.Add(writing).After(until) {
			until = x.to.Add(writing)
		}
	}
	return w.replicas[c.replica].kills.touch(c.began, until)
}

func (w *world) whyLost(b *brought, spent *call) reason {
	switch {
	case spent.lostOnTheWire():
		return wire
	case w.unwritten(spent) && w.unheard(b, spent):
		return killed
	}
	return none
}

// unheard reports whether a request that may have caused the call never got a response, because the replica was killed or the
// browser had left.
func (w *world) unheard(b *brought, spent *call) bool {
	for _, q := range w.tally.requests[b.code] {
		if q.replica == spent.replica && q.unanswered && q.began.Before(spent.began) && spent.began.Sub(q.began) < longest {
			return true
		}
	}
	return false
}

// story returns everything that happened to a code.
func (w *world) story(b *brought, calls []*call) string {
	var s strings.Builder
	at := func(t time.Time) string { return t.Format("05.000") }
	for _, c := range calls {
		fmt.Fprintf(&s, "\n    call by %d %s–%s: %s %s", c.replica, at(c.began), at(c.ended), c.fault, c.outcome)
	}
	for _, q := range w.tally.requests[b.code] {
		fmt.Fprintf(&s, "\n    request to %d %s by %p: %d unanswered %t session %t", q.replica, at(q.began), q.by, q.refusedWith, q.unanswered, q.gotSession)
	}
	from, to := calls[0].began.Add(-time.Second), calls[len(calls)-1].ended.Add(5*time.Second)
	troubles := map[string]*spans{"Redis away": w.outages}
	for _, r := range w.replicas {
		troubles[fmt.Sprintf("%d killed", r.number)], troubles[fmt.Sprintf("%d rolled", r.number)] = r.kills, r.rolls
	}
	for name, spans := range troubles {
		for _, x := range spans.all {
			if x.from.Before(to) && (x.to.IsZero() || x.to.After(from)) {
				fmt.Fprintf(&s, "\n    %s %s–%s", name, at(x.from), at(x.to))
			}
		}
	}
	return s.String()
}

func (r result) table(w *world, took time.Duration) string {
	var s strings.Builder
	t := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	row := func(what string, n int) { fmt.Fprintf(t, "%s\t%6d\n", what, n) }
	kills, rolls := 0, 0
	for _, x := range w.replicas {
		kills, rolls = kills+x.kills.count(), rolls+x.rolls.count()
	}
	row("landings", r.landings)
	row("codes sent again after a verdict", r.again[none])
	row("sessions given to a browser that didn't bring the code", w.tally.stolen)
	row("codes spent without a session, for a browser that kept retrying", r.lost[none])
	row("wrong partner answers", w.tally.wrongPartner)
	row("5xx without Retry-After", w.tally.noRetryAfter)
	row("sessions lost", w.tally.sessionsLost)
	row("refreshes refused", w.tally.refreshRefused)
	row("sessions back after a sign-out", w.tally.revived)
	row("requests that died at a replica that lived, or drained", w.tally.died)
	row("panics, codes and tokens in the logs", w.tally.spilled)
	fmt.Fprintln(t, "counted apart\t")
	row("  lost: the gateway's answer was cut after it had spent the code", r.lost[wire])
	row("  lost: the replica was killed between the gateway's answer and the save", r.lost[killed])
	row("  sent again: the replica was killed before it could write the verdict down", r.again[killed])
	row("  sent again: AUTH_CODE_NOT_EXIST is remembered for a minute", r.again[minute])
	row("  refused by the gateway, as configured", r.verdicts)
	fmt.Fprintln(t, "what went on\t")
	row("  people", r.people)
	row("  links for further merchants, in tabs at once", r.merchants)
	row("  links that two browsers raced for", r.contest)
	row("  refreshes", w.tally.refreshes)
	row("  sign-outs", w.tally.signOuts)
	row("  answers about who is signed in", w.tally.confirmations)
	row("  tries of thieves", w.tally.thefts)
	row("  answers to all", w.tally.answers)
	row("  of them 5xx", w.tally.unavailable)
	row("  calls of the gateway", r.calls)
	row("  Redis killed", w.tally.redisKills)
	row("  Redis frozen", w.tally.redisFreezes)
	row("  replicas killed", kills)
	row("  replicas rolled", rolls)
	_ = t.Flush()
	return fmt.Sprintf("chaos, seed %d, %s\n%s", w.seed, took.Round(time.Second), s.String())
}

// demandZeros fails the test for everything that must not happen.
func (r result) demandZeros(t *testing.T) {
	t.Helper()
	for _, d := range r.lostDetails {
		t.Error(d)
	}
}

func (t *tally) demandZeros(test *testing.T) {
	test.Helper()
	for _, d := range t.details {
		test.Error(d)
	}
	if n := t.noRetryAfter + t.stolen + t.wrongPartner + t.sessionsLost + t.refreshRefused + t.revived + t.died + t.spilled; n > 0 {
		test.Errorf("%d things that must not happen", n)
	}
}

// readLogs searches the replicas' logs for what they must not contain.
func (w *world) readLogs() {
	secrets := append(testworld.SecretsOf(w.koubei), w.given.Secrets()...)
	for _, r := range w.replicas {
		log := r.Log.String()
		for line := range strings.Lines(log) {
			if strings.Contains(line, "panic") || strings.Contains(line, "goroutine ") {
				w.tally.wrong(&w.tally.spilled, "replica %d: %s", r.number, line)
			}
		}
		for _, secret := range testworld.Leaks(log, secrets...) {
			w.tally.wrong(&w.tally.spilled, "replica %d logged a code, a token or a key: %s", r.number, secret)
		}
	}
}
