package handler_test

import (
	"bufio"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// answerTo returns the filled-in form of a switch page.
func answerTo(t *testing.T, page testworld.Answer, decision string) url.Values {
	t.Helper()
	form := url.Values{"decision": {decision}}
	for _, m := range hiddenField.FindAllStringSubmatch(page.Body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	if page.StatusCode != http.StatusOK || form.Get("landing") == "" || form.Get("session") == "" {
		t.Fatalf("got %d without a question's form", page.StatusCode)
	}
	return form
}

// asked lets a signed-in browser bring a code of another operator.
func asked(t *testing.T, w *testworld.World, b *testworld.Browser, person koubeisim.Person) (link string, page testworld.Answer) {
	t.Helper()
	link = w.Landing(w.Koubei.Issue(person))
	return link, b.Land(link)
}

func switchURL(w *testworld.World) string { return w.Public + w.Config.Web.CallbackPath + "/switch" }

// wantSignedIn checks which operator is signed in, none for the empty id.
func wantSignedIn(t *testing.T, w *testworld.World, b *testworld.Browser, operatorID string) {
	t.Helper()
	a, id := b.Session(w.Service, "")
	if id.OperatorID != operatorID {
		t.Errorf("got %d and %q signed in, want %q", a.StatusCode, id.OperatorID, operatorID)
	}
}

// metric returns the value of one series, 0 if there is none.
func metric(t *testing.T, w *testworld.World, series string) float64 {
	t.Helper()
	body := w.Program().Get(w.Internal + "/metrics").Body
	for scan := bufio.NewScanner(strings.NewReader(body)); scan.Scan(); {
		if value, ok := strings.CutPrefix(scan.Text(), series+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

func TestTheSwitchAsks(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Merchant)
	token := b.Cookie(w.Public, "koubei_session")
	link, page := asked(t, w, b, testworld.ProviderStaff)
	form := answerTo(t, page, "yes")
	for _, want := range []string{testworld.Merchant.OperatorID, testworld.ProviderStaff.OperatorID, `action="/koubei/callback/switch"`} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if page.Header.Get("Referrer-Policy") != "strict-origin" || page.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(page.Header.Get("Content-Security-Policy"), "form-action 'self'") {
		t.Errorf("got headers %v", page.Header)
	}
	if page.SetsCookie("koubei_session=") != "" || b.Cookie(w.Public, "koubei_session") != token {
		t.Error("the session was touched before the answer")
	}
	wantSignedIn(t, w, b, testworld.Merchant.OperatorID)
	if again := answerTo(t, b.Get(link), "yes"); again.Encode() != form.Encode() {
		t.Error("a refresh asks something else")
	}
	b.Header.Set("Accept", "application/json")
	problem := b.Get(link)
	if problem.StatusCode != http.StatusConflict || problem.Problem() != "operator_differs" ||
		!strings.Contains(problem.Body, `"page":"`+strings.TrimPrefix(link, w.Public)+`"`) {
		t.Errorf("JSON: got %d %s", problem.StatusCode, problem.Body)
	}
	for series, want := range map[string]float64{"asked": 2, "operator_differs": 1, "landed": 1, "arrived": 1} {
		if got := metric(t, w, `koubei_landings_total{result="`+series+`"}`); got != want {
			t.Errorf("got %v landings %s, want %v", got, series, want)
		}
	}
	if n := len(w.Koubei.Calls()); n != 2 {
		t.Errorf("got %d calls, want 2", n)
	}
}

func TestTheSwitchYes(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Merchant)
	old := b.Cookie(w.Public, "koubei_session")
	page := b.Land(w.Landing(w.Koubei.Issue(testworld.ProviderStaff)) + "&return_to=" + url.QueryEscape("/shop?id=7&x=%22"))
	form := answerTo(t, page, "yes")
	a := b.Post(switchURL(w), form)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/shop?id=7&x=%22" {
		t.Fatalf("got %d to %q, want 303 to return_to", a.StatusCode, a.Header.Get("Location"))
	}
	fresh := b.Cookie(w.Public, "koubei_session")
	_, id := b.Session(w.Service, "")
	if fresh == old || id.OperatorID != testworld.ProviderStaff.OperatorID || len(id.Partners) != 1 {
		t.Errorf("got %+v, want a fresh token and nothing merged", id)
	}
	kept := w.Browser()
	kept.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: old, Path: "/"})
	wantSignedIn(t, w, kept, "")
	// The page was open twice: the same answer again leads to the same place, and the other answer is too late.
	if a := b.Post(switchURL(w), form); a.StatusCode != http.StatusSeeOther || b.Cookie(w.Public, "koubei_session") != fresh {
		t.Errorf("yes twice: got %d", a.StatusCode)
	}
	form.Set("decision", "no")
	if a := b.Post(switchURL(w), form); a.StatusCode != http.StatusGone {
		t.Errorf("no after yes: got %d, want 410", a.StatusCode)
	}
	wantSignedIn(t, w, b, testworld.ProviderStaff.OperatorID)
	if got := metric(t, w, `koubei_sessions_ended_total{reason="replaced"}`); got != 1 {
		t.Errorf("got %v replaced, want 1", got)
	}
}

