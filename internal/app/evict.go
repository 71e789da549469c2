package app

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// evictionRetry is the pause before the next attempt to read the policy of an unreachable Redis.
const evictionRetry = 5 * time.Second

// warnOfEviction reads the maxmemory-policy of every Redis and logs a warning if one evicts keys. It retries until Redis
// replies, and then stops. It ignores a Redis that refuses INFO: server check reports that.
func (s *service) warnOfEviction(ctx context.Context, c Config) {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, max(10*c.Redis.Timeout, time.Second))
		nodes, err := askNodes(asking, s.redis)
		cancel()
		if noReply(err, nodes) {
			select {
			case <-ctx.Done():
			case <-time.After(evictionRetry):
			}
			continue
		}
		for _, n := range nodes {
			if policy := n.info["Memory"]["maxmemory_policy"]; policy != "" && policy != "noeviction" {
				c.Log.Warn("redis evicts keys when it is full", "node", n.client.Options().Addr, "maxmemory_policy", policy, "fix", evictionFix)
			}
		}
		return
	}
}

// noReply reports whether a node was unreachable. An error that Redis sent is a reply.
func noReply(err error, nodes []node) bool {
	errs := []error{err}
	for _, n := range nodes {
		errs = append(errs, n.err)
	}
	_, refused := errors.AsType[redis.Error](errors.Join(errs...))
	return errors.Join(errs...) != nil && !refused
}
