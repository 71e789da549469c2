package app

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// askAgain is how long to wait before a Redis that was away is asked about itself again.
const askAgain = 5 * time.Second

// warnOfEviction asks each Redis once, as soon as it can be asked, whether it throws keys away when it is full, and says so
// in the log. One that may not be asked, or doesn't say, is left alone: `server check` tells of those.
func (s *service) warnOfEviction(ctx context.Context, c Config) {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, max(10*c.Redis.Timeout, time.Second))
		nodes, err := askNodes(asking, s.redis)
		cancel()
		if away(err, nodes) {
			select {
			case <-ctx.Done():
			case <-time.After(askAgain):
			}
			continue
		}
		for _, n := range nodes {
			if policy := n.info["Memory"]["maxmemory_policy"]; policy != "" && policy != "noeviction" {
				c.Log.Warn("Redis throws keys away when it is full", "node", n.client.Options().Addr, "maxmemory_policy", policy, "fix", evictionFix)
			}
		}
		return
	}
}

// away reports whether a node could not be asked; an error that Redis itself has sent is an answer.
func away(err error, nodes []node) bool {
	errs := []error{err}
	for _, n := range nodes {
		errs = append(errs, n.err)
	}
	_, refused := errors.AsType[redis.Error](errors.Join(errs...))
	return errors.Join(errs...) != nil && !refused
}
