package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/session"
	"koubei-landing/internal/testworld"
)

const changes = "k:changes:sessions"

func caching(o *session.Options) { o.CacheTTL = time.Hour }

// watching opens a replica whose cache works until stop is called.
func (w *world) watching(options ...func(*session.Options)) (m *session.Manager, tap *tap, stop func()) {
	w.t.Helper()
	m, tap = w.open(append([]func(*session.Options){caching}, options...)...)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Watch(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	w.t.Cleanup(stop)
	w.connected(m)
	return m, tap, stop
}

func (w *world) connected(m *session.Manager) {
	w.t.Helper()
	testworld.Eventually(w.t, 10*time.Second, "the cache is connected", m.CacheErr)
}

// eventuallyGone waits until a replica finds a session no more.
func (w *world) eventuallyGone(m *session.Manager, token session.Token) {
	w.t.Helper()
	testworld.Eventually(w.t, 10*time.Second, "the session is gone", func() error {
		if _, err := m.Find(w.t.Context(), token); !errors.Is(err, session.ErrNone) {
			return fmt.Errorf("got %w, want none", err)
		}
		return nil
	})
}

// eventuallyCached waits until a replica finds a session without a read, and returns it.
func (w *world) eventuallyCached(m *session.Manager, tap *tap, token session.Token) session.Session {
	w.t.Helper()
	var s session.Session
	reads := tap.count("get")
	testworld.Eventually(w.t, 10*time.Second, "the session is cached", func() error {
		before := reads.Load()
		var err error
		if s, err = m.Find(w.t.Context(), token); err == nil && reads.Load() != before {
			err = errors.New("it was read")
		}
		return err
	})
	tap.do.Store(nil)
	return s
}

func (w *world) acl(rule string) {
	w.t.Helper()
	w.must(w.redis.Client.Do(w.t.Context(), "ACL", "SETUSER", "default", rule).Err())
}

func TestCacheServesSessionsUntilTheyChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open(caching)
	m, tap, _ := w.watching()
	one, want := w.start("one")
	two, _ := w.start("two")
	if s := w.eventuallyCached(m, tap, one); s.Hash() != want.Hash() || partners(s) != "one" {
		t.Errorf("got %+v, want %+v", s, want)
	}
	w.eventuallyCached(m, tap, two)
	_, err := other.AddPartner(t.Context(), one, w.grant("three"), w.code())
	w.must(err)
	testworld.Eventually(t, 10*time.Second, "the change arrives", func() error {
		if s, err := m.Find(t.Context(), one); err != nil || partners(s) != "three one" {
			return fmt.Errorf("got %s, %w", partners(s), err)
		}
		return nil
	})
	for _, message := range []string{"", "heartbeat another 1", "junk"} { // messages of others
		w.must(w.redis.Client.Publish(t.Context(), changes, message).Err())
	}
	_, err = other.End(t.Context(), two)
	w.must(err)
	w.eventuallyGone(m, two)
	w.eventuallyCached(m, tap, one)
}

// TestCachedSessionsEnd: neither the lifetime of an entry nor the idle time needs a message.
func TestCachedSessionsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *session.Options) { o.Idle = 0 })
	m, tap, _ := w.watching(func(o *session.Options) { o.Idle = 0 })
	token, _ := w.start("one")
	w.eventuallyCached(m, tap, token)
	w.clock.Turn(12 * time.Hour)
	if s, err := m.Find(t.Context(), token); !errors.Is(err, session.ErrNone) {
		t.Errorf("after its lifetime: got %+v, %v, want none", s, err)
	}
	idle, tap, _ := w.watching()
	token, _ = w.start("one")
	w.eventuallyCached(idle, tap, token)
	w.clock.Turn(time.Hour)
	renewals := tap.count("eval:session")
	if _, err := idle.Find(t.Context(), token); err != nil || renewals.Load() != 1 {
		t.Errorf("after half of the idle time: got %d renewals, %v, want one", renewals.Load(), err)
	}
}

func TestCacheKeepsASessionForItsTTL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, tap, _ := w.watching(func(o *session.Options) { o.CacheTTL = 100 * time.Millisecond })
	token, _ := w.start("one")
	w.eventuallyCached(m, tap, token)
	reads := tap.count("get")
	testworld.Eventually(t, 10*time.Second, "the session is read again", func() error {
		if _, err := m.Find(t.Context(), token); err != nil || reads.Load() == 0 {
			return fmt.Errorf("got %d reads, %w", reads.Load(), err)
		}
		return nil
	})
}

