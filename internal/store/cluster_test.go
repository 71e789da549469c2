package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
)

// cluster is two Redis nodes in cluster mode. Each serves half of the slots and knows nothing of the other.
type cluster struct{ first, second *testworld.Redis }

// onFirst and onSecond return a key of that node.
func onFirst(name string) string  { return "{b}" + name }
func onSecond(name string) string { return "{a}" + name }

func startCluster(t *testing.T) cluster {
	t.Helper()
	node := func(from, to int) *testworld.Redis {
		r := testworld.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(testworld.StablePort(t)),
			"--cluster-require-full-coverage", "no")
		if err := r.Client.ClusterAddSlotsRange(t.Context(), from, to).Err(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	c := cluster{node(0, 8191), node(8192, 16383)}
	c.eventuallySet(t, c.first, onFirst(""))
	c.eventuallySet(t, c.second, onSecond(""))
	return c
}

// startReplica starts a replica of a node, and waits until it confirms writes. The replica is not part of the cluster.
func startReplica(t *testing.T, master *testworld.Redis, key string) {
	t.Helper()
	testworld.StartRedis(t, "--replicaof", strings.Replace(master.Addr(), ":", " ", 1))
	testworld.Eventually(t, 30*time.Second, "the replica confirms writes", func() error {
		p := master.Client.Pipeline()
		p.Set(t.Context(), key, "", 0)
		confirmed := p.Do(t.Context(), "wait", 1, 100)
		if _, err := p.Exec(t.Context()); err != nil {
			return err
		}
		if n, err := confirmed.Int(); n < 1 {
			return fmt.Errorf("%d replicas, %w", n, err)
		}
		return nil
	})
}

// eventuallySet waits until a node accepts writes: a new master of a cluster refuses them for two seconds.
func (cluster) eventuallySet(t *testing.T, node *testworld.Redis, key string) {
	t.Helper()
	testworld.Eventually(t, 30*time.Second, "the node serves its slots", func() error {
		return node.Client.Set(t.Context(), key, "value", 0).Err()
	})
}

// slotMap is where the client gets the cluster's slot map.
type slotMap struct {
	loads atomic.Int32
	err   error
}

// open returns a store whose client knows both nodes, and the client's slot map.
func (c cluster) open(t *testing.T, replicas int) (*store.Store, *slotMap) {
	t.Helper()
	m := &slotMap{}
	client := redis.NewClusterClient(&redis.ClusterOptions{
		ContextTimeoutEnabled: true, DisableRoutingPolicies: true,
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			m.loads.Add(1)
			return []redis.ClusterSlot{
				{Start: 0, End: 8191, Nodes: []redis.ClusterNode{{Addr: c.first.Addr()}}},
				{Start: 8192, End: 16383, Nodes: []redis.ClusterNode{{Addr: c.second.Addr()}}},
			}, m.err
		},
	})
	t.Cleanup(func() { client.Close() })
	return store.New(store.Options{Redis: client, Prefix: "k:", Timeout: time.Second, Replicas: replicas}), m
}

func set(ctx context.Context, key string) redis.Cmder {
	return redis.NewStatusCmd(ctx, "set", key, "value")
}
func get(ctx context.Context, key string) *redis.StringCmd {
	return redis.NewStringCmd(ctx, "get", key)
}

// wrong returns a command that Redis refuses: its key holds a list.
func (c cluster) wrong(t *testing.T) redis.Cmder {
	t.Helper()
	if err := c.first.Client.LPush(t.Context(), onFirst("list"), "x").Err(); err != nil {
		t.Fatal(err)
	}
	return get(t.Context(), onFirst("list"))
}

func wantKeys(t *testing.T, node *testworld.Redis, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if node.Client.Exists(t.Context(), key).Val() != 1 {
			t.Errorf("%s does not exist", key)
		}
	}
}

