package handler_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

func TestEveryOperatorTypeLands(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for _, person := range []koubeisim.Person{testworld.Provider, testworld.ProviderStaff, testworld.Merchant, testworld.MerchantStaff, testworld.Sales} {
		t.Run(person.OperatorType, func(t *testing.T) {
			b := w.Browser()
			code := w.Koubei.Issue(person)
			a := b.Land(w.Landing(code))
			if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" {
				t.Fatalf("got %d to %q, want 303 to /", a.StatusCode, a.Header.Get("Location"))
			}
			_, id := b.Session(w.Service, "")
			if id.OperatorID != person.OperatorID || id.OperatorType != person.OperatorType || id.ShopIDs != person.ShopIDs {
				t.Errorf("got %+v, want %+v", id, person)
			}
			if n := w.Koubei.CallsFor(code); n != 1 {
				t.Errorf("got %d calls, want 1", n)
			}
		})
	}
}

func TestBothSpellingsOfTheRedirectLand(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for _, spelling := range []koubeisim.Spelling{koubeisim.Observed, koubeisim.Documented} {
		code := w.Koubei.Issue(testworld.Merchant)
		if a := w.Browser().Land(w.Koubei.LandingURL(code, spelling)); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%v: got %d, want 303", spelling, a.StatusCode)
		}
	}
}

// refusal is a request that is refused before its code is sent.
type refusal struct {
	name   string
	query  string // CODE stands for a new code
	method string
	header map[string]string
	status int
	code   string
}

func TestRefusedBeforeAnythingIsSpent(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for _, tt := range []refusal{
		{name: "another method", method: "PUT", query: "code=CODE", status: 405, code: "method_not_allowed"},
		{name: "an unknown method", method: "BREW", query: "code=CODE", status: 405, code: "method_not_allowed"},
		{name: "a script's fetch", query: "code=CODE", header: map[string]string{"Sec-Fetch-Mode": "cors"}, status: 400, code: "not_a_navigation"},
		{name: "an image", query: "code=CODE", header: map[string]string{"Sec-Fetch-Mode": "no-cors"}, status: 400, code: "not_a_navigation"},
		{name: "the return of an application authorisation", query: "app_id=1&app_auth_code=CODE", status: 400, code: "not_a_landing"},
		{name: "Koubei's own error", query: "error=access_denied", status: 400, code: "not_a_landing"},
		{name: "no code", query: "", status: 400, code: "invalid_code"},
		{name: "an empty code", query: "code=", status: 400, code: "invalid_code"},
		{name: "a repeated code", query: "code=CODE&code=CODE", status: 400, code: "invalid_code"},
		{name: "a repeated auth_code", query: "auth_code=CODE&auth_code=x", status: 400, code: "invalid_code"},
		{name: "codes that differ", query: "code=CODE&auth_code=x", status: 400, code: "invalid_code"},
		{name: "an empty code beside one", query: "code=&auth_code=CODE", status: 400, code: "invalid_code"},
		{name: "a code of 33 characters", query: "code=CODEx", status: 400, code: "invalid_code"},
		{name: "a code with a space", query: "code=ab+cd", status: 400, code: "invalid_code"},
		{name: "a code with a control character", query: "code=ab%0dcd", status: 400, code: "invalid_code"},
		{name: "a code that is not ASCII", query: "code=%E7%A0%81", status: 400, code: "invalid_code"},
		{name: "a malformed code", query: "code=%zz", status: 400, code: "invalid_code"},
		{name: "a malformed code beside one", query: "code=CODE&auth_code=%", status: 400, code: "invalid_code"},
		{name: "another application's", query: "code=CODE&app_id=2021000000000001", status: 400, code: "wrong_app"},
		{name: "a repeated app_id", query: "code=CODE&app_id=APP&app_id=APP", status: 400, code: "wrong_app"},
		{name: "a malformed app_id", query: "code=CODE&app_id=%zz", status: 400, code: "wrong_app"},
		{name: "a repeated auth_type", query: "code=CODE&auth_type=pay_member&auth_type=pay_member", status: 400, code: "wrong_app"},
		{name: "another kind of authorisation", query: "code=CODE&auth_type=pay_user", status: 400, code: "wrong_app"},
		{name: "return_to of another site", query: "code=CODE&return_to=https://evil.example/", status: 400, code: "invalid_return_to"},
		{name: "a malformed return_to", query: "code=CODE&return_to=/%zz", status: 400, code: "invalid_return_to"},
		{name: "an empty return_to", query: "code=CODE&return_to=", status: 400, code: "invalid_return_to"},
		{name: "return_to twice", query: "code=CODE&return_to=/a&return_to=/a", status: 400, code: "invalid_return_to"},
		{name: "in a frame", query: "code=CODE", header: map[string]string{"Sec-Fetch-Dest": "iframe"}, status: 403, code: "cookies_blocked"},
		// If several parts are invalid, the first check decides.
		{name: "no code, and another application", query: "app_id=1", status: 400, code: "invalid_code"},
		{name: "another application, by a script", query: "code=CODE&app_id=1", header: map[string]string{"Sec-Fetch-Mode": "cors"}, status: 400, code: "not_a_navigation"},
		{name: "another site, in a frame", query: "code=CODE&return_to=//evil.example", header: map[string]string{"Sec-Fetch-Dest": "iframe"}, status: 400, code: "invalid_return_to"},
		{name: "another application, and another site", query: "code=CODE&app_id=1&return_to=//evil.example", status: 400, code: "wrong_app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page := tt.try(t, w, "text/html")
			if page.StatusCode != tt.status || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
				t.Errorf("page: got %d %s, want %d and HTML", page.StatusCode, page.Header.Get("Content-Type"), tt.status)
			}
			if tt.status == http.StatusMethodNotAllowed && page.Header.Values("Allow") == nil {
				t.Error("a 405 without Allow")
			}
			if problem := tt.try(t, w, "application/json"); problem.StatusCode != tt.status || problem.Problem() != tt.code {
				t.Errorf("problem: got %d %q, want %d %q", problem.StatusCode, problem.Problem(), tt.status, tt.code)
			}
		})
	}
	if calls := w.Koubei.Calls(); len(calls) != 0 {
		t.Errorf("got %d gateway calls, want none", len(calls))
	}
	if keys, err := w.Redis.Client.DBSize(t.Context()).Result(); err != nil || keys != 0 {
		t.Errorf("got %d keys in Redis (%v), want none", keys, err)
	}
}

