package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// swapScript replaces a value that is still the expected one. An empty text stands for an absent key, on both sides. If
// the key already holds the new value, this is the repetition of a swap whose reply was lost: values that two writers
// could both write carry their writer's id. A refused announcement does not undo the swap.
const swapScript = `
local current = redis.call('GET', KEYS[1]) or ''
if current ~= ARGV[1] then
  if current == ARGV[2] then return {1, current} end
  return {0, current}
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if ARGV[4] then redis.pcall('PUBLISH', ARGV[4], ARGV[5]) end
return {1, ARGV[2]}`

// SwapCmd is a compare-and-swap, to be sent by Do or Write.
type SwapCmd struct{ *redis.SliceCmd }

// NewSwap prepares to replace the value of key: before is what it must hold now, empty for a key that must be absent;
// after is what it shall hold, for ttl, empty to delete it. An absent key is never brought back.
//
// A ttl below a millisecond counts as one: Redis refuses zero.
func NewSwap(ctx context.Context, key string, before, after []byte, ttl time.Duration) SwapCmd {
	return SwapCmd{redis.NewSliceCmd(ctx, "eval", swapScript, 1, key, before, after, max(ttl.Milliseconds(), 1))}
}

// Announcing makes a successful swap publish the announcement.
func (c SwapCmd) Announcing(ctx context.Context, a Announcement) SwapCmd {
	if a.Channel == "" {
		return c
	}
	args := append(c.Args()[:len(c.Args()):len(c.Args())], a.Channel, a.Message)
	return SwapCmd{redis.NewSliceCmd(ctx, args...)}
}

// Swapped reports whether the value was replaced, and what the key holds now: nil when it is absent. It fails with
// ErrUnavailable.
func (c SwapCmd) Swapped() (bool, []byte, error) {
	reply, err := c.Result()
	if err != nil {
		return false, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if len(reply) != 2 {
		return false, nil, fmt.Errorf("%w: a swap returned %d values", ErrUnavailable, len(reply))
	}
	done, _ := reply[0].(int64)
	current, _ := reply[1].(string)
	if current == "" {
		return done == 1, nil, nil
	}
	return done == 1, []byte(current), nil
}

// Swap carries out one compare-and-swap as a Write. It fails with ErrUnavailable. A value that has changed meanwhile is
// not a failure: Swap returns false and the current value.
func (s *Store) Swap(ctx context.Context, key string, before, after []byte, ttl time.Duration) (bool, []byte, error) {
	cmd := NewSwap(ctx, key, before, after, ttl)
	if err := s.Write(ctx, cmd.SliceCmd); err != nil {
		return false, nil, err
	}
	return cmd.Swapped()
}
