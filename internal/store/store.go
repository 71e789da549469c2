// Package store is this service's access to Redis: every call has one deadline, writes happen in a stated order, replicas
// are waited for on the connection of the write, and a key changes in one way only: compare and swap.
//
// Three design choices need an explanation:
//
//   - Order matters more than atomicity. An index is written before the record that it names, and a revocation is read
//     after both, on any number of cluster nodes. So [Store.Do] sends one pipeline to a single node, but one command after
//     another to a cluster.
//   - Scripts are sent as text, never by hash. A restarted Redis has no script cache, and a pipeline cannot fall back.
//   - The deadline is set here, on the context, because go-redis's own timeouts add up: waiting for the pool, connecting
//     and retrying each start a new one.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable reports that Redis did not carry out a command, or that too few replicas have a write. It never means
// that a key is absent.
var ErrUnavailable = errors.New("store: redis is unavailable")

// Options are the dependencies and settings of a Store.
type Options struct {
	// Redis must have ContextTimeoutEnabled, or the deadline does not interrupt a frozen connection.
	Redis redis.UniversalClient

	// Prefix begins every key.
	Prefix string

	// Timeout bounds one call, including connecting and waiting for the pool.
	Timeout time.Duration

	// Replicas is how many replicas must acknowledge a Write before it counts.
	Replicas int
}

// Store is one application's part of a Redis.
type Store struct {
	rdb      redis.UniversalClient
	cluster  *redis.ClusterClient
	prefix   string
	timeout  time.Duration
	replicas int
	reads    *reads // nil where reads are never batched
}

// New returns a Store over a client that the caller opened and closes.
func New(o Options) *Store {
	cluster, _ := o.Redis.(*redis.ClusterClient)
	s := &Store{rdb: o.Redis, cluster: cluster, prefix: o.Prefix, timeout: o.Timeout, replicas: o.Replicas}
	if cluster == nil {
		s.reads = &reads{store: s}
	}
	return s
}

// Timeout is the longest that one call takes.
func (s *Store) Timeout() time.Duration { return s.timeout }

// Key returns the key of this application for a kind and a name.
func (s *Store) Key(kind, name string) string { return s.prefix + kind + ":" + name }

// Get returns the value of a key, nil when the key is absent. It fails with ErrUnavailable.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if s.reads != nil {
		return s.reads.get(ctx, key)
	}
	cmd := redis.NewStringCmd(ctx, "get", key)
	if err := s.Do(ctx, cmd); err != nil {
		return nil, err
	}
	return Bytes(cmd)
}

// GetAll returns the values of keys in one round trip, nil for absent keys. The reads have no order, so the nodes of a
// cluster are asked at once. It fails with ErrUnavailable.
func (s *Store) GetAll(ctx context.Context, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	cmds := make([]redis.Cmder, len(keys))
	for i, key := range keys {
		cmds[i] = redis.NewStringCmd(ctx, "get", key)
	}
	if err := pipeline(ctx, s.rdb, cmds, nil); err != nil {
		s.relocate(ctx)
		return nil, err
	}
	values := make([][]byte, len(keys))
	for i, cmd := range cmds {
		var err error
		if values[i], err = Bytes(cmd.(*redis.StringCmd)); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Bytes returns the reply to a GET that went through Do or Write: nil when the key is absent. It fails with
// ErrUnavailable.
func Bytes(cmd *redis.StringCmd) ([]byte, error) {
	if absent(cmd.Err()) {
		return nil, nil
	}
	b, err := cmd.Bytes()
	return b, unavailable(err)
}

// absent reports whether err is Redis's own nil reply to a command. It compares instead of unwrapping, because go-redis
// also joins redis.Nil into other errors: a Sentinel that does not know the master answers nil, and the failed dial
// carries that.
func absent(err error) bool {
	return err == redis.Nil //nolint:errorlint // see above
}

// unavailable returns err as an ErrUnavailable; nil for no error and for an absent key.
func unavailable(err error) error {
	if err == nil || absent(err) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Do carries out the commands in their order and returns when the last is done. It fails with ErrUnavailable; an absent
// key is not a failure.
func (s *Store) Do(ctx context.Context, cmds ...redis.Cmder) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if len(cmds) == 1 || s.cluster != nil {
		return s.oneByOne(ctx, cmds)
	}
	return pipeline(ctx, s.rdb, cmds, nil)
}

func (s *Store) oneByOne(ctx context.Context, cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := unavailable(s.rdb.Process(ctx, cmd)); err != nil {
			s.relocate(ctx)
			return err
		}
	}
	return nil
}

// relocate reloads the cluster's slot map in the background after a failed command. By itself go-redis reloads it only
// when a node redirects a command, or once a minute, and a dead master redirects nothing.
func (s *Store) relocate(ctx context.Context) {
	if s.cluster != nil {
		s.cluster.ReloadState(ctx)
	}
}

type pipeliner interface {
	Pipelined(context.Context, func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

// pipeline sends required and optional commands together, in this order. It fails when a required command fails; an
// optional command keeps its own error.
func pipeline(ctx context.Context, node pipeliner, required, optional []redis.Cmder) error {
	_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, cmds := range [][]redis.Cmder{required, optional} {
			for _, cmd := range cmds {
				if err := p.Process(ctx, cmd); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for _, cmd := range required {
		if err := unavailable(cmd.Err()); err != nil {
			return err
		}
	}
	if err != nil && !anyFailed(required, optional) {
		return unavailable(err) // nothing was sent
	}
	return nil
}

// anyFailed reports whether an error of the pipeline is already a command's own.
func anyFailed(groups ...[]redis.Cmder) bool {
	for _, cmds := range groups {
		for _, cmd := range cmds {
			if unavailable(cmd.Err()) != nil {
				return true
			}
		}
	}
	return false
}