func TestTheSwitchNo(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) {
		home, err := c.Web.ParseHome("/m/{partner_id}")
		if err != nil {
			t.Fatal(err)
		}
		c.Web.Homes = handler.TypedHomes{"MER": home}
	})
	b := land(t, w, testworld.Merchant)
	token := b.Cookie(w.Public, "koubei_session")
	link, page := asked(t, w, b, testworld.ProviderStaff)
	form := answerTo(t, page, "no")
	for _, what := range []string{"no", "no twice"} {
		if a := b.Post(switchURL(w), form); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/m/"+testworld.Merchant.PartnerID {
			t.Errorf("%s: got %d to %q, want 303 to the old operator's home", what, a.StatusCode, a.Header.Get("Location"))
		}
	}
	if b.Cookie(w.Public, "koubei_session") != token {
		t.Error("the token changed")
	}
	b.Header.Set("Accept", "application/json")
	form.Set("decision", "yes")
	if a := b.Post(switchURL(w), form); a.StatusCode != http.StatusGone || a.Problem() != "switch_expired" {
		t.Errorf("yes after no: got %d %q", a.StatusCode, a.Problem())
	}
	if a := b.Get(link); a.StatusCode != http.StatusGone || a.Problem() != "code_used" {
		t.Errorf("the link again: got %d %q, want 410 code_used", a.StatusCode, a.Problem())
	}
	wantSignedIn(t, w, b, testworld.Merchant.OperatorID)
}

func TestTheSwitchStaleAndExpired(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Merchant)
	link, page := asked(t, w, b, testworld.ProviderStaff)
	form := answerTo(t, page, "yes")
	b.Post(w.Public+"/logout", nil)
	_, stranger := asked(t, w, b, testworld.Sales)
	if a := b.Post(switchURL(w), formOf(stranger, "yes")); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d", a.StatusCode)
	}
	accept := b.Header.Get("Accept")
	b.Header.Set("Accept", "application/json")
	if a := b.Post(switchURL(w), form); a.StatusCode != http.StatusConflict || a.Problem() != "switch_stale" {
		t.Errorf("another session during the question: got %d %q", a.StatusCode, a.Problem())
	}
	wantSignedIn(t, w, b, testworld.Sales.OperatorID)
	b.Header.Set("Accept", accept)
	page = b.Get(link)
	if form = answerTo(t, page, "yes"); !strings.Contains(page.Body, testworld.Sales.OperatorID) {
		t.Error("asked about another session than the live one")
	}
	w.Clock.Turn(15 * time.Minute)
	b.Header.Set("Accept", "application/json")
	for _, decision := range []string{"yes", "no"} {
		form.Set("decision", decision)
		if a := b.Post(switchURL(w), form); a.StatusCode != http.StatusGone || a.Problem() != "switch_expired" {
			t.Errorf("%s after a quarter of an hour: got %d %q", decision, a.StatusCode, a.Problem())
		}
	}
	wantSignedIn(t, w, b, testworld.Sales.OperatorID)
}

func TestTheSwitchWithoutRedis(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Merchant)
	link, page := asked(t, w, b, testworld.ProviderStaff)
	form := answerTo(t, page, "yes")
	w.Redis.Freeze()
	for _, decision := range []string{"yes", "no"} {
		form.Set("decision", decision)
		a := b.Post(switchURL(w), form)
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.SetsCookie("koubei_session=") != "" {
			t.Errorf("%s: got %d, want 503 with Retry-After", decision, a.StatusCode)
		}
	}
	w.Redis.Thaw()
	wantSignedIn(t, w, b, testworld.Merchant.OperatorID)
	form.Set("decision", "yes")
	if a := b.Post(switchURL(w), answerTo(t, b.Get(link), "yes")); a.StatusCode != http.StatusSeeOther {
		t.Errorf("afterwards: got %d, want 303", a.StatusCode)
	}
	wantSignedIn(t, w, b, testworld.ProviderStaff.OperatorID)
}

