package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// tickScript advances a hybrid logical clock. It follows Redis's TIME, but never goes back and never returns one value
// twice. So the order holds if Redis's clock is set back, and, as far as the key was replicated, after a failover to a node
// whose clock is behind. A clock that was lost with its data, or has expired, continues with TIME.
const tickScript = `
local now = redis.call('TIME')
local time = tonumber(now[1]) * 1000000 + tonumber(now[2])
local last = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
if time <= last then time = last + 1 end
redis.call('SET', KEYS[1], string.format('%.0f', time), 'PX', ARGV[1])
return time`

// TickCmd is a tick of a logical clock. Do or Write sends it.
type TickCmd struct{ *redis.IntCmd }

// NewTick returns a command that advances the logical clock under key. Redis keeps the clock for ttl after its last tick.
func NewTick(ctx context.Context, key string, ttl time.Duration) TickCmd {
	return TickCmd{redis.NewIntCmd(ctx, "eval", tickScript, 1, key, ttl.Milliseconds())}
}

// Time returns the time of the tick in microseconds, later than every tick before. It fails with ErrUnavailable.
func (c TickCmd) Time() (int64, error) {
	t, err := c.Result()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return t, nil
}
