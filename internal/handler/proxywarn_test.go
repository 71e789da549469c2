package handler_test

import (
	"net/http"
	"testing"

	"koubei-landing/internal/testworld"
)

// A proxy that is not listed makes one client of all who come through it. Whoever runs the service is told, and once:
// every landing would say the same.
func TestAProxyThatIsNotListedIsWarnedOfOnce(t *testing.T) {
	for _, tt := range []struct {
		name      string
		proxies   []string
		forwarded []string // by the peer, which is on loopback
		want      int
	}{
		{"no proxy listed", nil, []string{"192.0.2.1"}, 1},
		{"another proxy listed", []string{"10.0.0.0/8"}, []string{"192.0.2.1"}, 1},
		{"listed", []string{"127.0.0.0/8"}, []string{"192.0.2.1"}, 0},
		{"listed, behind one that is not", []string{"127.0.0.0/8"}, []string{"192.0.2.1, 198.51.100.1"}, 0},
		{"no proxy", nil, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := testworld.New(t, limited(60, tt.proxies...))
			for range 2 {
				if a := from(w, tt.forwarded...).Get(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusSeeOther {
					t.Fatalf("got %d", a.StatusCode)
				}
			}
			warnings := logged(t, w, func(l logLine) bool { return l.mentions("X-Forwarded-For") })
			if len(warnings) != tt.want {
				t.Fatalf("got %v, want %d", warnings, tt.want)
			}
			for _, l := range warnings {
				if l["level"] != "WARN" || l["peer"] != "127.0.0.1" || !l.mentions("TRUSTED_PROXIES") {
					t.Errorf("got %v, want a warning that names the peer and the setting", l)
				}
			}
		})
	}
}
