package handler_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// Each test here is an attack. The tests of cross-site forms, of forged and stolen pending cookies and of stolen arrivals
// are beside the tests of those features.

// TestASlowClientIsCut starts its attacks, lets the other tests run, and then checks the result.
func TestASlowClientIsCut(t *testing.T) {
	w := testworld.New(t)
	type cut struct {
		name  string
		after time.Duration
		most  time.Duration
		err   error
	}
	done := make(chan cut, 3)
	attack := func(name, begin string, most time.Duration) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.Public, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		begun := time.Now()
		go func() { // a byte now and then, so that the connection is never idle
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			_, err := io.WriteString(conn, begin)
			for err == nil {
				<-tick.C
				_, err = io.WriteString(conn, "x")
			}
		}()
		go func() {
			_ = conn.SetReadDeadline(begun.Add(40 * time.Second))
			_, err := io.Copy(io.Discard, conn)
			done <- cut{name, time.Since(begun), most, err}
		}()
	}
	attack("slow headers", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", 20*time.Second)
	attack("slow line", "GET /", 15*time.Second)
	attack("slow body", "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\n", 15*time.Second)
	t.Parallel()
	for range 3 {
		if c := <-done; c.after > c.most || errors.Is(c.err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: cut after %s (%v), want at most %s", c.name, c.after, c.err, c.most)
		}
	}
}

func TestFixation(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	attacker := land(t, w, testworld.Sales)
	known := attacker.Cookie(w.Public, "koubei_session")
	ended := land(t, w, testworld.Sales)
	old := ended.Cookie(w.Public, "koubei_session")
	ended.Post(w.Public+"/logout", nil)
	for name, planted := range map[string]string{
		"made up":     strings.Repeat("A", 43),
		"ended":       old,
		"a hash":      listedHash(t, w),
		"the arrival": "1." + strings.Repeat("A", 22),
	} {
		victim := w.Browser()
		victim.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: planted, Path: "/"})
		if a := victim.Land(w.Landing(w.Koubei.Issue(testworld.Merchant))); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: got %d", name, a.StatusCode)
		}
		if victim.Cookie(w.Public, "koubei_session") == planted {
			t.Errorf("%s: the planted token was adopted", name)
		}
		thief := w.Browser()
		thief.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: planted, Path: "/"})
		wantSignedIn(t, w, thief, "")
	}
	// The attacker plants a live session of their own. The victim is asked, and never shares a session with the attacker.
	victim := w.Browser()
	victim.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: known, Path: "/"})
	_, page := asked(t, w, victim, testworld.Merchant)
	if a := victim.Post(switchURL(w), answerTo(t, page, "yes")); a.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d", a.StatusCode)
	}
	if victim.Cookie(w.Public, "koubei_session") == known {
		t.Error("the attacker's token was adopted")
	}
	wantSignedIn(t, w, victim, testworld.Merchant.OperatorID)
	wantSignedIn(t, w, attacker, "")
}

// listedHash returns the name of a live session in Redis.
func listedHash(t *testing.T, w *testworld.World) string {
	t.Helper()
	land(t, w, testworld.Sales)
	keys := w.Redis.Client.Keys(t.Context(), w.Config.Redis.Prefix+"session:*").Val()
	if len(keys) == 0 {
		t.Fatal("no session in Redis")
	}
	return strings.TrimPrefix(keys[0], w.Config.Redis.Prefix+"session:")
}

func TestAStolenCode(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	victim := w.Browser()
	link := w.Landing(w.Koubei.Issue(testworld.Merchant))
	marked := arrive(t, victim, link)
	victim.Get(marked)
	signedIn := land(t, w, testworld.Sales)
	for name, thief := range map[string]*testworld.Browser{"a fresh browser": w.Browser(), "a program": w.Program(), "one who is signed in": signedIn} {
		thief.Header.Set("Accept", "application/json")
		for _, address := range []string{link, marked, w.Public + w.Config.Web.CallbackPath + "?code=" + codeOf(t, link)} {
			a := thief.Land(address)
			if a.Problem() != "code_used" && a.Problem() != "cookies_blocked" || a.SetsCookie("koubei_session=") != "" {
				t.Errorf("%s: got %d %q", name, a.StatusCode, a.Problem())
			}
		}
	}
	wantSignedIn(t, w, signedIn, testworld.Sales.OperatorID)
	if n := len(w.Koubei.Calls()); n != 2 {
		t.Errorf("got %d calls, want 2", n)
	}
}

