package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
)

func TestEndAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open()
	three := func() []session.Token {
		var tokens []session.Token
		for _, partner := range []string{"one", "two", "three"} {
			token, _ := w.start(partner)
			tokens = append(tokens, token)
		}
		return tokens
	}
	tokens := three()
	if n, err := w.EndAll(t.Context(), []session.Token{tokens[0], unknown(1)[0], tokens[2]}); n != 2 || err != nil {
		t.Errorf("got %d, %v, want 2", n, err)
	}
	if got := partners(w.find(tokens[1])); got != "two" {
		t.Errorf("got %q, want it still there", got)
	}
	w.tap.fail("get")
	if n, err := w.EndAll(t.Context(), tokens); n != 0 || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the read fails: got %d, %v, want unavailable", n, err)
	}
	tokens = three()
	w.tap.failAt("eval:session", 2)
	if n, err := w.EndAll(t.Context(), tokens); n != 1 || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a deletion fails: got %d, %v, want 1 and unavailable", n, err)
	}
	w.tap.before("eval:session", func() {
		_, err := other.End(t.Context(), tokens[1])
		w.must(err)
	})
	if n, err := w.EndAll(t.Context(), tokens); n != 1 || err != nil {
		t.Errorf("one has ended in between: got %d, %v, want 1", n, err)
	}
}

func TestListLeavesOutEndedSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("one")
	_, gone := w.start("two")
	w.start("three")
	w.must(w.redis.Client.ZIncrBy(t.Context(), "k:operator:"+operatorID, -1, gone.Hash()).Err()) // listed first
	w.must(w.redis.Client.Del(t.Context(), "k:session:"+gone.Hash()).Err())
	if live, err := w.List(t.Context(), operatorID); err != nil || len(live) != 2 {
		t.Errorf("got %d, %v, want 2", len(live), err)
	}
	for _, name := range []string{"zrange", "get"} {
		w.tap.fail(name)
		if live, err := w.List(t.Context(), operatorID); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s fails: got %d, %v, want unavailable", name, len(live), err)
		}
	}
}

// TestRevokeReportsEachFailure, together with how many sessions have ended.
func TestRevokeReportsEachFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	full := func(name string, nth int32) func() { // the first write of the revocation fails, and one command after it
		return func() {
			var revocations, n atomic.Int32
			f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
				if names == "eval:revoked" && revocations.Add(1) == 1 || names == name && n.Add(1) == nth {
					return errors.New("not sent")
				}
				return send(ctx)
			})
			w.tap.do.Store(&f)
		}
	}
	for name, row := range map[string]struct {
		fail  func()
		ended int
	}{
		"the index cannot be read":         {func() { w.tap.fail("zrange") }, 0},
		"a deletion fails once":            {func() { w.tap.failAt("eval:session", 1) }, 0},
		"no revocation is written":         {func() { w.tap.fail("eval:revoked") }, 1},
		"the index cannot be read again":   {full("zrange", 2), 1},
		"the index cannot be read, either": {full("zrange", 1), 0},
	} {
		token, _ := w.start("one")
		row.fail()
		if n, err := w.Revoke(t.Context(), operatorID); n != row.ended || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %d, %v, want %d and unavailable", name, n, err, row.ended)
		}
		w.tap.do.Store(nil)
		if n, err := w.Revoke(t.Context(), operatorID); n != 1-row.ended || err != nil {
			t.Errorf("%s, repeated: got %d, %v, want %d", name, n, err, 1-row.ended)
		}
		w.wantGone(token)
	}
}

// startReplica starts a replica of the world's Redis, and waits until it confirms writes.
func (w *world) startReplica() *testworld.Redis {
	w.t.Helper()
	r := testworld.StartRedis(w.t, "--replicaof", strings.Replace(w.redis.Addr(), ":", " ", 1))
	testworld.Eventually(w.t, 30*time.Second, "the replica confirms writes", func() error {
		p := w.redis.Client.Pipeline()
		p.Set(w.t.Context(), "x", "", 0)
		confirmed := p.Do(w.t.Context(), "wait", 1, 100)
		if _, err := p.Exec(w.t.Context()); err != nil {
			return err
		}
		if n, err := confirmed.Int(); n < 1 {
			return fmt.Errorf("%d replicas, %w", n, err)
		}
		return nil
	})
	return r
}

// waiting returns a world whose writes wait for a replica, and the replica.
func waiting(t *testing.T) (*world, *testworld.Redis) {
	t.Helper()
	w := newWorld(t)
	replica := w.startReplica()
	w.Manager, w.tap = w.openWaiting()
	return w, replica
}