func wantNoKeys(t *testing.T, node *testworld.Redis, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if n, err := node.Client.Exists(t.Context(), key).Result(); n != 0 || err != nil {
			t.Errorf("%s: got %d, %v, want no such key", key, n, err)
		}
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := t.Context()

	t.Run("reads", func(t *testing.T) {
		s, _ := c.open(t, 0)
		for _, key := range []string{onFirst(""), onSecond("")} {
			if got, err := s.Get(ctx, key); err != nil || string(got) != "value" {
				t.Errorf("%s: got %q, %v", key, got, err)
			}
		}
		if got, err := s.Get(ctx, onFirst("absent")); err != nil || got != nil {
			t.Errorf("absent: got %q, %v", got, err)
		}
		all, err := s.GetAll(ctx, []string{onSecond(""), onFirst("absent"), onFirst("")})
		if err != nil || len(all) != 3 || string(all[0]) != "value" || all[1] != nil || string(all[2]) != "value" {
			t.Errorf("got %q, %v", all, err)
		}
	})

	t.Run("writes stop at the first failure", func(t *testing.T) {
		for replicas := range 2 {
			s, _ := c.open(t, replicas)
			optional := set(ctx, onSecond("optional"))
			if err := s.WriteWith(ctx, []redis.Cmder{optional}, c.wrong(t), set(ctx, onSecond("later"))); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%d replicas: got %v, want unavailable", replicas, err)
			}
			wantNoKeys(t, c.second, onSecond("later"), onSecond("optional"))
		}
	})

	t.Run("a swap that was not sent", func(t *testing.T) {
		s, _ := c.open(t, 0)
		swap := store.NewSwap(ctx, onSecond("swap"), nil, []byte("value"), time.Minute)
		if err := s.Do(ctx, c.wrong(t), swap.SliceCmd); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
		if done, now, err := swap.Swapped(); done || now != nil || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the swap: got %t, %q, %v, want unavailable", done, now, err)
		}
		wantNoKeys(t, c.second, onSecond("swap"))
	})

	t.Run("optional commands", func(t *testing.T) {
		for _, node := range []*testworld.Redis{c.first, c.second} { // waiting for no replica needs no right to wait
			if err := node.Client.Do(ctx, "ACL", "SETUSER", "default", "-wait").Err(); err != nil {
				t.Fatal(err)
			}
			defer node.Client.Do(ctx, "ACL", "SETUSER", "default", "+wait")
		}
		s, _ := c.open(t, 0)
		wrong, works := c.wrong(t), set(ctx, onSecond("optional"))
		if err := s.WriteWith(ctx, []redis.Cmder{wrong, works}, set(ctx, onSecond("one")), set(ctx, onFirst("two"))); err != nil {
			t.Errorf("got %v, want the writes done", err)
		}
		if wrong.Err() == nil || works.Err() != nil {
			t.Errorf("got %v and %v", wrong.Err(), works.Err())
		}
		wantKeys(t, c.second, onSecond("one"), onSecond("optional"))
		wantKeys(t, c.first, onFirst("two"))
	})

	t.Run("no slot map", func(t *testing.T) {
		s, m := c.open(t, 1)
		m.err = errors.New("no node replies")
		for name, write := range map[string]func(context.Context, ...redis.Cmder) error{"write": s.Write, "in any order": s.WriteUnordered} {
			if err := write(ctx, set(ctx, onFirst("unknown"))); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: got %v, want unavailable", name, err)
			}
		}
	})

	t.Run("a frozen node", func(t *testing.T) {
		s, _ := c.open(t, 0)
		c.first.Freeze()
		defer c.first.Thaw()
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				key, fails := onSecond(""), false
				if i%2 == 0 {
					key, fails = onFirst(""), true
				}
				if got, err := s.Get(ctx, key); errors.Is(err, store.ErrUnavailable) != fails || !fails && string(got) != "value" {
					t.Errorf("%s: got %q, %v", key, got, err)
				}
			})
		}
		all.Wait()
	})
}

