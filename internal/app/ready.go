package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"koubei-landing/internal/metrics"
	"koubei-landing/internal/readiness"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// probeKind is the kind of the probes' keys.
const probeKind = "probe"

// probeScript runs the write commands without which a landing, a sign-out or a revocation fails, and deletes its keys. One
// script takes one round trip, also on a cluster.
const probeScript = `
local now = redis.call('TIME')
redis.call('SET', KEYS[1], now[1], 'PX', ARGV[1])
redis.call('GETDEL', KEYS[1])
redis.call('ZADD', KEYS[1], now[1], 'probe')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[1])
return 1`

// probeMilliseconds is the lifetime of a key of the probe, in case the script ends midway.
const probeMilliseconds = 10000

// newReadiness returns the checker behind /readyz. Only reading is required: without writes nobody can land, but the
// service still recognizes users who are signed in.
func newReadiness(c Config, b *backend, m *metrics.Metrics) *readiness.Checker {
	probes := prober{store: b.store, redis: b.redis}
	checks := []readiness.Check{
		{Name: "redis", Required: true, Level: slog.LevelError, Try: probes.read},
		{Name: "redis_writes", Level: slog.LevelError, Try: probes.write},
	}
	if c.Session.CacheTTL > 0 {
		checks = append(checks, readiness.Check{Name: "cache", Level: slog.LevelWarn, Try: cacheProbe(b.sessions)})
	}
	return readiness.New(readiness.Options{Checks: checks, OnChange: m.Ready, Log: c.Log, Now: c.Now})
}

func cacheProbe(sessions *session.Manager) func(context.Context) error {
	return func(context.Context) error { return sessions.CacheErr() }
}

// prober runs test commands on one key of every node.
type prober struct {
	store *store.Store
	redis redis.UniversalClient
}

// read runs the kind of command that every session check needs. It does not use PING, which Redis refuses with MISCONF while it
// still answers GET.
func (p prober) read(ctx context.Context) error {
	return p.onEveryNode(ctx, func(ctx context.Context, key string) error {
		return p.store.Do(ctx, redis.NewStringCmd(ctx, "get", key))
	})
}

func (p prober) write(ctx context.Context) error {
	return p.onEveryNode(ctx, func(ctx context.Context, key string) error {
		return p.store.Write(ctx, redis.NewCmd(ctx, "eval", probeScript, 1, key, probeMilliseconds))
	})
}

func (p prober) onEveryNode(ctx context.Context, try func(ctx context.Context, key string) error) error {
	keys, err := p.keys(ctx)
	if err != nil {
		return err
	}
	nodes, ctx := errgroup.WithContext(ctx)
	for _, key := range keys {
		nodes.Go(func() error { return try(ctx, key) })
	}
	return nodes.Wait()
}

// keys returns one key for a single node, or one key for each master of a cluster.
func (p prober) keys(ctx context.Context) ([]string, error) {
	cluster, ok := p.redis.(*redis.ClusterClient)
	if !ok {
		return []string{p.store.Key(probeKind, "")}, nil
	}
	// With many more keys than masters, each master gets one. Finding a key's master takes no round trip.
	const tries = 256
	var keys []string
	seen := map[*redis.Client]bool{}
	for i := range tries {
		key := p.store.Key(probeKind, fmt.Sprint(i))
		master, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return nil, err
		}
		if !seen[master] {
			seen[master] = true
			keys = append(keys, key)
		}
	}
	return keys, nil
}
