package app_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// A Redis that throws keys away is warned of once; one that doesn't, never.
func TestEvictionIsWarnedOf(t *testing.T) {
	const words = "throws keys away"
	w := testworld.New(t)
	careless := testworld.StartRedis(t, "--maxmemory-policy", "allkeys-lru")
	if careless := w.Replica(func(c *app.Config) { c.Redis.URL = careless.URL() }); careless == nil {
		t.Fatal("no replica")
	}
	testworld.Eventually(t, 10*time.Second, "the warning", func() error {
		if !strings.Contains(w.Log.String(), words) {
			return errors.New("not yet")
		}
		return nil
	})
	if a := w.Browser().Get(w.Internal + "/readyz"); a.StatusCode != http.StatusOK {
		t.Errorf("got %d", a.StatusCode)
	}
	if n := strings.Count(w.Log.String(), words); n != 1 || !strings.Contains(w.Log.String(), `"maxmemory_policy":"allkeys-lru"`) {
		t.Errorf("got %d warnings, want one: of the careless Redis", n)
	}
}
