package store

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Announcement is a message that a script publishes in the same step as its write, so that a replica that dies in between
// cannot leave stale entries in other replicas' caches. The zero value publishes nothing.
type Announcement struct{ Channel, Message string }

// takeScript deletes a key, announces the deletion, and returns the key's value. A refused announcement does not undo the
// deletion.
const takeScript = `
local value = redis.call('GETDEL', KEYS[1])
if ARGV[1] ~= '' then redis.pcall('PUBLISH', ARGV[1], ARGV[2]) end
return value`

// NewTake returns a command that deletes a key, publishes in the same step, and replies with the key's value.
func NewTake(ctx context.Context, key string, a Announcement) *redis.StringCmd {
	return redis.NewStringCmd(ctx, "eval", takeScript, 1, key, a.Channel, a.Message)
}

// Subscribe subscribes to a channel. The caller closes the subscription.
func (s *Store) Subscribe(ctx context.Context, channel string) *redis.PubSub {
	return s.rdb.Subscribe(ctx, channel)
}
