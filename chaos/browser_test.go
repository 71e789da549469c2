package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/history"
	"koubei-landing/koubeisim"
)

const (
	callback      = "/koubei/callback"
	sessionCookie = "koubei_session"

	// longest is more than any response may take: it waits for another landing, exchanges the code itself and saves the result.
	longest = 60 * time.Second
)

// browser does what the script of a page does: after a 503 it retries, ten times at most.
type browser struct {
	*testworld.Browser
	w    *world
	dice *rand.Rand // used by one goroutine at a time; concurrent tabs have their own
}

// All browsers share sockets. Otherwise a thousand browsers would keep three thousand sockets open.
var sockets = &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 30 * time.Second}

func (w *world) browser(dice *rand.Rand) *browser {
	b := testworld.NewBrowser(w.t, &w.given)
	b.Client.Transport, b.Client.Timeout = sockets, longest
	return &browser{b, w, dice}
}

// again returns the same browser in another tab: it has the same cookies and its own dice.
func (b *browser) again() *browser {
	tab := *b
	tab.dice = rand.New(rand.NewPCG(b.dice.Uint64(), b.dice.Uint64()))
	return &tab
}

var (
	errorCode = regexp.MustCompile(`id="error-code">(\w+)<`)

	// verdicts maps the error codes of the service to those of the gateway.
	verdicts = map[string]string{"invalid_parameter": "INVALID_PARAMETER", "code_not_exist": "AUTH_CODE_NOT_EXIST",
		"code_expired": "AUTH_CODE_EXPIRES", "access_not_allowed": "ACCESS_NOT_ALLOWED"}
)

// resultOf returns what a response means for its code.
func resultOf(a testworld.Answer) history.Result {
	if m := errorCode.FindStringSubmatch(a.Body); m != nil && verdicts[m[1]] != "" {
		return history.Verdict(verdicts[m[1]])
	}
	switch {
	case a.StatusCode == http.StatusSeeOther && session(a) != "":
		return history.OK
	case a.StatusCode == http.StatusGone:
		return history.Used
	}
	return history.Unknown
}

// name identifies a browser. All its tabs have the same name.
func (b *browser) name() string { return fmt.Sprintf("%p", b.Client) }

// session returns the token that a response sets. It is empty if the response sets none.
func session(a testworld.Answer) string { return a.SetsCookie(sessionCookie + "=") }

// request records one request about a code, as evidence for judge.
type request struct {
	by          *http.Client // identifies the browser
	replica     int
	began       time.Time
	unanswered  bool
	gotSession  bool
	refusedWith int
}

// ask sends a request to a random replica, as a load balancer does. It fails if no response arrives, because ctx or the
// replica's process ended.
func (b *browser) ask(ctx context.Context, method, uri, code string) (testworld.Answer, error) {
	r := b.w.replicas[b.dice.IntN(len(b.w.replicas))]
	req, err := http.NewRequestWithContext(ctx, method, r.public+uri, nil)
	if err != nil {
		return testworld.Answer{}, err
	}
	if method == http.MethodPost {
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("Origin", r.public)
	}
	began := time.Now()
	a, err := b.Try(req)
	if err == nil {
		b.w.tally.answered(a)
	} else {
		if ctx.Err() == nil && !r.disturbed(began, time.Now()) {
			b.w.tally.unanswered("%s at replica %d, which lived: %v", req.URL.Path, r.number, err)
		}
		a.Response = &http.Response{} // with status 0
	}
	if code == "" {
		return a, err
	}
	if a.Hop() == nil {
		b.w.history.Add(history.Operation{Kind: history.Land, Code: code, Browser: b.name(), Token: session(a), Result: resultOf(a), Began: began, Ended: time.Now()})
	}
	b.w.tally.landing(code, request{by: b.Client, replica: r.number, began: began, unanswered: err != nil,
		gotSession: session(a) != "", refusedWith: a.StatusCode})
	return a, err
}

// ending is the outcome of an attempt to land.
type ending int

const (
	gaveUp  ending = iota // after ten tries, or because the person left
	landed                // with a session
	refused               // for good
)

// tries is how often a page retries by itself.
const tries = 10

// land opens a link and follows what the pages do: the arrival hop, and retries after a 503. If a connection breaks, the
// person reloads the page.
func (b *browser) land(ctx context.Context, code string) ending {
	uri := b.w.link(code)
	for n := 0; n < tries && ctx.Err() == nil; {
		a, err := b.ask(ctx, http.MethodGet, uri, code)
		switch {
		case err != nil:
			wait(ctx.Done(), between(b.dice, 100*time.Millisecond, 500*time.Millisecond))
		case a.StatusCode == http.StatusServiceUnavailable:
			n++
			wait(ctx.Done(), b.patience(a))
		case a.Hop() != nil:
			uri = a.Hop().RequestURI()
		case a.StatusCode == http.StatusSeeOther && session(a) != "":
			return landed
		default:
			return refused
		}
	}
	return gaveUp
}

// patience returns how long the page waits before it retries.
func (b *browser) patience(a testworld.Answer) time.Duration {
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil {
		seconds = 1
	}
	d := time.Duration(seconds) * time.Second
	return between(b.dice, d*3/4, d*5/4)
}

// link returns the address to which Koubei sends a browser, without the host.
func (w *world) link(code string) string {
	return strings.TrimPrefix(w.koubei.LandingURL(code, koubeisim.Observed), w.replicas[0].public)
}

// persist repeats a request until the response is not an outage.
func (b *browser) persist(ctx context.Context, method, uri string) (testworld.Answer, bool) {
	for ctx.Err() == nil {
		a, err := b.ask(ctx, method, uri, "")
		if err == nil && a.StatusCode < 500 {
			return a, true
		}
		wait(ctx.Done(), between(b.dice, 100*time.Millisecond, 400*time.Millisecond))
	}
	return testworld.Answer{}, false
}

// is reports whether a response of /session is about this operator, working for this partner.
func is(a testworld.Answer, p koubeisim.Person) bool {
	var id testworld.Identity
	return json.Unmarshal([]byte(a.Body), &id) == nil && id.OperatorID == p.OperatorID && id.OperatorType == p.OperatorType &&
		id.PartnerID != nil && *id.PartnerID == p.PartnerID && id.ShopIDs == p.ShopIDs
}

// confirm asks who is signed in, for a partner that this browser has landed for.
func (b *browser) confirm(ctx context.Context, br *brought) {
	p := br.as
	token, began := b.cookie(), time.Now()
	a, ok := b.persist(ctx, http.MethodGet, "/session?partner_id="+p.PartnerID)
	if !ok {
		return
	}
	o := history.Operation{Kind: history.Check, Code: br.code, Browser: b.name(), Token: token, Result: history.Nobody, Began: began, Ended: time.Now()}
	if a.StatusCode == http.StatusOK {
		o.Result = history.OK
	}
	b.w.history.Add(o)
	t := b.w.tally
	t.add(&t.confirmations)
	switch {
	case a.StatusCode != http.StatusOK:
		t.wrong(&t.sessionsLost, "operator %s, partner %s: /session answers %d %s", p.OperatorID, p.PartnerID, a.StatusCode, a.Body)
	case !is(a, p):
		t.wrong(&t.wrongPartner, "operator %s, partner %s: /session answers %s", p.OperatorID, p.PartnerID, a.Body)
	}
}
