package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Write carries out the commands in their order, like Do, and returns when as many replicas as the options ask for have
// all of it. Each command's first key decides to which node it goes. It fails with ErrUnavailable, also when the write
// was done but too few replicas have it: what was written stands, but must not be relied on.
func (s *Store) Write(ctx context.Context, cmds ...redis.Cmder) error {
	return s.WriteWith(ctx, nil, cmds...)
}

// WriteWith is Write with optional commands after it. They never decide the result: each keeps its own error. A single
// node gets all commands in one pipeline. On a cluster the optional commands, which may belong to an unavailable node,
// follow when the write is done.
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
	case s.replicas == 0:
		if err := s.oneByOne(writing, cmds); err != nil {
			return err
		}
	default:
		if err := s.writeToMasters(writing, cmds); err != nil {
			return err
		}
	}
	for _, cmd := range optional {
		_ = s.Do(ctx, cmd)
	}
	return nil
}

// writeToMasters sends each command to its key's master, followed by WAIT on the same connection: WAIT speaks only for
// the connection that it is sent on.
func (s *Store) writeToMasters(ctx context.Context, cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		node, err := s.cluster.MasterForKey(ctx, keyOf(cmd))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := s.pipelineAndWait(ctx, node, []redis.Cmder{cmd}, nil); err != nil {
			s.relocate(ctx)
			return err
		}
	}
	return nil
}

func (s *Store) pipelineAndWait(ctx context.Context, node pipeliner, cmds, optional []redis.Cmder) error {
	wait := redis.NewIntCmd(ctx, "wait", s.replicas, waitFor(ctx).Milliseconds())
	required := append(cmds[:len(cmds):len(cmds)], wait)
	if err := pipeline(ctx, node, required, optional); err != nil {
		return err
	}
	if got := int(wait.Val()); got < s.replicas {
		return fmt.Errorf("%w: %d of %d replicas have the write", ErrUnavailable, got, s.replicas)
	}
	return nil
}

// waitFor returns how long WAIT may take. Redis ends a WAIT up to a tenth of a second late (it checks blocked clients ten
// times a second), so the timeout leaves room for that: the reply with the number of replicas arrives before the deadline.
func waitFor(ctx context.Context) time.Duration {
	const late = 120 * time.Millisecond
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	return max(left-late, left/2, time.Millisecond)
}

// keyOf returns the key by which a command is routed: EVAL names it after the script and the number of keys.
func keyOf(cmd redis.Cmder) string {
	at := 1
	if cmd.Name() == "eval" {
		at = 3
	}
	key, _ := cmd.Args()[at].(string)
	return key
}