// try sends the invalid request with a new code.
func (tt refusal) try(t *testing.T, w *testworld.World, accept string) testworld.Answer {
	t.Helper()
	query := strings.ReplaceAll(tt.query, "CODE", w.Koubei.Issue(testworld.Merchant))
	query = strings.ReplaceAll(query, "APP", w.Koubei.AppID())
	r, err := http.NewRequest(tt.method, w.Public+w.Config.Web.CallbackPath+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if tt.method == "" {
		r.Method = http.MethodGet
	}
	r.Header.Set("Accept", accept)
	for name, value := range tt.header {
		r.Header.Set(name, value)
	}
	return w.Browser().Do(r)
}

func TestAPrefetchSpendsNothing(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	code := w.Koubei.Issue(testworld.Merchant)
	b := w.Browser()
	for _, header := range []string{
		"Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Sec-Purpose: prefetch;anonymous-client-ip", "Sec-Purpose: x, prerender",
		"Purpose: prefetch", "Purpose: Prefetch", "Purpose: preview", "X-Purpose: preview", "X-Purpose: x;PREFETCH", "X-Moz: prefetch", "X-Moz: x,prerender",
	} {
		r, _ := http.NewRequest(http.MethodGet, w.Landing(code), nil)
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
		a := b.Do(r)
		if a.StatusCode != http.StatusServiceUnavailable || a.Body != "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %q %q, want an empty 503 that is not stored", header, a.StatusCode, a.Body, a.Header.Get("Cache-Control"))
		}
	}
	r, _ := http.NewRequest(http.MethodHead, w.Landing(code), nil)
	if a := b.Do(r); a.StatusCode != http.StatusNoContent {
		t.Errorf("HEAD: got %d, want 204", a.StatusCode)
	}
	if n := w.Koubei.CallsFor(code); n != 0 {
		t.Fatalf("got %d calls, want none before the real click", n)
	}
	if a := b.Land(w.Landing(code)); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the real click: got %d, want 303", a.StatusCode)
	}
}

