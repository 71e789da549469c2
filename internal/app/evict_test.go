package app_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// TestEvictionWarning: the log warns once about a Redis that evicts keys, and not about others.
func TestEvictionWarning(t *testing.T) {
	t.Parallel()
	const attribute = `"maxmemory_policy":`
	w := testworld.New(t)
	evicting := testworld.StartRedis(t, "--maxmemory-policy", "allkeys-lru")
	w.Replica(func(c *app.Config) { c.Redis.URL = evicting.URL() })
	testworld.Eventually(t, 10*time.Second, "the warning", func() error {
		if !strings.Contains(w.Log.String(), attribute+`"allkeys-lru"`) {
			return errors.New("not yet")
		}
		return nil
	})
	if n := strings.Count(w.Log.String(), attribute); n != 1 {
		t.Errorf("got %d warnings, want one", n)
	}
}
