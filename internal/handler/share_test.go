package handler_test

import (
	"net/http"
	"strings"
	"testing"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

func TestPagesOfAllowedOriginsReadTheSession(t *testing.T) {
	t.Parallel()
	const friend = "https://shop.isv.example"
	w := testworld.New(t, func(c *app.Config) { c.Web.CORSOrigins = []string{friend} })
	b := land(t, w, testworld.Provider)
	ask := func(method, path, origin string, header http.Header) testworld.Answer {
		r, _ := http.NewRequest(method, w.Public+path, nil)
		for name, values := range header {
			r.Header[name] = values
		}
		r.Header.Set("Origin", origin)
		return b.Do(r)
	}
	for _, tt := range []struct {
		name, method, path, origin string
		status                     int
		allowed                    bool
	}{
		{"a friend", "GET", "/session", friend, 200, true},
		{"a friend's error", "GET", "/session?partner_id=1", friend, 403, true},
		{"a stranger", "GET", "/session", "https://evil.example", 200, false},
		{"opaque", "GET", "/session", "null", 200, false},
		{"another page", "GET", "/", friend, 200, false},
		{"a longer name", "GET", "/session", friend + ".evil.example", 200, false},
	} {
		a := ask(tt.method, tt.path, tt.origin, nil)
		got := a.Header.Get("Access-Control-Allow-Origin")
		if a.StatusCode != tt.status || (got == tt.origin) != tt.allowed || tt.allowed != (a.Header.Get("Access-Control-Allow-Credentials") == "true") {
			t.Errorf("%s: got %d for %q", tt.name, a.StatusCode, got)
		}
		if tt.path != "/" && !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("%s: got Vary %v, want Origin", tt.name, a.Header.Values("Vary"))
		}
	}
	for _, path := range []string{"/forget", "/logout"} {
		preflight := ask("OPTIONS", path, friend, http.Header{"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"accept"}})
		if preflight.StatusCode != http.StatusNoContent || preflight.Header.Get("Access-Control-Allow-Origin") != friend {
			t.Errorf("%s: preflight: got %d for %q", path, preflight.StatusCode, preflight.Header.Get("Access-Control-Allow-Origin"))
		}
		a := ask("POST", path, friend, http.Header{"Accept": {"application/json"}, "Sec-Fetch-Site": {"same-site"}})
		if a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Origin") != friend {
			t.Errorf("%s: got %d for %q", path, a.StatusCode, a.Header.Get("Access-Control-Allow-Origin"))
		}
	}
}
