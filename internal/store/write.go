package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Write executes the commands in order, like Do, and returns when the configured number of replicas has all of them. Each
// command's first key selects its node. It fails with ErrUnavailable. It also fails if the write succeeded but too few
// replicas have it: Redis keeps the write then, but the caller must not rely on it.
func (s *Store) Write(ctx context.Context, cmds ...redis.Cmder) error {
	return s.WriteWith(ctx, nil, cmds...)
}

// WriteUnordered is Write for commands whose order does not matter. On a cluster that waits for replicas, each node gets its
// commands in one pipeline.
func (s *Store) WriteUnordered(ctx context.Context, cmds ...redis.Cmder) error {
	if s.cluster == nil || s.replicas == 0 {
		return s.Write(ctx, cmds...)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	groups := map[*redis.Client][]redis.Cmder{}
	for _, cmd := range cmds {
		node, err := s.master(ctx, cmd)
		if err != nil {
			return err
		}
		groups[node] = append(groups[node], cmd)
	}
	for node, group := range groups {
		if err := s.writeToMaster(ctx, node, group); err != nil {
			return err
		}
	}
	return nil
}

// Confirm returns when the configured number of replicas has all writes to a key that Redis has executed, also those of
// other connections. A Write that failed for lack of replicas is such a write. Without replicas, Confirm does nothing. It
// fails with ErrUnavailable.
func (s *Store) Confirm(ctx context.Context, key string) error {
	if s.replicas == 0 {
		return nil
	}
	return s.Write(ctx, redis.NewStringCmd(ctx, "get", key))
}

// WriteWith is Write with optional commands after it. They do not affect the result: each keeps its own error. A single
// node gets all commands in one pipeline. On a cluster the optional commands follow when the write is done, because they
// may belong to an unavailable node.
func (s *Store) WriteWith(ctx context.Context, optional []redis.Cmder, cmds ...redis.Cmder) error {
	writing, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	switch {
	case s.replicas == 0 && len(optional) == 0:
		return s.Do(ctx, cmds...)
	case s.cluster == nil && s.replicas == 0:
		return pipeline(writing, s.rdb, cmds, optional)
	case s.cluster == nil:
		return s.pipelineAndWait(writing, s.rdb, cmds, optional)
	}
	write := s.oneByOne
	if s.replicas > 0 {
		write = s.writeToMasters
	}
	if err := write(writing, cmds); err != nil {
		return err
	}
	for _, cmd := range optional {
		_ = s.Do(ctx, cmd)
	}
	return nil
}

// writeToMasters sends the commands to the masters of their keys, one after another.
func (s *Store) writeToMasters(ctx context.Context, cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		node, err := s.master(ctx, cmd)
		if err != nil {
			return err
		}
		if err := s.writeToMaster(ctx, node, []redis.Cmder{cmd}); err != nil {
			return err
		}
	}
	return nil
}

// writeToMaster sends the commands to a node, followed by WAIT on the same connection: WAIT only covers the writes of its own
// connection.
func (s *Store) writeToMaster(ctx context.Context, node *redis.Client, cmds []redis.Cmder) error {
	err := s.pipelineAndWait(ctx, node, cmds, nil)
	if err != nil {
		s.relocate(ctx)
	}
	return err
}

// master returns the node with the key of a command. It fails with ErrUnavailable.
func (s *Store) master(ctx context.Context, cmd redis.Cmder) (*redis.Client, error) {
	node, err := s.cluster.MasterForKey(ctx, keyOf(cmd))
	if err != nil { // also Redis's nil, which says nothing about the key here
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return node, nil
}

// touchScript writes to a key and leaves it as it was. A key of the service always expires. A full Redis refuses the SET.
// This must not fail a deletion, which needs no memory.
const touchScript = `
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then
  redis.call('PEXPIRE', KEYS[1], ttl)
elseif ttl == -2 then
  redis.pcall('SET', KEYS[1], '')
  redis.call('DEL', KEYS[1])
end
return 1`

// pipelineAndWait sends the commands and WAIT in one pipeline. WAIT waits for the last write of its own connection. Since
// Redis 7.2, a command that changes nothing does not count as a write: after the repeated deletion of a key, WAIT would
// return at once, although no replica has the first deletion. So touchScript always writes something before WAIT.
func (s *Store) pipelineAndWait(ctx context.Context, node pipeliner, cmds, optional []redis.Cmder) error {
	touch := redis.NewCmd(ctx, "eval", touchScript, 1, keyOf(cmds[0]))
	wait := redis.NewIntCmd(ctx, "wait", s.replicas, waitFor(ctx).Milliseconds())
	required := append(cmds[:len(cmds):len(cmds)], touch, wait)
	if err := pipeline(ctx, node, required, optional); err != nil {
		return err
	}
	if got := int(wait.Val()); got < s.replicas {
		return fmt.Errorf("%w: %d of %d replicas have the write", ErrUnavailable, got, s.replicas)
	}
	return nil
}

// waitFor returns the timeout for WAIT. Redis checks blocked clients ten times a second, so WAIT may end up to a tenth of a
// second late. The timeout leaves room for that, so that the reply arrives before the deadline.
func waitFor(ctx context.Context) time.Duration {
	const late = 120 * time.Millisecond
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	return max(left-late, left/2, time.Millisecond)
}

// keyOf returns the key by which a command is routed. EVAL has it after the script and the number of keys.
func keyOf(cmd redis.Cmder) string {
	at := 1
	if cmd.Name() == "eval" {
		at = 3
	}
	key, _ := cmd.Args()[at].(string)
	return key
}
