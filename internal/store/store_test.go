package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
)

func open(t *testing.T, r *testworld.Redis, replicas int) *store.Store {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.Addr(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	return store.New(store.Options{Redis: client, Prefix: "k:", Timeout: 300 * time.Millisecond, Replicas: replicas})
}

func TestSwap(t *testing.T) {
	s := open(t, testworld.StartRedis(t), 0)
	key := s.Key("code", "x")
	for _, step := range []struct {
		name          string
		before, after string
		done          bool
		now           string
	}{
		{"of a key that is absent", "", "a", true, "a"},
		{"repeated: its own work is recognised", "", "a", true, "a"},
		{"of a key that should be absent", "", "b", false, "a"},
		{"of a value", "a", "b", true, "b"},
		{"repeated", "a", "b", true, "b"},
		{"of a value that has changed", "a", "c", false, "b"},
		{"that deletes what has changed", "a", "", false, "b"},
		{"that deletes", "b", "", true, ""},
		{"that deletes, repeated", "b", "", true, ""},
		{"of a value that is gone: never brought back", "b", "c", false, ""},
	} {
		done, now, err := s.Swap(t.Context(), key, []byte(step.before), []byte(step.after), time.Minute)
		if err != nil || done != step.done || string(now) != step.now {
			t.Errorf("a swap %s: got %v, %q, %v; want %v, %q", step.name, done, now, err, step.done, step.now)
		}
		if got, err := s.Get(t.Context(), key); err != nil || string(got) != step.now || (got == nil) != (step.now == "") {
			t.Errorf("after a swap %s: got %q, %v, want %q", step.name, got, err, step.now)
		}
	}
}

func TestSwapAlwaysSetsExpiry(t *testing.T) {
	r := testworld.StartRedis(t)
	s := open(t, r, 0)
	for _, ttl := range []time.Duration{time.Minute, time.Microsecond, 0, -time.Hour} {
		if _, _, err := s.Swap(t.Context(), "k", nil, []byte("v"), ttl); err != nil {
			t.Errorf("%s: %v", ttl, err)
		}
		if r.Client.PTTL(t.Context(), "k").Val() == -1 {
			t.Errorf("%s: the key stays forever", ttl)
		}
		r.Client.Del(t.Context(), "k")
	}
}

func TestOutageIsNotAbsence(t *testing.T) {
	r := testworld.StartRedis(t)
	s := open(t, r, 0)
	if got, err := s.Get(t.Context(), "nothing"); got != nil || err != nil {
		t.Errorf("absent: got %q, %v", got, err)
	}
	if err := r.Client.LPush(t.Context(), "list", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "list"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an error of Redis's own: got %v, want unavailable", err)
	}
	calls := map[string]func() error{
		"get": func() error { _, err := s.Get(t.Context(), "k"); return err },
		"swap": func() error {
			done, current, err := s.Swap(t.Context(), "k", nil, []byte("v"), time.Minute)
			if done || current != nil {
				t.Errorf("a failed swap: got %t, %q", done, current)
			}
			return err
		},
		"swap that was sent by Do": func() error {
			cmd := store.NewSwap(t.Context(), "k", nil, []byte("v"), time.Minute)
			_ = s.Do(t.Context(), cmd.SliceCmd)
			done, _, err := cmd.Swapped()
			if done {
				t.Error("a failed swap is done")
			}
			return err
		},
		"tick": func() error {
			cmd := store.NewTick(t.Context(), "clock", time.Minute)
			_ = s.Do(t.Context(), cmd.IntCmd)
			_, err := cmd.Time()
			return err
		},
		"get all": func() error { _, err := s.GetAll(t.Context(), []string{"a", "b"}); return err },
		"pipeline": func() error {
			return s.Do(t.Context(), redis.NewStringCmd(context.Background(), "get", "a"), redis.NewStringCmd(context.Background(), "get", "b"))
		},
	}
	r.Freeze()
	for name, call := range calls {
		begun := time.Now()
		err := call()
		if took := time.Since(begun); !errors.Is(err, store.ErrUnavailable) || took > 700*time.Millisecond {
			t.Errorf("frozen, %s: got %v after %s, want unavailable within 300 ms and a little", name, err, took)
		}
	}
	r.Thaw()
	r.Kill()
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("killed, %s: got %v, want unavailable", name, err)
		}
	}
}

// TestAWriteWithoutItsReplicasDoesNotCount also checks that the number of replicas arrives before the deadline, although
// Redis may end a WAIT a tenth of a second late. On a busy machine that may fail now and then.
func TestAWriteWithoutItsReplicasDoesNotCount(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	s := open(t, r, 1)
	counted := 0
	for n := 0; n < 20 && counted < 4; n++ {
		done, _, err := s.Swap(t.Context(), "k", nil, []byte("v"), time.Minute)
		if !errors.Is(err, store.ErrUnavailable) || done {
			t.Errorf("got %t, %v, want unavailable", done, err)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			counted++
		}
	}
	if counted < 4 {
		t.Errorf("got the number of replicas %d times in 20", counted)
	}
	if _, err := s.Get(t.Context(), "k"); err != nil {
		t.Errorf("a read waits for no replica: got %v", err)
	}
}

// TestOptionalCommandsDecideNothing: each command keeps its own error.
func TestOptionalCommandsDecideNothing(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	s := open(t, r, 0)
	ctx := t.Context()
	if err := r.Client.LPush(ctx, "list", "x").Err(); err != nil {
		t.Fatal(err)
	}
	required := redis.NewStatusCmd(ctx, "set", "k", "v")
	fails, works := redis.NewStringCmd(ctx, "get", "list"), redis.NewStringCmd(ctx, "get", "k")
	if err := s.WriteWith(ctx, []redis.Cmder{fails, works}, required); err != nil {
		t.Errorf("got %v, want the write done", err)
	}
	if fails.Err() == nil || works.Val() != "v" {
		t.Errorf("got %v and %q", fails.Err(), works.Val())
	}
	if err := s.WriteWith(ctx, []redis.Cmder{works}, redis.NewStringCmd(ctx, "get", "list")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

// TestTicksAreInOrder also covers a Redis whose clock is behind the last tick.
func TestTicksAreInOrder(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	s := open(t, r, 0)
	var last int64
	tick := func() int64 {
		t.Helper()
		cmd := store.NewTick(t.Context(), "clock", time.Minute)
		if err := s.Write(t.Context(), cmd.IntCmd); err != nil {
			t.Fatal(err)
		}
		now, err := cmd.Time()
		if err != nil || now <= last {
			t.Fatalf("got %d after %d, %v", now, last, err)
		}
		last = now
		return now
	}
	for range 100 {
		tick()
	}
	if drift := time.Since(time.UnixMicro(last)).Abs(); drift > time.Minute {
		t.Errorf("got a time that is %s away from Redis's", drift)
	}
	last += time.Hour.Microseconds()
	if err := r.Client.Set(t.Context(), "clock", last, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	tick()
	tick()
}