// TestForeignParametersAreNotJudged: other parameters of the registered address do not prevent a landing, and the hop keeps
// them unchanged.
func TestForeignParametersAreNotJudged(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for _, foreign := range []string{
		"a;b", ";", "x=1;y=2", "x=%", "x=%zz", "%=1", "%zz", "x=100%&y=2", "x=%ff%fe", "x=%u4e2d", "=", "&&", "x", "a=1&a=2", "CODE=1&Code=2", "code%00=1",
		"x=%2525", "utm=a+b%20c", "q[]=1", "x=\xff\xfe", "x=\u4e2d\u6587", "x=" + strings.Repeat("%", 3000),
	} {
		for _, query := range []string{foreign + "&code=CODE", "code=CODE&" + foreign, "auth_code=CODE&app_id=APP&" + foreign + "&auth_type=pay_member"} {
			query = strings.NewReplacer("CODE", w.Koubei.Issue(testworld.Merchant), "APP", w.Koubei.AppID()).Replace(query)
			address := w.Public + w.Config.Web.CallbackPath + "?" + query
			b := w.Browser()
			hop := b.Get(address)
			want := w.Config.Web.CallbackPath + "?" + query + "&arrived="
			if location := hop.Header.Get("Location"); !strings.HasPrefix(location, asASCII(want)) {
				t.Errorf("%.60q: the hop leads to %.100q, want %.100q", foreign, location, want)
			}
			if a := b.Land(address); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" {
				t.Errorf("%.60q: got %d to %.100q, want it landed", foreign, a.StatusCode, a.Header.Get("Location"))
			}
		}
	}
}

