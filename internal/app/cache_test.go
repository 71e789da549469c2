package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// wire is a proxy between a replica and Redis. It can stop forwarding data on connections that have subscribed without
// closing them, like a network that drops packets.
type wire struct {
	addr   string
	redis  string
	silent atomic.Bool
}

func newWire(t *testing.T, redis string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String(), redis: redis}
	acceptAll(t, l, w.serve)
	return w
}

func (w *wire) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.redis)
	if err != nil {
		return
	}
	defer server.Close()
	var subscribed atomic.Bool
	var both sync.WaitGroup
	both.Go(func() {
		defer server.Close()
		pipe(server, client, func(b []byte) bool {
			if bytes.Contains(bytes.ToLower(b), []byte("\r\nsubscribe\r\n")) {
				subscribed.Store(true)
			}
			return true
		})
	})
	both.Go(func() {
		defer client.Close()
		pipe(client, server, func([]byte) bool { return !subscribed.Load() || !w.silent.Load() })
	})
	both.Wait()
}

// pipe copies the data that pass accepts.
func pipe(to io.Writer, from io.Reader, pass func([]byte) bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if pass(buf[:n]) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// cached starts a world with a cache, and a second replica behind a wire.
func cached(t *testing.T, ttl time.Duration) (*testworld.World, *testworld.Service, *wire) {
	w := testworld.New(t, func(c *app.Config) { c.Session.CacheTTL = ttl })
	line := newWire(t, w.Redis.Addr())
	return w, w.Replica(func(c *app.Config) { c.Redis.URL = "redis://" + line.addr + "/0" }), line
}

// gets returns the number of reads that Redis has executed.
func gets(t *testing.T, w *testworld.World) int {
	t.Helper()
	var n int
	for line := range strings.Lines(w.Redis.Client.Info(t.Context(), "commandstats").Val()) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_get:calls="); ok {
			if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// warm reads a session at a replica until the cache serves it.
func warm(t *testing.T, w *testworld.World, b *testworld.Browser, s *testworld.Service) {
	t.Helper()
	testworld.Eventually(t, 30*time.Second, "the session is answered from memory", func() error {
		before := gets(t, w)
		for range 3 {
			if a, _ := b.Session(s, ""); a.StatusCode != http.StatusOK {
				t.Fatalf("got %d, want 200", a.StatusCode)
			}
		}
		if gets(t, w) != before {
			return errors.New("Redis was asked")
		}
		return nil
	})
}

func status(b *testworld.Browser, s *testworld.Service) int {
	a, _ := b.Session(s, "")
	return a.StatusCode
}

func TestChangesReachOtherReplicas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, w *testworld.World, b *testworld.Browser)
		seen   func(b *testworld.Browser, s *testworld.Service) bool
	}{
		{"sign-out", func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			// Keep the cookie, like a thief who has copied it.
			value := b.Cookie(w.Public, "koubei_session")
			b.Post(w.Public+"/logout", nil)
			b.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: value, Path: "/"})
		}, func(b *testworld.Browser, s *testworld.Service) bool { return status(b, s) == http.StatusUnauthorized }},
		{"revocation", func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			if n, err := app.Revoke(t.Context(), w.Config, testworld.Provider.OperatorID); n != 1 || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
		}, func(b *testworld.Browser, s *testworld.Service) bool { return status(b, s) == http.StatusUnauthorized }},
		{"a new partner", func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			person := testworld.Provider
			person.PartnerID = "2088000000000042"
			b.Land(w.Landing(w.Koubei.Issue(person)))
		}, func(b *testworld.Browser, s *testworld.Service) bool {
			_, id := b.Session(s, "")
			return len(id.Partners) == 2
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onceWithin(t, 100*time.Millisecond, func() func() bool {
				w := warmed(t, time.Hour)
				tt.change(t, w.World, w.browser)
				return func() bool { return tt.seen(w.browser, w.other) }
			})
		})
	}
}

// warmWorld is a world whose second replica has cached a browser's session.
type warmWorld struct {
	*testworld.World
	browser *testworld.Browser
	other   *testworld.Service
	line    *wire
}

func warmed(t *testing.T, ttl time.Duration) warmWorld {
	t.Helper()
	w, other, line := cached(t, ttl)
	b := w.Browser()
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	warm(t, w, b, other)
	return warmWorld{w, b, other, line}
}

// onceWithin begins something and waits until it is done, several times at most. Once it must be done within a time. On a
// busy machine it may take longer, but not each time.
func onceWithin(t *testing.T, limit time.Duration, begin func() (done func() bool)) {
	t.Helper()
	var took []time.Duration
	for range 5 {
		done, began := begin(), time.Now()
		testworld.Eventually(t, 10*time.Second, "it is done", func() error {
			if !done() {
				return errors.New("it is not")
			}
			return nil
		})
		if took = append(took, time.Since(began)); took[len(took)-1] <= limit {
			return
		}
	}
	t.Errorf("it took %s, want at most %s once", took, limit)
}

func TestSilentChannel(t *testing.T) {
	t.Parallel()
	var w warmWorld
	onceWithin(t, 1100*time.Millisecond, func() func() bool {
		w = warmed(t, time.Hour)
		w.line.silent.Store(true)
		if _, err := app.Revoke(t.Context(), w.Config, testworld.Provider.OperatorID); err != nil {
			t.Fatal(err)
		}
		return func() bool { return status(w.browser, w.other) == http.StatusUnauthorized }
	})
	w.line.silent.Store(false)
	again := w.Browser()
	again.Land(testworld.On(w.other, w.Landing(w.Koubei.Issue(testworld.Merchant))))
	warm(t, w.World, again, w.other)
}

// The limit is less than the silence after which the cache serves nothing in any case.
func TestClosedChannel(t *testing.T) {
	t.Parallel()
	onceWithin(t, 500*time.Millisecond, func() func() bool {
		w := warmed(t, time.Hour)
		if err := w.Redis.Client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		w.Redis.Client.Del(t.Context(), w.Redis.Client.Keys(t.Context(), "*:session:*").Val()...)
		return func() bool { return status(w.browser, w.other) == http.StatusUnauthorized }
	})
}

func TestACachedSessionEndsByTheClock(t *testing.T) {
	t.Parallel()
	w, other, _ := cached(t, time.Hour)
	b := w.Browser()
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	warm(t, w, b, other)
	w.Clock.Turn(13 * time.Hour)
	if got := status(b, other); got != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", got)
	}
}

func TestCacheTTL(t *testing.T) {
	t.Parallel()
	onceWithin(t, 300*time.Millisecond, func() func() bool {
		w := warmed(t, 50*time.Millisecond)
		// Delete the session without an announcement, like an eviction.
		w.Redis.Client.Del(t.Context(), w.Redis.Client.Keys(t.Context(), "*:session:*").Val()...)
		return func() bool { return status(w.browser, w.other) == http.StatusUnauthorized }
	})
}