func codeOf(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("auth_code")
}

func TestReplayOfASignedOutToken(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	link := w.Landing(w.Koubei.Issue(testworld.Merchant))
	b.Land(link)
	token := b.Cookie(w.Public, "koubei_session")
	b.Post(w.Public+"/logout", nil)
	b.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: token, Path: "/"})
	wantSignedIn(t, w, b, "")
	b.Header.Set("Accept", "application/json")
	if a := b.Get(link); a.Problem() != "code_used" {
		t.Errorf("got %d %q", a.StatusCode, a.Problem())
	}
	wantSignedIn(t, w, b, "")
	// No other cookie of the service is a session either.
	for _, c := range b.Client.Jar.Cookies(mustURL(t, w.Public)) {
		thief := w.Browser()
		thief.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: c.Value, Path: "/"})
		wantSignedIn(t, w, thief, "")
	}
}

func mustURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestOpenRedirects(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	here := mustURL(t, w.Public)
	b := land(t, w, testworld.Provider)
	for _, to := range []string{
		"//evil.example", "///evil.example", "////evil.example", `/\evil.example`, `\\evil.example`, `\/evil.example`, `/./\evil.example`, "/.//evil.example",
		"/../..//evil.example", "/a/..//..//evil.example", "/%2e%2e//evil.example", "/%2f%2fevil.example", "/%5c%5cevil.example", "/\t/evil.example", "/\x0b/evil.example",
		"https://evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example", "//evil.example:80", "javascript:alert(1)", "data:text/html,x",
		w.Public + "@evil.example/", w.Public + ".evil.example/", w.Public + `\@evil.example/`, w.Public + "%2eevil.example/", "http://127.0.0.1@evil.example/",
		"http://evil.example#" + w.Public, "http://evil.example?" + w.Public, "http://[::ffff:127.0.0.1]/", "http://127.1/", "http://2130706433/", "http://127.0.0.1:1/",
		"/ok", "/ok//evil.example", "/ok?to=//evil.example", "/ok#//evil.example", "/ok;//evil.example", "/ok@evil.example", "/ok:80//evil.example", w.Public, w.Public + "/ok",
		"/\u2028", "/\u3002\u3002", "/\uff0f/evil.example", "/\u202egro.live",
	} {
		address := w.Landing(w.Koubei.Issue(testworld.Provider)) + "&return_to=" + url.QueryEscape(to)
		for name, a := range map[string]testworld.Answer{"hop": w.Browser().Get(address), "landing": b.Get(address)} {
			if a.StatusCode == http.StatusBadRequest {
				continue
			}
			location := a.Header.Get("Location")
			// Browsers treat backslashes as slashes and drop some characters.
			browser := strings.NewReplacer(`\`, "/", "\t", "", "\n", "", "\r", "").Replace(location)
			u, err := here.Parse(browser)
			if a.StatusCode != http.StatusSeeOther || err != nil || u.Host != here.Host || u.Scheme != here.Scheme || u.User != nil {
				t.Errorf("%q, %s: got %d to %q", to, name, a.StatusCode, location)
			}
		}
	}
	// The Host of a request does not change where responses lead.
	for _, path := range []string{strings.TrimPrefix(w.Landing(w.Koubei.Issue(testworld.Provider)), w.Public), "/logout"} {
		r, _ := http.NewRequest(http.MethodGet, w.Public+path, nil)
		if path == "/logout" {
			r.Method = http.MethodPost
		}
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("Forwarded", "host=evil.example")
		if a := w.Browser().Do(r); strings.Contains(a.Header.Get("Location")+a.Body, "evil.example") {
			t.Errorf("%s: got %q", path, a.Header.Get("Location"))
		}
	}
}

func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) {
		home, err := c.Web.ParseHome("/p/{partner_id}")
		if err != nil {
			t.Fatal(err)
		}
		c.Web.Home = home
	})
	const evil = "\r\nX-Evil: 1\r\nSet-Cookie: evil=1\r\n\r\n<script>alert(1)</script>"
	b := w.Browser()
	injected := func(a testworld.Answer) bool {
		return a.Header.Get("X-Evil") != "" || strings.Contains(strings.Join(a.Header.Values("Set-Cookie"), ";"), "evil=1") ||
			strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") && strings.Contains(a.Body, "<script>alert")
	}
	path := w.Public + w.Config.Web.CallbackPath
	for _, address := range []string{
		path + "?code=" + url.QueryEscape(evil), path + "?code=x&return_to=" + url.QueryEscape("/"+evil), path + "?code=x&x=" + url.QueryEscape(evil),
		path + "?code=x&app_id=" + url.QueryEscape(evil), path + "?error=" + url.QueryEscape(evil), w.Public + "/" + url.PathEscape(evil),
		w.Public + "/session?partner_id=" + url.QueryEscape(evil), w.Internal + "/auth/verify?type=" + url.QueryEscape(evil),
	} {
		if a := b.Get(address); injected(a) {
			t.Errorf("%s: got %v", address, a.Header)
		}
	}
	// Ids from the gateway end up in headers, addresses and pages. Ids with control characters are refused, and printable
	// characters are escaped.
	for id, status := range map[string]int{
		"2088" + evil: http.StatusBadGateway,
		`"><script>alert(1)</script>/../..%0d%0aX-Evil:1?a#b`: http.StatusSeeOther,
		"//evil.example": http.StatusSeeOther, "..": http.StatusSeeOther, `\evil.example`: http.StatusSeeOther,
	} {
		person := testworld.Provider
		person.PartnerID, person.ShopIDs = id, id
		victim := w.Browser()
		landed := victim.Land(w.Landing(w.Koubei.Issue(person)))
		if landed.StatusCode != status {
			t.Errorf("%q: got %d, want %d", id, landed.StatusCode, status)
		}
		if u, err := mustURL(t, w.Public).Parse(landed.Header.Get("Location")); err != nil || status == http.StatusSeeOther &&
			(u.Scheme+"://"+u.Host != w.Public || !strings.HasPrefix(u.EscapedPath(), "/p/") || strings.Count(u.EscapedPath(), "/") != 2 || u.Path == "/p/..") {
			t.Errorf("%q: got sent to %q", id, landed.Header.Get("Location"))
		}
		for _, a := range []testworld.Answer{landed, victim.Get(w.Public + "/"), victim.Get(w.Public + "/session"), verify(t, w, victim, http.MethodGet, "", nil)} {
			if injected(a) {
				t.Errorf("%q: got %v", id, a.Header)
			}
		}
	}
	// The service does not use a request id that the client sends.
	r, _ := http.NewRequest(http.MethodGet, w.Public+"/signin", nil)
	r.Header.Set("X-Request-Id", "mine")
	if a := b.Do(r); a.Header.Get("X-Request-Id") == "mine" {
		t.Error("the request's own id was taken over")
	}
}

func TestMethodOverrideIsIgnored(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, administered)
	b := land(t, w, testworld.Provider)
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		for _, address := range []string{w.Public + "/logout?_method=POST", switchURL(w) + "?_method=POST"} {
			r, _ := http.NewRequest(http.MethodGet, address, nil)
			r.Header.Set(name, http.MethodPost)
			if a := b.Do(r); a.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: got %d, want 405", name, address, a.StatusCode)
			}
		}
		r, _ := http.NewRequest(http.MethodGet, w.Internal+"/admin/operators/"+testworld.Provider.OperatorID+"/sessions?_method=DELETE", nil)
		r.Header.Set(name, http.MethodDelete)
		r.Header.Set("Authorization", "Bearer "+adminToken)
		b.Do(r)
	}
	wantSignedIn(t, w, b, testworld.Provider.OperatorID)
}