// TestClusterWaitsForTheReplicasOfEachKey: the replicas of the two nodes come one after the other.
func TestClusterWaitsForTheReplicasOfEachKey(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	s, _ := c.open(t, 1)
	write := func(name string) error {
		swap := store.NewSwap(t.Context(), onSecond(name), nil, []byte("value"), time.Minute)
		return s.WriteWith(t.Context(), []redis.Cmder{set(t.Context(), onSecond(name+"-optional"))},
			set(t.Context(), onFirst(name)), swap.SliceCmd, set(t.Context(), onFirst(name+"-last")))
	}
	// A node keeps what it has executed, whether a replica has it or not.
	if err := write("no replica"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("no replica: got %v, want unavailable", err)
	}
	wantKeys(t, c.first, onFirst("no replica"))
	wantNoKeys(t, c.first, onFirst("no replica-last"))
	wantNoKeys(t, c.second, onSecond("no replica"), onSecond("no replica-optional"))

	startReplica(t, c.first, onFirst("x"))
	if err := write("one replica"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a replica of the first node: got %v, want unavailable", err)
	}
	wantKeys(t, c.first, onFirst("one replica"))
	wantKeys(t, c.second, onSecond("one replica"))
	wantNoKeys(t, c.first, onFirst("one replica-last"))
	wantNoKeys(t, c.second, onSecond("one replica-optional"))

	startReplica(t, c.second, onSecond("x"))
	if err := write("both"); err != nil {
		t.Errorf("replicas of both: got %v", err)
	}
	wantKeys(t, c.first, onFirst("both"), onFirst("both-last"))
	wantKeys(t, c.second, onSecond("both"), onSecond("both-optional"))

	if err := c.first.Client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteUnordered(t.Context(), set(t.Context(), onFirst("a")), set(t.Context(), onSecond("b")), set(t.Context(), onFirst("c"))); err != nil {
		t.Errorf("in any order: got %v", err)
	}
	wantKeys(t, c.first, onFirst("a"), onFirst("c"))
	if stats := c.first.Client.Info(t.Context(), "commandstats").Val(); !strings.Contains(stats, "cmdstat_wait:calls=1,") {
		t.Errorf("the first node waits more than once for its replica:\n%s", stats)
	}
	wantKeys(t, c.second, onSecond("b"))
	if err := s.WriteUnordered(t.Context(), set(t.Context(), onSecond("b")), c.wrong(t)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("in any order, one refused: got %v, want unavailable", err)
	}
	if err := s.Write(t.Context(), c.wrong(t)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a refused command that the replica need not have: got %v, want unavailable", err)
	}
}

// TestANilSlotMapIsUnavailable: Redis's nil means absence only as the reply to a command about a key.
func TestANilSlotMapIsUnavailable(t *testing.T) {
	t.Parallel()
	s, slots := startCluster(t).open(t, 1)
	slots.err = redis.Nil
	for name, write := range map[string]func(context.Context, ...redis.Cmder) error{"write": s.Write, "in any order": s.WriteUnordered} {
		if err := write(t.Context(), set(t.Context(), onFirst("a"))); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want unavailable", name, err)
		}
	}
}

// TestFailedCommandReloadsTheSlotMap: go-redis reloads it only once a minute if no node redirects a command.
func TestFailedCommandReloadsTheSlotMap(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.wrong(t)
	for name, row := range map[string]struct {
		replicas int
		fails    func(context.Context, *store.Store) error
	}{
		"get": {0, func(ctx context.Context, s *store.Store) error { _, err := s.Get(ctx, onFirst("list")); return err }},
		"get all": {0, func(ctx context.Context, s *store.Store) error {
			_, err := s.GetAll(ctx, []string{onFirst("list")})
			return err
		}},
		"write": {0, func(ctx context.Context, s *store.Store) error { return s.Write(ctx, get(ctx, onFirst("list"))) }},
		"write that waits for a replica": {1, func(ctx context.Context, s *store.Store) error {
			return s.Write(ctx, get(ctx, onFirst("list")))
		}},
	} {
		s, m := c.open(t, row.replicas)
		if _, err := s.Get(t.Context(), onFirst("")); err != nil {
			t.Fatal(err)
		}
		before := m.loads.Load()
		if err := row.fails(t.Context(), s); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want unavailable", name, err)
		}
		testworld.Eventually(t, 30*time.Second, name+" reloads the slot map", func() error {
			if m.loads.Load() == before {
				return fmt.Errorf("got %d loads", before)
			}
			return nil
		})
	}
}
