package store

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Announcement is what a script tells on a channel in the same step as it writes, so that a replica that dies in
// between can't leave others with what was. The zero value tells nothing.
type Announcement struct{ Channel, Message string }

// takeScript deletes a key, announces that, and returns what it held.
const takeScript = `
local value = redis.call('GETDEL', KEYS[1])
if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return value`

// NewTake prepares to delete a key and to return what it held.
func NewTake(ctx context.Context, key string, a Announcement) *redis.StringCmd {
	return redis.NewStringCmd(ctx, "eval", takeScript, 1, key, a.Channel, a.Message)
}

// Subscribe hears what is announced on a channel. The caller closes it.
func (s *Store) Subscribe(ctx context.Context, channel string) *redis.PubSub {
	return s.rdb.Subscribe(ctx, channel)
}