func TestTossedCookies(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Provider)
	token := b.Cookie(w.Public, "koubei_session")
	ask := func(path string, cookies ...string) testworld.Answer {
		r, _ := http.NewRequest(http.MethodGet, w.Public+path, nil)
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
		p := w.Program()
		p.Client.Jar = nil
		return p.Do(r)
	}
	own := "koubei_session=" + token
	for _, tt := range []struct {
		name    string
		cookies []string
		status  int
	}{
		{"junk before", []string{"koubei_session=junk", "koubei_session=", "koubei_session=" + strings.Repeat("A", 43), own}, 200},
		{"junk behind", []string{own, "koubei_session=" + strings.Repeat("B", 43), "koubei_session=\"\""}, 200},
		{"the same twice", []string{own, own}, 200},
		{"broken neighbours", []string{"=", "a b=c", "\xff=\xfe", `y="`, own}, 200},
		{"another case", []string{"KOUBEI_SESSION=" + token}, 401},
		{"as an array", []string{"koubei_session[]=" + token, "koubei_session.0=" + token}, 401},
		{"with a prefix", []string{"__Host-koubei_session=" + token, "__Secure-koubei_session=" + token}, 401},
		{"of another application", []string{"koubei_sessions=" + token, "xkoubei_session=" + token}, 401},
		{"in a value", []string{"x=koubei_session=" + token, `y="; koubei_session=` + token[:42]}, 401},
		{"longer by one", []string{own + "A"}, 401},
	} {
		if a := ask("/session", tt.cookies...); a.StatusCode != tt.status {
			t.Errorf("%s: got %d, want %d", tt.name, a.StatusCode, tt.status)
		}
	}
}

