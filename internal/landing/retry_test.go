package landing_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestRedisLostAndBrowserGone freezes Redis between the gateway's response and the save. The browser has left, so it gets
// no pending grant. Its next request gets the result of the exchange without a second call.
func TestRedisLostAndBrowserGone(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		code   func(*koubeisim.Koubei) string
		status int
	}{
		{"an identity", func(k *koubeisim.Koubei) string { return k.Issue(testworld.Provider) }, http.StatusSeeOther},
		{"a verdict", func(k *koubeisim.Koubei) string { return k.IssueIn(koubeisim.CodeExpired, testworld.Provider) }, http.StatusGone},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := loseRedis(t, row.code)
			w.node.Thaw()
			if a := w.left.Land(w.Landing(w.code)); a.StatusCode != row.status {
				t.Errorf("the next try: got %d, want %d", a.StatusCode, row.status)
			}
			if a := w.Browser().Land(w.Landing(w.code)); a.StatusCode != http.StatusGone {
				t.Errorf("another browser: got %d, want %d", a.StatusCode, http.StatusGone)
			}
			if got := w.Koubei.CallsFor(w.code); got != 1 {
				t.Errorf("the code was sent %d times, want 1", got)
			}
		})
	}
}

// TestShutdownWaitsForLedgerWrites is the same, with a replica that shuts down before Redis is back.
func TestShutdownWaitsForLedgerWrites(t *testing.T) {
	t.Parallel()
	w := loseRedis(t, func(k *koubeisim.Koubei) string { return k.Issue(testworld.Provider) })
	other := w.Replica()
	w.Signal()
	testworld.Eventually(t, 10*time.Second, "the replica shuts down", func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Public+"/signin", nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := w.left.Try(r); err == nil && a.StatusCode == http.StatusOK {
			return errors.New("it still answers")
		}
		return nil
	})
	w.node.Thaw()
	if err := w.Stop(); err != nil {
		t.Errorf("the replica ended with %v", err)
	}
	if a := w.left.Land(testworld.On(other, w.Landing(w.code))); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the next try, at another replica: got %d, want %d", a.StatusCode, http.StatusSeeOther)
	}
	if got := w.Koubei.CallsFor(w.code); got != 1 {
		t.Errorf("the code was sent %d times, want 1", got)
	}
}

// outage is a world whose Redis does not answer, and a browser that has left its landing.
type outage struct {
	*testworld.World
	node *testworld.Redis
	left *testworld.Browser
	code string
}

// loseRedis lets a browser bring a code and leave, and freezes Redis after the gateway has responded. It returns when the
// landing has failed.
func loseRedis(t *testing.T, issue func(*koubeisim.Koubei) string) outage {
	t.Helper()
	node := testworld.StartRedis(t)
	// The lease is longer than the test, so that the end of the lease does not hide a missing write.
	w := testworld.New(t, func(c *app.Config) { c.Redis.URL, c.Alipay.Timeout = node.URL(), time.Minute })
	code := issue(w.Koubei)
	b := w.Browser()
	hop := b.Get(w.Landing(code))
	w.Koubei.Next(koubeisim.SpendThenHold)
	away, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(away, http.MethodGet, w.Public+hop.Header.Get("Location"), nil)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() {
		_, err := b.Try(r)
		left <- err
	}()
	if err := w.Koubei.AwaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	leave()
	<-left
	node.Freeze()
	w.Koubei.Release()
	awaitFailure(t, w)
	return outage{w, node, b, code}
}

// awaitFailure waits until the replica has noticed that Redis is unavailable.
func awaitFailure(t *testing.T, w *testworld.World) {
	t.Helper()
	testworld.Eventually(t, 20*time.Second, "the landing has failed", func() error {
		if requests := strings.Count(w.Log.String(), `"msg":"request"`); requests < 2 {
			return errors.New(fmt.Sprint(requests, " requests in the log"))
		}
		return nil
	})
}
