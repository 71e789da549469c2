package handler_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// TestLimitedClientsAreNamed: the log contains each client over CALLBACK_RATE, once a minute.
func TestLimitedClientsAreNamed(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, limited(1, "127.0.0.0/8"))
	lines := func(client string) int {
		return len(logged(t, w, func(l logLine) bool { return l["msg"] == "landing rate limited" && l["client"] == client }))
	}
	over := func(address string) {
		t.Helper()
		p := from(w, address)
		for range 4 {
			p.Get(w.Landing(w.Koubei.Issue(testworld.Provider)))
		}
		if a := p.Get(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("got %d, want 429", a.StatusCode)
		}
	}
	for _, address := range []string{"203.0.113.1", "203.0.113.2", "2001:db8::1"} {
		over(address)
	}
	w.Clock.Turn(30 * time.Second)
	over("203.0.113.1")
	w.Clock.Turn(31 * time.Second)
	over("203.0.113.2")
	for client, want := range map[string]int{"203.0.113.1": 1, "203.0.113.2": 2, "2001:db8::/64": 1, "127.0.0.1": 0} {
		testworld.Eventually(t, 30*time.Second, client, func() error {
			if got := lines(client); got != want {
				return fmt.Errorf("got %d lines, want %d", got, want)
			}
			return nil
		})
	}
}
