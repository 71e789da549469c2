package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/sync/errgroup"
)

// embedRedis runs a Redis in this process. It ends last, because the service may need it during its shutdown. miniredis has
// no clock of its own: without calls to FastForward its keys would never expire.
func embedRedis(ctx context.Context, running *errgroup.Group) (address string, err error) {
	r := miniredis.NewMiniRedis()
	if err := r.Start(); err != nil {
		return "", fmt.Errorf("embedded Redis: %w", err)
	}
	running.Go(func() error {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-tick.C:
				now := time.Now()
				r.FastForward(now.Sub(last))
				last = now
			case <-ctx.Done():
				return nil
			}
		}
	})
	return "redis://" + r.Addr() + "/0", nil
}
