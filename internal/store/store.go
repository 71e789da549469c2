// Package store is this service's access to Redis. Every call has one deadline, writes happen in a defined order, WAIT runs
// on the connection of the write, and keys change only by compare-and-swap.
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
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that Redis did not execute a command, or that too few replicas have a write. It never means that a
// key is absent.
var ErrUnavailable = errors.New("store: redis is unavailable")

// Options are the dependencies and settings of a Store.
type Options struct {
	// Redis must have ContextTimeoutEnabled. Otherwise the deadline does not interrupt a frozen connection.
	Redis redis.UniversalClient

	// Prefix is the prefix of every key.
	Prefix string

	// Timeout is the timeout of one call, including connecting and waiting for the pool.
	Timeout time.Duration

	// Replicas is the number of replicas that must acknowledge a Write.
	Replicas int
}

// Store accesses the keys of one application in Redis.
type Store struct {
	rdb      redis.UniversalClient
	cluster  *redis.ClusterClient
	prefix   string
	timeout  time.Duration
	replicas int
	reads    *reads // nil if reads are never batched
}

// New returns a Store that uses the client. The caller closes the client.
func New(o Options) *Store {
	cluster, _ := o.Redis.(*redis.ClusterClient)
	s := &Store{rdb: o.Redis, cluster: cluster, prefix: o.Prefix, timeout: o.Timeout, replicas: o.Replicas}
	if cluster == nil {
		s.reads = &reads{store: s}
	}
	return s
}

// Timeout returns the timeout of one call.
func (s *Store) Timeout() time.Duration { return s.timeout }

// LongTimeout returns the timeout of work that takes many calls one after another, such as the end of all sessions of an
// operator. call is the timeout of one call.
func LongTimeout(call time.Duration) time.Duration { return 20 * call }

// Replicas returns the number of replicas that must acknowledge a Write.
func (s *Store) Replicas() int { return s.replicas }

// Key returns the application's key for a kind and a name.
func (s *Store) Key(kind, name string) string { return s.prefix + kind + ":" + name }

// Get returns the value of a key, or nil if the key is absent. It fails with ErrUnavailable.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if s.reads != nil {
		return s.reads.get(ctx, key)
	}
	cmd := redis.NewStringCmd(ctx, "get", key)
	if err := s.Do(ctx, cmd); err != nil {
		return nil, err
	}
	return Bytes(cmd), nil
}

// GetAll returns the values of keys in one round trip, with nil for absent keys. On a cluster it queries the nodes
// concurrently. It fails with ErrUnavailable.
func (s *Store) GetAll(ctx context.Context, keys []string) ([][]byte, error) {
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
		values[i] = Bytes(cmd.(*redis.StringCmd))
	}
	return values, nil
}

// Bytes returns the reply to a GET that Do or Write has executed, or nil if the key is absent.
func Bytes(cmd *redis.StringCmd) []byte {
	b, _ := cmd.Bytes() // the only error of a command that was executed is that of an absent key
	return b
}

// absent reports whether err is Redis's own nil reply to a command. It compares instead of unwrapping, because go-redis
// also joins redis.Nil into other errors: a Sentinel that does not know the master replies nil, and the error of the failed
// dial contains that.
func absent(err error) bool {
	return err == redis.Nil //nolint:errorlint // see above
}

// unavailable returns err as an ErrUnavailable. It returns nil for no error and for an absent key.
func unavailable(err error) error {
	if err == nil || absent(err) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Do executes the commands in order and returns when the last one is done. It fails with ErrUnavailable. An absent key is
// not a failure.
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

// relocate reloads the cluster's slot map in the background after a failed command. go-redis itself reloads it only when a
// node redirects a command, or once a minute, and a dead master redirects nothing.
func (s *Store) relocate(ctx context.Context) {
	if s.cluster != nil {
		s.cluster.ReloadState(ctx)
	}
}

type pipeliner interface{ Pipeline() redis.Pipeliner }

// pipeline sends required and optional commands in one pipeline, in this order. It fails if a required command fails. An
// optional command keeps its own error.
func pipeline(ctx context.Context, node pipeliner, required, optional []redis.Cmder) error {
	cmds := slices.Concat(required, optional)
	p := node.Pipeline()
	_ = p.BatchProcess(ctx, cmds...) // it only collects the commands, and never fails
	_, err := p.Exec(ctx)
	if unavailable(err) != nil && !slices.ContainsFunc(cmds, failed) {
		// Redis refused to sign in the connection, so nothing was sent. go-redis does not set this error on the commands.
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}
	for _, cmd := range required {
		if failed(cmd) {
			return unavailable(cmd.Err())
		}
	}
	return nil
}

// failed reports whether a command has an error of its own. An absent key is none.
func failed(cmd redis.Cmder) bool { return unavailable(cmd.Err()) != nil }