// TestCacheServesNothingWithoutWatch also checks what CacheErr returns before, and for a cache that is off.
func TestCacheServesNothingWithoutWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.CacheErr(); err != nil {
		t.Errorf("without a cache: got %v", err)
	}
	before, _ := w.open(caching)
	if before.CacheErr() == nil {
		t.Error("before Watch: got no reason why the cache serves nothing")
	}
	m, tap, stop := w.watching()
	token, _ := w.start("one")
	w.eventuallyCached(m, tap, token)
	stop()
	reads := tap.count("get")
	for n := range int32(2) {
		if _, err := m.Find(t.Context(), token); err != nil || reads.Load() != n+1 {
			t.Errorf("after Watch: got %d reads, %v, want %d", reads.Load(), err, n+1)
		}
	}
	testworld.Eventually(t, 10*time.Second, "the subscription ends", func() error {
		if n := w.redis.Client.PubSubNumSub(t.Context(), changes).Val()[changes]; n != 0 {
			return fmt.Errorf("got %d", n)
		}
		return nil
	})
}

// TestReadsThatBeganBeforeAChangeAreNotKept: the change happens between a read and its use.
func TestReadsThatBeganBeforeAChangeAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open(caching)
	m, tap, _ := w.watching()
	for name, change := range map[string]func(reading, cached session.Token){
		"announced": func(reading, cached session.Token) {
			for _, token := range []session.Token{reading, cached} { // the announcements arrive in this order
				_, err := other.End(t.Context(), token)
				w.must(err)
			}
			w.eventuallyGone(m, cached)
		},
		"while the channel was disconnected": func(reading, cached session.Token) {
			w.must(w.redis.Client.Del(t.Context(), "k:session:"+reading.Hash(), "k:session:"+cached.Hash()).Err())
			w.must(w.redis.Client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
			w.eventuallyGone(m, cached)
			w.connected(m)
		},
	} {
		reading, _ := w.start("one")
		cached, _ := w.start("two")
		w.eventuallyCached(m, tap, cached)
		tap.after("get", func() { change(reading, cached) })
		if _, err := m.Find(t.Context(), reading); err != nil {
			t.Errorf("%s: got %v, want what was read", name, err)
		}
		if _, err := m.Find(t.Context(), reading); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: got %v, want none", name, err)
		}
	}
}

// TestANewSubscriptionStartsEmpty: what was read while the channel was disconnected may have changed since.
func TestANewSubscriptionStartsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open(caching)
	m, tap, _ := w.watching()
	token, _ := w.start("one")
	w.eventuallyCached(m, tap, token)
	w.acl("-subscribe")
	w.must(w.redis.Client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
	reads := tap.count("get")
	testworld.Eventually(t, 10*time.Second, "the session is read again", func() error {
		if _, err := m.Find(t.Context(), token); err != nil || reads.Load() == 0 {
			return fmt.Errorf("got %d reads, %w", reads.Load(), err)
		}
		return nil
	})
	if _, err := m.Find(t.Context(), token); err != nil || reads.Load() != 2 {
		t.Errorf("while disconnected: got %d reads, %v, want another", reads.Load(), err)
	}
	testworld.Eventually(t, 10*time.Second, "the cache reports the refusal", func() error {
		var refusal redis.Error
		if err := m.CacheErr(); !errors.As(err, &refusal) {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
	_, err := m.Find(t.Context(), token)
	w.must(err)
	_, err = other.End(t.Context(), token)
	w.must(err)
	w.acl("+subscribe")
	w.connected(m)
	if _, err := m.Find(t.Context(), token); !errors.Is(err, session.ErrNone) {
		t.Errorf("got %v, want none", err)
	}
}

// TestOwnChangesNeedNoAnnouncement: Redis refuses to announce them.
func TestOwnChangesNeedNoAnnouncement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, tap, _ := w.watching()
	ended, _ := w.start("ended")
	changed, _ := w.start("changed")
	revoked, s := w.start("revoked")
	g := w.grant("added")
	for _, token := range []session.Token{ended, changed, revoked} {
		w.eventuallyCached(m, tap, token)
	}
	w.acl("-publish")
	_, err := m.End(t.Context(), ended)
	w.must(err)
	if _, err := m.Find(t.Context(), ended); !errors.Is(err, session.ErrNone) {
		t.Errorf("ended: got %v, want none", err)
	}
	_, err = m.AddPartner(t.Context(), changed, g, w.code())
	w.must(err)
	if s, err := m.Find(t.Context(), changed); err != nil || partners(s) != "added changed" {
		t.Errorf("changed: got %s, %v", partners(s), err)
	}
	w.must(w.redis.Client.Set(t.Context(), "k:revoked:"+operatorID, int64(g.ClaimedAt), time.Minute).Err())
	w.must(m.Withdraw(t.Context(), s.Hash()))
	if _, err := m.Find(t.Context(), revoked); !errors.Is(err, session.ErrNone) {
		t.Errorf("revoked: got %v, want none", err)
	}
}
