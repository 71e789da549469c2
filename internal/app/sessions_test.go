package app_test

import (
	"errors"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
)

// TestSessionsWithoutRedis: no answer is not the answer that there are none.
func TestSessionsWithoutRedis(t *testing.T) {
	t.Parallel()
	c := app.Defaults("1")
	c.Redis.URL, c.Session.SealKeys = "redis://127.0.0.1:1", [][]byte{make([]byte, 32)}
	if found, err := app.Sessions(t.Context(), c, "2088102150477652"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("list: got %v, %v, want unavailable", found, err)
	}
	if n, err := app.Revoke(t.Context(), c, "2088102150477652"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("revoke: got %d, %v, want unavailable", n, err)
	}
}

// TestAPasswordWithoutAUser signs in as Redis's default user.
func TestAPasswordWithoutAUser(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	must(t, r.Client.ConfigSet(t.Context(), "requirepass", "hush").Err())
	c := app.Config{Redis: app.Redis{URL: "redis://:hush@" + r.Addr(), Mode: app.Single, Timeout: 2 * time.Second, Prefix: "koubei:1:"}}
	if got := problemsOf(app.Check(t.Context(), c)); len(got) > 0 {
		t.Errorf("got %+v, want no problem", got)
	}
}
