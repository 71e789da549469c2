package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Write carries out the commands in their order, like Do, and returns when as many replicas as the options ask for have
// all of it. Each command's first key decides where it goes. It fails with ErrUnavailable, also when the write itself
// was done and the replicas were slow: then what was written stands, but must not be relied on.
func (s *Store) Write(ctx context.Context, cmds ...redis.Cmder) error {
	if s.replicas == 0 {
		return s.Do(ctx, cmds...)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.cluster == nil {
		return s.andWait(ctx, s.rdb, cmds)
	}
	for _, cmd := range cmds {
		// WAIT speaks for the connection it is sent on, so it has to follow the write to the write's own node.
		node, err := s.cluster.MasterForKey(ctx, keyOf(cmd))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := s.andWait(ctx, node, []redis.Cmder{cmd}); err != nil {
			s.relocate(ctx)
			return err
		}
	}
	return nil
}

// WriteWith is Write, with commands behind it that the write doesn't depend on: each tells by itself whether it was carried
// out. A single node takes all in one pipeline, so there they share its fate; on a cluster, where they may belong to a node
// that is away, they follow when the write is done.
func (s *Store) WriteWith(ctx context.Context, behind []redis.Cmder, cmds ...redis.Cmder) error {
	if s.cluster == nil {
		return s.Write(ctx, append(cmds, behind...)...)
	}
	if err := s.Write(ctx, cmds...); err != nil {
		return err
	}
	for _, cmd := range behind {
		_ = s.Do(ctx, cmd)
	}
	return nil
}

type pipeliner interface {
	Pipelined(context.Context, func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

func (s *Store) andWait(ctx context.Context, node pipeliner, cmds []redis.Cmder) error {
	wait := redis.NewIntCmd(ctx, "wait", s.replicas, s.patience(ctx).Milliseconds())
	all := append(cmds[:len(cmds):len(cmds)], wait)
	_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error { return addAll(ctx, p, all) })
	if err := failure(err, all); err != nil {
		return err
	}
	if got := int(wait.Val()); got < s.replicas {
		return fmt.Errorf("%w: %d of %d replicas have the write", ErrUnavailable, got, s.replicas)
	}
	return nil
}

// patience is how long Redis may wait for its replicas: a little less than we wait for Redis, so that the answer says
// how many there were.
func (s *Store) patience(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return max(time.Until(deadline)*9/10, time.Millisecond)
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