// openWaiting starts another replica of the service, whose writes wait for a replica of Redis.
func (w *world) openWaiting() (*session.Manager, *tap) {
	w.t.Helper()
	client := redis.NewClient(&redis.Options{Addr: w.redis.Addr(), ContextTimeoutEnabled: true})
	w.t.Cleanup(func() { client.Close() })
	tap := &tap{}
	client.AddHook(tap)
	m, _ := w.open(func(o *session.Options) {
		o.Store = store.New(store.Options{Redis: client, Prefix: "k:", Timeout: 500 * time.Millisecond, Replicas: 1})
	})
	return m, tap
}

// TestRepeatedSignOutNeedsItsReplica: the first sign-out deletes the session, but no replica confirms it. The repeated
// sign-out finds nothing, and must wait for the replica too.
func TestRepeatedSignOutNeedsItsReplica(t *testing.T) {
	t.Parallel()
	w, replica := waiting(t)
	token, _ := w.start("one")
	tokens := append(unknown(200), token)
	replica.Freeze()
	m := w.Manager
	for range 3 {
		if n, err := m.EndAll(t.Context(), tokens); n != 0 || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %d, %v, want unavailable", n, err)
		}
		wantKeys(t, w, 0)
		m, _ = w.openWaiting() // its connections have written nothing
	}
	if _, err := m.End(t.Context(), token); !errors.Is(err, store.ErrUnavailable) { // Redis 7.2 and newer
		t.Errorf("one session: got %v, want unavailable", err)
	}
	replica.Thaw()
	trips := w.tap.count("eval:session")
	testworld.Eventually(t, 30*time.Second, "the replica confirms it", func() error {
		trips.Store(0)
		_, err := w.EndAll(t.Context(), tokens)
		return err
	})
	if n := trips.Load(); n != 1 {
		t.Errorf("got %d round trips, want 1 for all tokens", n)
	}
	if n := replica.Client.Exists(t.Context(), "k:session:"+token.Hash()).Val(); n != 0 {
		t.Error("the replica has the session")
	}
	if n, err := w.EndAll(t.Context(), nil); n != 0 || err != nil {
		t.Errorf("without tokens: got %d, %v", n, err)
	}
}

// TestSignOutEndsASessionThatAFailoverBroughtBack between the read and the deletion.
func TestSignOutEndsASessionThatAFailoverBroughtBack(t *testing.T) {
	t.Parallel()
	w, _ := waiting(t)
	token, s := w.start("one")
	key := "k:session:" + s.Hash()
	raw := w.redis.Client.Get(t.Context(), key).Val()
	w.must(w.redis.Client.Del(t.Context(), key).Err())
	w.tap.before("eval:session", func() { w.must(w.redis.Client.Set(t.Context(), key, raw, time.Hour).Err()) })
	if n, err := w.EndAll(t.Context(), []session.Token{token}); n != 1 || err != nil {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	wantKeys(t, w, 0)
}

// TestRepeatedWithdrawalNeedsItsReplica: the first one removes the revoked session, but no replica confirms it.
func TestRepeatedWithdrawalNeedsItsReplica(t *testing.T) {
	t.Parallel()
	w, replica := waiting(t)
	_, s := w.start("one")
	later := time.Now().Add(time.Minute).UnixMicro()
	w.must(w.redis.Client.Set(t.Context(), "k:revoked:"+operatorID, later, time.Minute).Err())
	w.tap.before("eval:session", func() {
		w.tap.before("eval:session", replica.Freeze) // the first is the confirmation
	})
	m := w.Manager
	for range 3 {
		if err := m.Withdraw(t.Context(), s.Hash()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
		wantKeys(t, w, 0)
		m, _ = w.openWaiting()
	}
	replica.Thaw()
	testworld.Eventually(t, 30*time.Second, "the replica confirms it", func() error { return w.Withdraw(t.Context(), s.Hash()) })
}

// TestRevocationNeedsAReplicatedTick: the replica is there only when the revocation itself is written.
func TestRevocationNeedsAReplicatedTick(t *testing.T) {
	t.Parallel()
	w, replica := waiting(t)
	if _, err := w.Revoke(t.Context(), operatorID); err != nil {
		t.Fatalf("with the replica: %v", err)
	}
	var writes atomic.Int32
	f := tapFunc(func(ctx context.Context, _ string, send func(context.Context) error) error {
		if writes.Add(1)%2 == 1 {
			replica.Freeze()
		}
		defer replica.Thaw()
		return send(ctx)
	})
	w.tap.do.Store(&f)
	if _, err := w.Revoke(t.Context(), operatorID); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}