// asASCII returns an address as a header contains it, with escaped non-ASCII bytes.
func asASCII(address string) string {
	var b strings.Builder
	for i := range len(address) {
		if address[i] < 0x80 {
			b.WriteByte(address[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", address[i])
		}
	}
	return b.String()
}

// verdict is the gateway's response to a code, or a failure of the network.
type verdict struct {
	name   string
	faults []koubeisim.Fault
	status int
	code   string
	calls  int  // for the first landing
	again  bool // the same link later lands
	kept   bool // the verdict is stored: a second landing makes no call
}

func TestWhatTheGatewaySays(t *testing.T) {
	t.Parallel()
	// What ends by a timeout has a short one. Everything else waits for the gateway, also on a busy machine.
	hurried := testworld.New(t, func(c *app.Config) { c.Alipay.Timeout, c.Alipay.AttemptTimeout = 2*time.Second, time.Second })
	patient := testworld.New(t, func(c *app.Config) { c.Alipay.Timeout, c.Alipay.AttemptTimeout = time.Minute, time.Minute })
	many := func(f koubeisim.Fault) []koubeisim.Fault { return []koubeisim.Fault{f, f, f, f, f, f, f, f} }
	for _, tt := range []verdict{
		{name: "busy, then well", faults: []koubeisim.Fault{koubeisim.Busy}, status: 303, calls: 2},
		{name: "system error, then well", faults: []koubeisim.Fault{koubeisim.SystemError}, status: 303, calls: 2},
		{name: "cut, then well", faults: []koubeisim.Fault{koubeisim.Drop}, status: 303, calls: 2},
		{name: "busy", faults: many(koubeisim.Busy), status: 503, code: "gateway_unavailable", again: true},
		{name: "busy unsigned", faults: many(koubeisim.BusyUnsigned), status: 503, code: "gateway_unavailable", again: true},
		{name: "limited", faults: many(koubeisim.Limited), status: 503, code: "gateway_unavailable", again: true},
		{name: "status 500", faults: many(koubeisim.Status500), status: 503, code: "gateway_unavailable", again: true},
		{name: "a web page", faults: many(koubeisim.HTML), status: 503, code: "gateway_unavailable", again: true},
		{name: "a redirect", faults: many(koubeisim.Redirect), status: 503, code: "gateway_unavailable", again: true},
		{name: "no answer in time", faults: many(koubeisim.Slow), status: 503, code: "gateway_unavailable", again: true},
		{name: "answer lost", faults: []koubeisim.Fault{koubeisim.SpendThenDrop}, status: 410, code: "code_not_exist", calls: 2, kept: true},
		{name: "invalid parameter", faults: []koubeisim.Fault{koubeisim.InvalidParameter}, status: 400, code: "invalid_parameter", calls: 1, kept: true},
		{name: "not exist", faults: []koubeisim.Fault{koubeisim.NotExist}, status: 410, code: "code_not_exist", calls: 1, kept: true},
		{name: "expired", faults: []koubeisim.Fault{koubeisim.Expired}, status: 410, code: "code_expired", calls: 1, kept: true},
		{name: "access denied", faults: []koubeisim.Fault{koubeisim.AccessDenied}, status: 403, code: "access_not_allowed", calls: 1, kept: true},
		{name: "success unsigned", faults: []koubeisim.Fault{koubeisim.Unsigned}, status: 502, code: "gateway_untrusted", calls: 1},
		{name: "tampered", faults: []koubeisim.Fault{koubeisim.Tampered}, status: 502, code: "gateway_untrusted", calls: 1},
		{name: "a stranger's key", faults: []koubeisim.Fault{koubeisim.WrongKey}, status: 502, code: "gateway_untrusted", calls: 1},
		{name: "second node", faults: []koubeisim.Fault{koubeisim.SecondNode}, status: 502, code: "gateway_untrusted", calls: 1},
		{name: "empty operator", faults: []koubeisim.Fault{koubeisim.Malformed}, status: 502, code: "gateway_untrusted", calls: 1},
		{name: "invalid app id", faults: []koubeisim.Fault{koubeisim.InvalidAppID}, status: 502, code: "gateway_rejected", calls: 1, again: true},
		{name: "invalid signature", faults: []koubeisim.Fault{koubeisim.InvalidSignature}, status: 502, code: "gateway_rejected", calls: 1, again: true},
		{name: "unsigned expired", faults: []koubeisim.Fault{koubeisim.UnsignedExpired}, status: 502, code: "gateway_rejected", calls: 1, again: true},
		{name: "no permission", faults: []koubeisim.Fault{koubeisim.NoPermission}, status: 502, code: "gateway_rejected", calls: 1, again: true},
		{name: "null in optional members", faults: []koubeisim.Fault{koubeisim.NullFields}, status: 303, calls: 1},
		{name: "shops in an array", faults: []koubeisim.Fault{koubeisim.ShopArray}, status: 303, calls: 1},
		{name: "sign is null", faults: []koubeisim.Fault{koubeisim.NullSign}, status: 502, code: "gateway_untrusted", calls: 1, again: true},
		{name: "numeric error code", faults: []koubeisim.Fault{koubeisim.NumberErrorCode}, status: 502, code: "gateway_untrusted", calls: 1, again: true},
		{name: "error in another node", faults: []koubeisim.Fault{koubeisim.OtherNodeError}, status: 502, code: "gateway_untrusted", calls: 1, again: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := patient
			if tt.calls == 0 {
				w = hurried
			}
			tt.check(t, w)
		})
	}
}

func (tt verdict) check(t *testing.T, w *testworld.World) {
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Merchant)
	w.Koubei.Next(tt.faults...)
	a := b.Land(w.Landing(code))
	w.Koubei.ClearFaults()
	if a.StatusCode != tt.status {
		t.Fatalf("got %d, want %d", a.StatusCode, tt.status)
	}
	if tt.calls != 0 && w.Koubei.CallsFor(code) != tt.calls {
		t.Errorf("got %d calls, want %d", w.Koubei.CallsFor(code), tt.calls)
	}
	if tt.status == http.StatusSeeOther {
		return
	}
	checkErrorPage(t, a, code, tt.code)
	before := w.Koubei.CallsFor(code)
	b.Header.Set("Accept", "application/json")
	again := b.Land(w.Landing(code))
	for range 10 { // hurried, on a busy machine
		if tt.again && tt.calls == 0 && again.StatusCode == http.StatusServiceUnavailable {
			again = b.Land(w.Landing(code))
		}
	}
	switch {
	case tt.again && again.StatusCode != http.StatusSeeOther:
		t.Errorf("again: got %d %s, want 303", again.StatusCode, again.Problem())
	case tt.kept && (again.Problem() != tt.code || w.Koubei.CallsFor(code) != before):
		t.Errorf("again: got %q after %d calls, want %q after %d", again.Problem(), w.Koubei.CallsFor(code), tt.code, before)
	case !tt.kept && w.Koubei.CallsFor(code) == before:
		t.Error("again: got no call, want another call")
	}
}