func TestSwitchAfterTheOldSessionEnded(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for name, again := range map[string]func(*testworld.Browser, string, url.Values) testworld.Answer{
		"refresh": func(b *testworld.Browser, link string, _ url.Values) testworld.Answer { return b.Get(link) },
		"yes": func(b *testworld.Browser, _ string, form url.Values) testworld.Answer {
			return b.Post(switchURL(w), form)
		},
	} {
		b := land(t, w, testworld.Merchant)
		link, page := asked(t, w, b, testworld.ProviderStaff)
		form := answerTo(t, page, "yes")
		b.Post(w.Public+"/logout", nil)
		if a := again(b, link, form); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: got %d, want 303", name, a.StatusCode)
		}
		wantSignedIn(t, w, b, testworld.ProviderStaff.OperatorID)
	}
}

func TestAForgedSwitchIsRefused(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Merchant)
	_, page := asked(t, w, b, testworld.ProviderStaff)
	form := answerTo(t, page, "yes")
	stranger := w.Browser()
	stranger.Header.Set("Accept", "application/json")
	for _, decision := range []string{"yes", "no"} {
		form.Set("decision", decision)
		if a := stranger.Post(switchURL(w), form); a.StatusCode != http.StatusGone || a.Problem() != "switch_expired" || a.SetsCookie("koubei_session=") != "" {
			t.Errorf("a stranger's %s: got %d %q", decision, a.StatusCode, a.Problem())
		}
	}
	wantSignedIn(t, w, stranger, "")
	b.Header.Set("Accept", "application/json")
	for _, tt := range []struct {
		name   string
		change url.Values
		code   string
	}{
		{"no decision", url.Values{"decision": nil}, "bad_request"},
		{"two decisions", url.Values{"decision": {"yes", "no"}}, "bad_request"},
		{"another decision", url.Values{"decision": {"YES"}}, "bad_request"},
		{"another landing", url.Values{"landing": {strings.Repeat("A", 43)}}, "switch_expired"},
		{"a landing with a glob", url.Values{"landing": {"*"}}, "switch_expired"},
		{"no landing", url.Values{"landing": nil}, "switch_expired"},
		{"another session", url.Values{"session": {strings.Repeat("A", 43)}}, "switch_stale"},
		{"no session", url.Values{"session": nil}, "switch_stale"},
		{"another site", url.Values{"return_to": {"https://evil.example/"}}, "invalid_return_to"},
		{"another site without a scheme", url.Values{"return_to": {"//evil.example/"}}, "invalid_return_to"},
	} {
		forged := answerTo(t, page, "yes")
		for name, values := range tt.change {
			forged[name] = values
		}
		if a := b.Post(switchURL(w), forged); a.Problem() != tt.code || a.SetsCookie("koubei_session=") != "" {
			t.Errorf("%s: got %d %q, want %q", tt.name, a.StatusCode, a.Problem(), tt.code)
		}
	}
	// Values in the address are not the user's answer.
	if a := b.Post(switchURL(w)+"?"+form.Encode(), nil); a.Problem() != "bad_request" {
		t.Errorf("in the query: got %d %q", a.StatusCode, a.Problem())
	}
	torn, _ := http.NewRequest(http.MethodPost, switchURL(w), strings.NewReader(answerTo(t, page, "yes").Encode()+"&%zz"))
	torn.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {w.Public}}
	if a := b.Do(torn); a.Problem() != "bad_request" {
		t.Errorf("a torn form: got %d %q", a.StatusCode, a.Problem())
	}
	wantSignedIn(t, w, b, testworld.Merchant.OperatorID)
	if a := b.Post(switchURL(w), answerTo(t, page, "yes")); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the real one: got %d", a.StatusCode)
	}
}

// TestAMalformedAnswerAsksNobody: what cannot name a landing is no part of a key of Redis.
func TestAMalformedAnswerAsksNobody(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	w.Redis.Kill()
	for _, landing := range []string{"", "*", strings.Repeat("A", 42), strings.Repeat("A", 9000)} {
		if a := w.Program().Post(switchURL(w), url.Values{"landing": {landing}, "decision": {"yes"}}); a.Problem() != "switch_expired" {
			t.Errorf("%.50q: got %d %q, want switch_expired", landing, a.StatusCode, a.Problem())
		}
	}
}

func TestACrossSiteSwitchIsRefused(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.CORSOrigins = []string{"https://shop.example"} })
	b := land(t, w, testworld.Merchant)
	_, page := asked(t, w, b, testworld.ProviderStaff)
	form := answerTo(t, page, "yes").Encode()
	b.Header.Set("Accept", "application/json")
	for _, tt := range []struct {
		name, site, origin string
		status             int
	}{
		{"cross-site", "cross-site", "https://evil.example", 403},
		{"a sibling host", "same-site", "http://evil.127.0.0.1", 403},
		{"another port of this host", "same-site", "http://127.0.0.1:1", 403},
		{"opaque", "cross-site", "null", 403},
		{"an origin that may sign out, but not decide", "cross-site", "https://shop.example", 403},
		{"an old web view, foreign", "", "https://evil.example", 403},
		{"an old web view, opaque", "", "null", 403},
		{"an old web view, ours", "", w.Public, 303},
		{"ours", "same-origin", w.Public, 303},
	} {
		r, _ := http.NewRequest(http.MethodPost, switchURL(w), strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", tt.origin)
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		a := b.Do(r)
		if a.StatusCode != tt.status || tt.status == http.StatusForbidden && a.Problem() != "cross_origin" {
			t.Errorf("%s: got %d %q, want %d", tt.name, a.StatusCode, a.Problem(), tt.status)
		}
		if tt.status == http.StatusForbidden {
			wantSignedIn(t, w, b, testworld.Merchant.OperatorID)
		}
	}
}

