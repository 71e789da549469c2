package handler_test

import (
	"net/http"
	"testing"

	"koubei-landing/internal/testworld"
)

// TestUnusedProxyHeadersAreLoggedOnce: if X-Forwarded-For is not used, all clients behind a proxy share one limit. The
// log warns once, not for every landing.
func TestUnusedProxyHeadersAreLoggedOnce(t *testing.T) {
	t.Parallel()
	none := http.Header{}
	forwarded := func(values ...string) http.Header { return http.Header{"X-Forwarded-For": values} }
	for _, tt := range []struct {
		name    string
		proxies []string
		header  http.Header // sent by the peer, which is on loopback
		want    []string    // part of the warning; nil for none
	}{
		{"no proxy listed", nil, forwarded("192.0.2.1"), []string{"TRUSTED_PROXIES"}},
		{"another proxy listed", []string{"10.0.0.0/8"}, forwarded("192.0.2.1"), []string{"TRUSTED_PROXIES"}},
		{"listed", []string{"127.0.0.0/8"}, forwarded("192.0.2.1"), nil},
		{"listed, behind one that is not", []string{"127.0.0.0/8"}, forwarded("192.0.2.1, 198.51.100.1"), nil},
		{"no proxy", nil, none, nil},
		{"ports and brackets", []string{"127.0.0.0/8"}, forwarded(`192.0.2.1:51234, "[2001:db8::1]:443", [2001:db8::2]`), nil},
		{"an invalid entry", []string{"127.0.0.0/8"}, forwarded("192.0.2.1, unknown"), []string{"entry"}},
		{"one that is not reached", []string{"127.0.0.0/8"}, forwarded("unknown, 192.0.2.1"), nil},
		{"Forwarded alone", []string{"127.0.0.0/8"}, http.Header{"Forwarded": {"for=192.0.2.1"}}, []string{"Forwarded"}},
		{"Forwarded alone, not listed", nil, http.Header{"Forwarded": {"for=192.0.2.1"}}, []string{"Forwarded"}},
		{"both", []string{"127.0.0.0/8"}, http.Header{"Forwarded": {"for=192.0.2.1"}, "X-Forwarded-For": {"192.0.2.1"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := testworld.New(t, limited(60, tt.proxies...))
			for range 2 {
				p := w.Program()
				for name, values := range tt.header {
					p.Header[name] = values
				}
				if a := p.Get(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusSeeOther {
					t.Fatalf("got %d", a.StatusCode)
				}
			}
			warnings := logged(t, w, func(l logLine) bool { return l.mentions("share one rate limit") })
			if len(warnings) != min(len(tt.want), 1) {
				t.Fatalf("got %v, want %d", warnings, len(tt.want))
			}
			for _, l := range warnings {
				if l["level"] != "WARN" || l["peer"] != "127.0.0.1" || !l.mentions(tt.want[0]) {
					t.Errorf("got %v, want a warning of %s that names the peer", l, tt.want[0])
				}
			}
		})
	}
}