// checkErrorPage checks the requirements of every error page.
func checkErrorPage(t *testing.T, a testworld.Answer, code, problem string) {
	t.Helper()
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("got %s, want a page", a.Header.Get("Content-Type"))
	}
	if id := a.Header.Get("X-Request-Id"); id == "" || !strings.Contains(a.Body, id) {
		t.Errorf("the request id %q is not on the page", id)
	}
	if a.StatusCode == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
		t.Error("a 503 without Retry-After")
	}
	for _, inside := range []string{"alipay:", "landing:", "store:", "AUTH_CODE", "isv.", "goroutine"} {
		if strings.Contains(a.Body, inside) {
			t.Errorf("%s: the page shows %q", problem, inside)
		}
	}
	if a.StatusCode != http.StatusServiceUnavailable && strings.Contains(a.Body, code) {
		t.Errorf("%s: the page holds the code", problem)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", a.Header.Get("Cache-Control"))
	}
}

func TestTheSameBrowserGetsTheSameSession(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Provider)
	link := w.Landing(code) + "&return_to=" + url.QueryEscape("/shop?id=7")
	first := b.Land(link)
	token := b.Cookie(w.Public, "koubei_session")
	for range 3 {
		again := b.Get(link)
		if again.StatusCode != http.StatusSeeOther || again.Header.Get("Location") != first.Header.Get("Location") {
			t.Fatalf("got %d to %q, want 303 to %q", again.StatusCode, again.Header.Get("Location"), first.Header.Get("Location"))
		}
	}
	if got := b.Cookie(w.Public, "koubei_session"); got != token {
		t.Error("the token changed")
	}
	// A lost response: the browser has the arrival cookie, but not the session cookie.
	b.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", MaxAge: -1, Path: "/"})
	if a := b.Get(link); a.StatusCode != http.StatusSeeOther || b.Cookie(w.Public, "koubei_session") != token {
		t.Errorf("after a lost answer: got %d, want 303 with the same token", a.StatusCode)
	}
	if n := w.Koubei.CallsFor(code); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
}

func TestAnotherBrowserGetsNothing(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	code := w.Koubei.Issue(testworld.Provider)
	w.Browser().Land(w.Landing(code))
	for name, thief := range map[string]*testworld.Browser{"browser": w.Browser(), "program": w.Program()} {
		thief.Header.Set("Accept", "application/json")
		a := thief.Land(w.Landing(code))
		if a.StatusCode != http.StatusGone || a.Problem() != "code_used" || a.SetsCookie("koubei_session=") != "" {
			t.Errorf("%s: got %d %q, want 410 code_used", name, a.StatusCode, a.Problem())
		}
		if got, _ := thief.Session(w.Service, ""); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got %d from /session, want 401", name, got.StatusCode)
		}
	}
	if n := w.Koubei.CallsFor(code); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
}

func TestAProgramLandsWithoutTheHopAndRepeatsWithItsSessionOnly(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	p := w.Program()
	code := w.Koubei.Issue(testworld.Provider)
	if a := p.Get(w.Landing(code)); a.StatusCode != http.StatusSeeOther || strings.Contains(a.Header.Get("Location"), "arrived") || a.SetsCookie("koubei_session_arrival") != "" {
		t.Fatalf("got %d to %s, want 303 home without an arrival", a.StatusCode, a.Header.Get("Location"))
	}
	if a := p.Get(w.Landing(code)); a.StatusCode != http.StatusSeeOther {
		t.Errorf("with its session: got %d, want 303", a.StatusCode)
	}
	p.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", MaxAge: -1, Path: "/"})
	if a := p.Get(w.Landing(code)); a.Problem() != "code_used" {
		t.Errorf("without it: got %d %q, want code_used", a.StatusCode, a.Problem())
	}
}

func TestASessionThatEndedIsNotGivenAgain(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Provider)
	b.Land(w.Landing(code))
	if a := b.Post(w.Public+"/logout", nil); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/signed-out" {
		t.Fatalf("sign-out: got %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	b.Header.Set("Accept", "application/json")
	if a := b.Get(w.Landing(code)); a.Problem() != "code_used" {
		t.Errorf("got %d %q, want code_used", a.StatusCode, a.Problem())
	}
}

