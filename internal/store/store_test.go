package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
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
	t.Parallel()
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
		if err != nil || done != step.done || string(now) != step.now || (now == nil) != (step.now == "") {
			t.Errorf("a swap %s: got %v, %q, %v; want %v, %q", step.name, done, now, err, step.done, step.now)
		}
		if got, err := s.Get(t.Context(), key); err != nil || string(got) != step.now || (got == nil) != (step.now == "") {
			t.Errorf("after a swap %s: got %q, %v, want %q", step.name, got, err, step.now)
		}
	}
}

func TestSwapAlwaysSetsExpiry(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	var all sync.WaitGroup
	r.Freeze()
	for name, call := range calls {
		all.Go(func() {
			begun := time.Now()
			err := call()
			if took := time.Since(begun); !errors.Is(err, store.ErrUnavailable) || took > 700*time.Millisecond {
				t.Errorf("frozen, %s: got %v after %s, want unavailable within 300 ms and a little", name, err, took)
			}
		})
	}
	all.Wait()
	r.Thaw()
	r.Kill()
	for name, call := range calls {
		all.Go(func() {
			if err := call(); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("killed, %s: got %v, want unavailable", name, err)
			}
		})
	}
	all.Wait()
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

// TestAWriteAlwaysWrites: since Redis 7.2, WAIT does not wait after commands that change nothing. The number of changes that
// Redis has counted must increase with each Write that waits for replicas, and no key may change.
func TestAWriteAlwaysWrites(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	s := open(t, r, 1)
	ctx := t.Context()
	changes := func() string {
		_, after, _ := strings.Cut(r.Client.Info(ctx, "persistence").Val(), "rdb_changes_since_last_save:")
		n, _, _ := strings.Cut(after, "\r\n")
		return n
	}
	if err := r.Client.Set(ctx, "value", "v", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func() error{
		"a deletion, repeated": func() error { return s.Write(ctx, store.NewTake(ctx, "absent", store.Announcement{})) },
		"deletions, repeated":  func() error { return s.WriteUnordered(ctx, store.NewTake(ctx, "absent", store.Announcement{})) },
		"a swap, repeated": func() error {
			_, _, err := s.Swap(ctx, "value", []byte("before"), []byte("v"), time.Minute)
			return err
		},
		"a swap that deletes, repeated":  func() error { _, _, err := s.Swap(ctx, "absent", []byte("v"), nil, time.Minute); return err },
		"a swap of a value that changed": func() error { _, _, err := s.Swap(ctx, "value", []byte("x"), []byte("y"), time.Minute); return err },
		"a confirmation":                 func() error { return s.Confirm(ctx, "value") },
		"a confirmation of a deletion":   func() error { return s.Confirm(ctx, "absent") },
	} {
		before := changes()
		if err := write(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want unavailable: there is no replica", name, err)
		}
		if after := changes(); after == before || after == "" {
			t.Errorf("%s: got %q changes before and %q after it, want more", name, before, after)
		}
		if n := r.Client.Exists(ctx, "absent").Val(); n != 0 {
			t.Errorf("%s: the absent key exists", name)
		}
		if v, ttl := r.Client.Get(ctx, "value").Val(), r.Client.PTTL(ctx, "value").Val(); v != "v" || ttl > time.Hour || ttl < 59*time.Minute {
			t.Errorf("%s: got the value %q for %s, want v for an hour", name, v, ttl)
		}
	}
	if err := open(t, r, 0).Confirm(ctx, "value"); err != nil {
		t.Errorf("without replicas: got %v", err)
	}
}

// TestADeletionNeedsNoMemory: a full Redis allows it, also if it waits for replicas.
func TestADeletionNeedsNoMemory(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	ctx := t.Context()
	if err := errors.Join(r.Client.Set(ctx, "value", "v", time.Hour).Err(), r.Client.ConfigSet(ctx, "maxmemory", "1").Err()); err != nil {
		t.Fatal(err)
	}
	s := open(t, r, 1)
	for range 2 {
		take := store.NewTake(ctx, "value", store.Announcement{})
		err := s.Write(ctx, take)
		if _, refused := errors.AsType[redis.Error](err); refused || !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "OOM") {
			t.Errorf("got %v, want only the replica missing", err)
		}
		if r.Client.Exists(ctx, "value").Val() != 0 {
			t.Error("the key exists")
		}
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
	if err := s.WriteWith(ctx, []redis.Cmder{works}, required, redis.NewStringCmd(ctx, "get", "list")); !errors.Is(err, store.ErrUnavailable) {
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

// TestRefusedSignInIsAnOutage: Redis replies to the connection, and no command is sent.
func TestRefusedSignInIsAnOutage(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: r.Addr(), ContextTimeoutEnabled: true, Password: "wrong"})
	t.Cleanup(func() { client.Close() })
	s := store.New(store.Options{Redis: client, Prefix: "k:", Timeout: 5 * time.Second})
	if err := r.Client.ConfigSet(t.Context(), "requirepass", "hush").Err(); err != nil {
		t.Fatal(err)
	}
	if values, err := s.GetAll(t.Context(), []string{"a", "b"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("get all: got %q, %v, want unavailable", values, err)
	}
	required, optional := set(t.Context(), "a"), get(t.Context(), "b")
	if err := s.WriteWith(t.Context(), []redis.Cmder{optional}, required); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a write: got %v, want unavailable", err)
	}
	if required.Err() == nil || optional.Err() == nil {
		t.Errorf("got the commands' errors %v and %v, want both", required.Err(), optional.Err())
	}
	var all sync.WaitGroup
	for range 50 { // more than are sent alone
		all.Go(func() {
			if got, err := s.Get(t.Context(), "a"); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("a read in a batch: got %q, %v, want unavailable", got, err)
			}
		})
	}
	all.Wait()
}

