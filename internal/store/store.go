// Package store is Redis as this service uses it: every command under one deadline, writes in a stated order, replicas
// waited for on the connection of the write, and one way to change a key: compare and swap.
//
// Three things surprise. Order matters more than atomicity here: an index is written before what it names, and a marker
// is read after both, on any number of cluster nodes, so [Store.Do] sends one pipeline to a single node but one command
// after another to a cluster. Scripts are sent as text, never by hash: a Redis that restarted has forgotten the hash, and
// a pipeline can't fall back. And the deadline is set here, on the context, because go-redis's own time-outs add up:
// waiting for the pool, connecting and retrying each count afresh.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that Redis could not be asked, or that too few replicas have what was written. It never means that
// there is nothing.
var ErrUnavailable = errors.New("store: Redis is out of reach")

// Options is what a Store is made of.
type Options struct {
	// Redis must have ContextTimeoutEnabled, or the deadline does not interrupt a frozen connection.
	Redis redis.UniversalClient

	// Prefix begins every key.
	Prefix string

	// Timeout bounds one call, connecting and waiting for the pool included.
	Timeout time.Duration

	// Replicas must have acknowledged a Write before it counts.
	Replicas int
}

// Store is one application's part of a Redis.
type Store struct {
	rdb      redis.UniversalClient
	cluster  *redis.ClusterClient
	prefix   string
	timeout  time.Duration
	replicas int
	reads    *reads // nil where each question goes alone
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

// Key names what of this application is stored under kind and name.
func (s *Store) Key(kind, name string) string { return s.prefix + kind + ":" + name }

// Ping asks for a sign of life. It fails with ErrUnavailable.
func (s *Store) Ping(ctx context.Context) error {
	return s.Do(ctx, redis.NewStatusCmd(ctx, "ping"))
}

// Get returns the value of a key, nil when there is none. It fails with ErrUnavailable.
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

// Bytes returns the answer to a GET that went through Do or Write: nil when the key was absent.
func Bytes(cmd *redis.StringCmd) ([]byte, error) {
	b, err := cmd.Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return b, err
}

// Do carries out the commands in their order and returns when the last is done. It fails with ErrUnavailable; an absent
// key is not a failure.
func (s *Store) Do(ctx context.Context, cmds ...redis.Cmder) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if len(cmds) == 1 || s.cluster != nil {
		return s.oneByOne(ctx, cmds)
	}
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { return addAll(ctx, p, cmds) })
	return failure(err, cmds)
}

func (s *Store) oneByOne(ctx context.Context, cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := failure(s.rdb.Process(ctx, cmd), []redis.Cmder{cmd}); err != nil {
			s.relocate(ctx)
			return err
		}
	}
	return nil
}

// relocate has the cluster's map read anew, in the background, because a command failed. By itself go-redis does so only
// when a node sends it elsewhere, or once a minute: and a master that has died sends nobody anywhere.
func (s *Store) relocate(ctx context.Context) {
	if s.cluster != nil {
		s.cluster.ReloadState(ctx)
	}
}

func addAll(ctx context.Context, p redis.Pipeliner, cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := p.Process(ctx, cmd); err != nil {
			return err
		}
	}
	return nil
}

// failure tells an outage from the absence of a key, which go-redis reports as an error too.
func failure(err error, cmds []redis.Cmder) error {
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return nil
}