func TestSessionWithTheCodeIsReplayed(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Provider)
	b.Land(w.Landing(code))
	for _, key := range w.Redis.Client.Keys(t.Context(), "*:code:*").Val() {
		w.Redis.Client.Del(t.Context(), key)
	}
	if a := b.Get(w.Landing(code)); a.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d, want 303", a.StatusCode)
	}
	if n := w.Koubei.CallsFor(code); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
}

func TestNoExchangeWithoutRedis(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Provider)
	w.Redis.Kill()
	a := b.Land(w.Landing(code))
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Fatalf("got %d, want 503 with Retry-After", a.StatusCode)
	}
	if n := w.Koubei.CallsFor(code); n != 0 {
		t.Fatalf("got %d calls, want none", n)
	}
	if s, _ := b.Session(w.Service, ""); s.StatusCode != http.StatusUnauthorized {
		t.Errorf("/session without a cookie: got %d, want 401, which needs no Redis", s.StatusCode)
	}
	w.Redis.Start()
	if a := b.Land(w.Landing(code)); a.StatusCode != http.StatusSeeOther {
		t.Errorf("afterwards: got %d, want 303", a.StatusCode)
	}
}

func TestAFrozenRedisIsAnsweredWithinItsTimeout(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	w.Redis.Freeze()
	for _, path := range []string{"/session", "/"} {
		start := time.Now()
		a := b.Get(w.Public + path)
		if took := time.Since(start); a.StatusCode != http.StatusServiceUnavailable || took > 2*w.Config.Redis.Timeout {
			t.Errorf("%s: got %d after %s, want 503 before a second timeout", path, a.StatusCode, took)
		}
	}
	if a := b.Post(w.Public+"/logout", nil); a.StatusCode != http.StatusServiceUnavailable || len(a.Cookies()) != 0 {
		t.Errorf("sign-out: got %d with %d cookies, want 503 that keeps them", a.StatusCode, len(a.Cookies()))
	}
	w.Redis.Thaw()
	if a, id := b.Session(w.Service, ""); a.StatusCode != http.StatusOK || id.OperatorID != testworld.Provider.OperatorID {
		t.Errorf("after the thaw: got %d, want the session intact", a.StatusCode)
	}
}

func TestCanceledLandingDoesNotLoseTheCode(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Provider)
	hop := b.Get(w.Landing(code))
	marked, _ := hop.Request.URL.Parse(hop.Header.Get("Location"))
	w.Koubei.Next(koubeisim.SpendThenHold)
	ctx, leave := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, marked.String(), nil)
	r.Header = b.Header.Clone()
	left := make(chan error, 1)
	go func() {
		_, err := b.Client.Do(r)
		left <- err
	}()
	awaitHeld(t, w, 1)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the browser to leave", err)
	}
	w.Koubei.Release()
	testworld.Eventually(t, 30*time.Second, "the same browser gets its session", func() error {
		if a := b.Get(marked.String()); a.StatusCode != http.StatusSeeOther {
			return fmt.Errorf("got %d", a.StatusCode)
		}
		return nil
	})
	if n := w.Koubei.CallsFor(code); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
}

func TestConcurrentLandingsShareOneExchange(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	// The first landing starts the session, so that the others belong to one browser and one session.
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	const tabs = 8
	done := make(chan int, 2*tabs)
	for i := range tabs {
		person := testworld.Provider
		person.PartnerID = fmt.Sprintf("20881021504780%02d", i)
		link := w.Landing(w.Koubei.Issue(person))
		for range 2 { // each tab is double-clicked
			go func() {
				r, _ := http.NewRequest(http.MethodGet, link, nil)
				a, err := b.Try(r)
				if err != nil {
					done <- 0
					return
				}
				done <- a.StatusCode
			}()
		}
	}
	for range 2 * tabs {
		if status := <-done; status != http.StatusSeeOther {
			t.Errorf("got %d, want 303", status)
		}
	}
	if _, id := b.Session(w.Service, ""); len(id.Partners) != tabs+1 {
		t.Errorf("got partners %v, want %d", partnerIDs(id), tabs+1)
	}
	if n := len(w.Koubei.Calls()); n != tabs+1 {
		t.Errorf("got %d calls, want %d", n, tabs+1)
	}
}