func TestTheSwitchWithoutTheQuestion(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Landing.Confirm = false })
	b := land(t, w, testworld.Merchant)
	old := b.Cookie(w.Public, "koubei_session")
	_, a := asked(t, w, b, testworld.ProviderStaff)
	if a.StatusCode != http.StatusSeeOther || b.Cookie(w.Public, "koubei_session") == old {
		t.Errorf("got %d, want 303 with a fresh token", a.StatusCode)
	}
	kept := w.Browser()
	kept.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: old, Path: "/"})
	wantSignedIn(t, w, kept, "")
	if got := metric(t, w, `koubei_sessions_ended_total{reason="replaced"}`); got != 1 {
		t.Errorf("got %v replaced, want 1", got)
	}
}

// TestLoginCSRF: an attacker makes a victim's browser open a link with the attacker's own code.
func TestLoginCSRF(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	victim := land(t, w, testworld.Merchant)
	token := victim.Cookie(w.Public, "koubei_session")
	for range 2 { // an image is refused, a navigation is asked about
		_, page := asked(t, w, victim, testworld.Sales)
		if page.StatusCode != http.StatusOK || !strings.Contains(page.Body, testworld.Sales.OperatorID) {
			t.Fatalf("got %d, want a page that names the stranger", page.StatusCode)
		}
	}
	wantSignedIn(t, w, victim, testworld.Merchant.OperatorID)
	if victim.Cookie(w.Public, "koubei_session") != token {
		t.Error("the victim's token changed")
	}
	if n := w.Redis.Client.Exists(t.Context(), w.Config.Redis.Prefix+"operator:"+testworld.Sales.OperatorID).Val(); n != 0 {
		t.Error("the attacker's session began without a word")
	}
	_, page := asked(t, w, victim, testworld.Sales)
	if a := victim.Post(switchURL(w), answerTo(t, page, "no")); a.StatusCode != http.StatusSeeOther {
		t.Errorf("no: got %d", a.StatusCode)
	}
	wantSignedIn(t, w, victim, testworld.Merchant.OperatorID)
}

func TestALandingBesideTwoSessions(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	one, two := land(t, w, testworld.Merchant), land(t, w, testworld.Sales)
	send := func(method, address, body string) testworld.Answer {
		r, _ := http.NewRequest(method, address, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", w.Public)
		for _, b := range []*testworld.Browser{one, two} {
			r.AddCookie(&http.Cookie{Name: "koubei_session", Value: b.Cookie(w.Public, "koubei_session")})
		}
		p := w.Browser()
		p.Header = http.Header{"Accept": {"text/html"}}
		p.Client.Jar = nil
		return p.Do(r)
	}
	page := send(http.MethodGet, w.Landing(w.Koubei.Issue(testworld.Provider)), "")
	a := send(http.MethodPost, switchURL(w), answerTo(t, page, "yes").Encode())
	if a.StatusCode != http.StatusSeeOther || a.SetsCookie("koubei_session=") == "" {
		t.Fatalf("got %d, want 303: the answer was about both", a.StatusCode)
	}
	wantSignedIn(t, w, one, "")
	wantSignedIn(t, w, two, "")
	// One session is of the landing's operator, the other of a stranger. The page asks about the stranger's.
	own, tossed := land(t, w, testworld.Provider), land(t, w, testworld.Sales)
	one, two = own, tossed
	page = send(http.MethodGet, w.Landing(w.Koubei.Issue(with("2088000000000001"))), "")
	if !strings.Contains(page.Body, testworld.Sales.OperatorID) {
		t.Error("the tossed session is not named")
	}
	if a := send(http.MethodPost, switchURL(w), answerTo(t, page, "yes").Encode()); a.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d", a.StatusCode)
	}
	if _, id := own.Session(w.Service, ""); fmt.Sprint(partnerIDs(id)) != "[2088000000000001 2088102150477653]" {
		t.Errorf("got %v, want the partner added to the operator's own session", partnerIDs(id))
	}
	wantSignedIn(t, w, tossed, "")
}
