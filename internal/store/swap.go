package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// swapScript replaces a value that is still the one expected; an empty text stands for an absent key, on both sides.
// Where the new value is there already, an earlier answer was lost and this is its repetition: values that two writers
// could both mean carry their writer's name.
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
if ARGV[4] then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
return {1, ARGV[2]}`

// SwapCmd is a compare-and-swap, to be sent by Do or Write.
type SwapCmd struct{ *redis.SliceCmd }

// NewSwap prepares to replace the value of key: before is what it must hold now, empty for a key that must be absent;
// after is what it shall hold, for ttl, empty to delete it. A key that is gone is never brought back.
//
// A ttl below a millisecond is taken as one: to Redis, zero would be an error.
func NewSwap(ctx context.Context, key string, before, after []byte, ttl time.Duration) SwapCmd {
	return SwapCmd{redis.NewSliceCmd(ctx, "eval", swapScript, 1, key, before, after, max(ttl.Milliseconds(), 1))}
}

// Announcing makes the swap announce that it was done, when it was.
func (c SwapCmd) Announcing(ctx context.Context, a Announcement) SwapCmd {
	if a.Channel == "" {
		return c
	}
	args := append(c.Args()[:len(c.Args()):len(c.Args())], a.Channel, a.Message)
	return SwapCmd{redis.NewSliceCmd(ctx, args...)}
}

// Swapped reports whether the value was replaced, and what the key holds now: nil when it is absent.
func (c SwapCmd) Swapped() (bool, []byte, error) {
	answer, err := c.Result()
	if err != nil {
		return false, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if len(answer) != 2 {
		return false, nil, fmt.Errorf("%w: a swap answered %d values", ErrUnavailable, len(answer))
	}
	done, _ := answer[0].(int64)
	current, _ := answer[1].(string)
	if current == "" {
		return done == 1, nil, nil
	}
	return done == 1, []byte(current), nil
}

// Swap carries out one compare-and-swap as a Write. It fails with ErrUnavailable; a value that has changed meanwhile is
// no failure, but reported with what is there now.
func (s *Store) Swap(ctx context.Context, key string, before, after []byte, ttl time.Duration) (bool, []byte, error) {
	cmd := NewSwap(ctx, key, before, after, ttl)
	if err := s.Write(ctx, cmd.SliceCmd); err != nil {
		return false, nil, err
	}
	return cmd.Swapped()
}