func TestAnnouncements(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	s := open(t, r, 0)
	ctx := t.Context()
	heard := s.Subscribe(ctx, "changes")
	t.Cleanup(func() { heard.Close() })
	if _, err := heard.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	announce := func(message string) store.Announcement {
		return store.Announcement{Channel: "changes", Message: message}
	}
	swap := func(before, after string, a store.Announcement) {
		t.Helper()
		if err := s.Do(ctx, store.NewSwap(ctx, "k", []byte(before), []byte(after), time.Minute).Announcing(ctx, a).SliceCmd); err != nil {
			t.Error(err)
		}
	}
	swap("", "a", store.Announcement{})
	swap("a", "b", announce("swapped"))
	swap("a", "c", announce("a swap that was refused"))
	take := store.NewTake(ctx, "k", announce("taken"))
	if err := s.Do(ctx, take); err != nil || take.Val() != "b" {
		t.Errorf("taken: got %q, %v", take.Val(), err)
	}
	for _, want := range []string{"swapped", "taken"} {
		if m, err := heard.ReceiveMessage(ctx); err != nil || m.Payload != want {
			t.Errorf("got %v, %v, want %q", m, err, want)
		}
	}
	silent := store.NewSwap(ctx, "k", nil, []byte("a"), time.Minute)
	if got := silent.Announcing(ctx, store.Announcement{}).Args(); len(got) != len(silent.Args()) {
		t.Errorf("without an announcement: got the arguments %v", got)
	}
}

// trips is a hook that notes how many commands each round trip carries.
type trips struct {
	mu    sync.Mutex
	sizes []int
	hold  func(context.Context) error // called instead of sending a command that goes alone, if set
}

func (h *trips) note(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sizes = append(h.sizes, n)
}

func (h *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.note(1)
		if h.hold != nil {
			return h.hold(ctx)
		}
		return next(ctx, cmd)
	}
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.note(len(cmds))
		return next(ctx, cmds)
	}
}

// openNoting returns a store whose round trips the hook notes.
func openNoting(t *testing.T, r *testworld.Redis, h *trips) *store.Store {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.Addr(), ContextTimeoutEnabled: true, PoolSize: 200, PipelinePoolSize: -1})
	client.AddHook(h)
	t.Cleanup(func() { client.Close() })
	return store.New(store.Options{Redis: client, Prefix: "k:", Timeout: 20 * time.Second})
}

func TestCommandsOfOneCallShareARoundTrip(t *testing.T) {
	t.Parallel()
	h := &trips{}
	s := openNoting(t, testworld.StartRedis(t), h)
	ctx := t.Context()
	if err := s.Do(ctx, set(ctx, "a")); err != nil { // it also connects
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"do":              func() error { return s.Do(ctx, set(ctx, "a"), set(ctx, "b"), get(ctx, "a")) },
		"write":           func() error { return s.Write(ctx, set(ctx, "a"), set(ctx, "b"), get(ctx, "a")) },
		"write, optional": func() error { return s.WriteWith(ctx, []redis.Cmder{get(ctx, "a")}, set(ctx, "a"), set(ctx, "b")) },
		"get all":         func() error { _, err := s.GetAll(ctx, []string{"a", "b", "c"}); return err },
	} {
		h.sizes = nil
		if err := call(); err != nil || !slices.Equal(h.sizes, []int{3}) {
			t.Errorf("%s: got round trips of %d commands, %v, want one of 3", name, h.sizes, err)
		}
	}
}