func TestOversizeEverything(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, administered)
	b := land(t, w, testworld.Provider)
	b.Header.Set("Accept", "application/json")
	x := func(n int) string { return strings.Repeat("x", n) }
	callback := w.Public + w.Config.Web.CallbackPath
	for _, tt := range []struct {
		name, address string
		header        http.Header
		status        int
		code          string
	}{
		{"a code", callback + "?code=" + x(33), nil, 400, "invalid_code"},
		{"return_to", callback + "?code=x&return_to=/" + x(2048), nil, 400, "invalid_return_to"},
		{"an address", callback + "?code=" + x(9000), nil, 414, "uri_too_long"},
		{"a path", w.Public + "/" + x(9000), nil, 414, "uri_too_long"},
		{"a partner", w.Public + "/session?partner_id=" + x(8000), nil, 403, "unknown_partner"},
		{"a cookie", w.Public + "/session", http.Header{"Cookie": {"x=" + x(33000)}}, 431, "headers_too_large"},
		{"many headers", w.Public + "/session", http.Header{"X-Many": strings.Split(strings.Repeat(x(100)+" ", 330), " ")}, 431, "headers_too_large"},
		{"addresses of proxies", callback + "?code=x", http.Header{"X-Forwarded-For": {strings.Repeat("192.0.2.1, ", 3100)}}, 431, "headers_too_large"},
		{"a selector", w.Internal + "/auth/verify", http.Header{"X-Koubei-Select-Partner": {x(30000)}}, 403, "unknown_partner"},
		{"types", w.Internal + "/auth/verify?type=" + strings.Repeat("MER,", 1900), nil, 403, "forbidden"},
		{"a token", w.Internal + "/admin/operators/1/sessions", http.Header{"Authorization": {"Bearer " + x(20000)}}, 401, "unauthorized"},
	} {
		r, err := http.NewRequest(http.MethodGet, tt.address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = tt.header.Clone()
		if r.Header == nil {
			r.Header = http.Header{}
		}
		if a := b.Do(r); a.StatusCode != tt.status || a.Problem() != tt.code {
			t.Errorf("%s: got %d %q, want %d %q", tt.name, a.StatusCode, a.Problem(), tt.status, tt.code)
		}
	}
	// For these, net/http itself responds or closes the connection, without a page.
	r, _ := http.NewRequest(http.MethodGet, w.Public+"/session", nil)
	r.Header.Set("X-Huge", x(200_000))
	if a, err := b.Try(r); err == nil && a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("200 kB of headers: got %d", a.StatusCode)
	}
	for _, address := range []string{switchURL(w), w.Public + "/logout"} {
		fresh := land(t, w, testworld.Provider)
		r, _ := http.NewRequest(http.MethodPost, address, strings.NewReader("x="+x(5_000_000)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", w.Public)
		r.Header.Set("Accept", "application/json")
		// The body may be sent in full or cut in the middle, but is never held in memory: a form has at most 16 KiB.
		if a, err := fresh.Try(r); err == nil && a.StatusCode != http.StatusRequestEntityTooLarge && address == switchURL(w) {
			t.Errorf("%s: got %d", address, a.StatusCode)
		}
	}
	if n := len(w.Koubei.Calls()); n != 3 {
		t.Errorf("got %d calls, want those of the three sign-ins alone", n)
	}
	wantSignedIn(t, w, b, testworld.Provider.OperatorID)
}
