package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// swapScript replaces a value if it is the expected one. An empty text stands for an absent key, on both sides. If the key
// already holds the new value, this is the retry of a swap whose reply was lost: values that two writers could both write
// contain their writer's id. A refused announcement does not undo the swap.
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

// SwapCmd is a compare-and-swap. Do or Write sends it.
type SwapCmd struct{ *redis.SliceCmd }

// NewSwap returns a command that replaces the value of key. before is the expected value, empty for an absent key. after is
// the new value, which expires after ttl; if after is empty, the key is deleted. If before is not empty and the key is
// absent, it stays absent.
//
// A ttl below a millisecond counts as one millisecond, because Redis refuses zero.
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

// errNotSent says that a swap has no reply, because an earlier command of the same call failed.
var errNotSent = errors.New("store: the swap was not sent")

// Swapped reports whether the value was replaced, and returns the current value, nil for an absent key. It fails with
// ErrUnavailable.
func (c SwapCmd) Swapped() (bool, []byte, error) {
	reply, err := c.Result()
	if len(reply) != 2 {
		return false, nil, unavailable(cmp.Or(err, errNotSent))
	}
	done, _ := reply[0].(int64)
	current, _ := reply[1].(string)
	if current == "" {
		return done == 1, nil, nil
	}
	return done == 1, []byte(current), nil
}

// Swap executes one compare-and-swap as a Write. It fails with ErrUnavailable. If the value has changed in the meantime, it
// returns false and the current value without an error.
func (s *Store) Swap(ctx context.Context, key string, before, after []byte, ttl time.Duration) (bool, []byte, error) {
	cmd := NewSwap(ctx, key, before, after, ttl)
	if err := s.Write(ctx, cmd.SliceCmd); err != nil {
		return false, nil, err
	}
	return cmd.Swapped()
}
