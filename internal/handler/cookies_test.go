package handler_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// junkSessions returns session cookies without a session, as another host of the domain may set them.
func junkSessions(n int) []string {
	var cookies []string
	for i := range n {
		cookies = append(cookies, fmt.Sprintf("koubei_session=%043d", i))
	}
	return cookies
}

// sessionCookie returns the session cookie that a browser sends.
func sessionCookie(w *testworld.World, b *testworld.Browser) string {
	return "koubei_session=" + b.Cookie(w.Public, "koubei_session")
}

// send sends a request with these cookies only.
func send(t *testing.T, w *testworld.World, method, address string, cookies []string) testworld.Answer {
	t.Helper()
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", strings.Join(cookies, "; "))
	p := w.Program()
	p.Client.Jar = nil
	return p.Do(r)
}

// TestCookiesHideNoSession: the real cookie is found anywhere among hundreds of others, in one round trip.
func TestCookiesHideNoSession(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	own := sessionCookie(w, land(t, w, testworld.Provider))
	for _, place := range []int{0, 16, 17, 250, 500} {
		cookies := slices.Insert(junkSessions(500), place, own)
		for _, address := range []string{w.Public + "/session", w.Internal + "/auth/verify"} {
			if a := send(t, w, http.MethodGet, address, cookies); a.StatusCode != http.StatusOK {
				t.Errorf("%s, %d before the real one: got %d, want 200", address, place, a.StatusCode)
			}
		}
	}
	link := w.Landing(w.Koubei.Issue(with("2088000000000009")))
	if a := send(t, w, http.MethodGet, link, append(junkSessions(400), own)); a.StatusCode != http.StatusSeeOther || slices.ContainsFunc(a.Cookies(), func(c *http.Cookie) bool {
		return c.Name == "koubei_session" && c.Value != own[len("koubei_session="):]
	}) {
		t.Errorf("a landing: got %d with %v, want it in the same session", a.StatusCode, a.Cookies())
	}
	if a := send(t, w, http.MethodGet, w.Public+"/session", append(junkSessions(400), own, sessionCookie(w, land(t, w, testworld.Sales)))); a.Problem() != "ambiguous_session" {
		t.Errorf("two operators: got %d %q, want ambiguous_session", a.StatusCode, a.Problem())
	}
	w.Redis.Freeze()
	defer w.Redis.Thaw()
	begun := time.Now()
	a := send(t, w, http.MethodGet, w.Internal+"/auth/verify", append(junkSessions(500), own))
	if took := time.Since(begun); a.StatusCode != http.StatusServiceUnavailable || took > 5*w.Config.Redis.Timeout {
		t.Errorf("without Redis: got %d after %s, want 503 after one timeout", a.StatusCode, took)
	}
}

// TestASignOutEndsEverySession: a sign-out ends the sessions of all cookies in the request, or reports a failure.
func TestASignOutEndsEverySession(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	logout := w.Public + "/logout"
	for _, tt := range []struct{ junk, real int }{{0, 1}, {16, 1}, {17, 2}, {400, 1}, {0, 40}, {400, 40}} {
		var browsers []*testworld.Browser
		cookies := junkSessions(tt.junk)
		for range tt.real {
			b := land(t, w, testworld.Merchant)
			browsers, cookies = append(browsers, b), append(cookies, sessionCookie(w, b))
		}
		before := metric(t, w, `koubei_sessions_ended_total{reason="signed_out"}`)
		if a := send(t, w, http.MethodPost, logout, cookies); a.StatusCode != http.StatusNoContent {
			t.Errorf("%+v: got %d, want 204", tt, a.StatusCode)
		}
		for _, b := range browsers {
			wantSignedIn(t, w, b, "")
		}
		if n := metric(t, w, `koubei_sessions_ended_total{reason="signed_out"}`) - before; int(n) != tt.real {
			t.Errorf("%+v: got %v sessions ended by the metric", tt, n)
		}
		if a := send(t, w, http.MethodPost, logout, cookies); a.StatusCode != http.StatusNoContent {
			t.Errorf("%+v: again: got %d, want 204", tt, a.StatusCode)
		}
	}
	b := land(t, w, testworld.Merchant)
	w.Redis.Freeze()
	a := send(t, w, http.MethodPost, logout, append(junkSessions(400), sessionCookie(w, b)))
	w.Redis.Thaw()
	if a.StatusCode != http.StatusServiceUnavailable || len(a.Cookies()) != 0 {
		t.Errorf("without Redis: got %d and %v, want 503 and all cookies kept", a.StatusCode, a.Cookies())
	}
	wantSignedIn(t, w, b, testworld.Merchant.OperatorID)
}

// TestManyCookiesOnACluster: the sessions belong to all nodes.
func TestManyCookiesOnACluster(t *testing.T) {
	t.Parallel()
	cluster := testworld.StartCluster(t, 2*time.Second)
	w := testworld.New(t, cluster.On)
	var own []string
	for range 6 {
		own = append(own, sessionCookie(w, land(t, w, testworld.Merchant)))
	}
	cookies := append(junkSessions(400), own...)
	if a := send(t, w, http.MethodGet, w.Public+"/session", cookies); a.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200", a.StatusCode)
	}
	if a := send(t, w, http.MethodPost, w.Public+"/logout", cookies); a.StatusCode != http.StatusNoContent {
		t.Errorf("a sign-out: got %d, want 204", a.StatusCode)
	}
	for _, cookie := range own {
		if a := send(t, w, http.MethodGet, w.Public+"/session", []string{cookie}); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("afterwards: got %d, want 401", a.StatusCode)
		}
	}
}

// TestJunkCookiesCostLittle: many cookies in a request do not lead to a large response.
func TestJunkCookiesCostLittle(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	var arrivals, pending []string
	for i := range 440 {
		arrivals = append(arrivals, fmt.Sprintf("koubei_session_arrival_%08d=1.%022d", i, i))
		pending = append(pending, fmt.Sprintf("koubei_session_pending_%08d=x", i))
	}
	link := w.Landing(w.Koubei.Issue(testworld.Provider))
	for name, a := range map[string]testworld.Answer{
		"arrivals":               send(t, w, http.MethodGet, link, arrivals),
		"pending grants":         send(t, w, http.MethodGet, link, pending),
		"a sign-out":             send(t, w, http.MethodPost, w.Public+"/logout", pending),
		"an arrival, once again": send(t, w, http.MethodGet, link, arrivals),
	} {
		size := 0
		for _, cookie := range a.Header.Values("Set-Cookie") {
			size += len(cookie)
		}
		if a.StatusCode >= http.StatusBadRequest && a.Problem() != "code_used" || size > 4<<10 {
			t.Errorf("%s: got %d and %d bytes of cookies, want at most 4 KiB", name, a.StatusCode, size)
		}
	}
}
