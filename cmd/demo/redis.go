package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/sync/errgroup"
)

// embedRedis runs a Redis in this process, and with it: the service may need it while it shuts down. Its keys would live
// for ever, for it has no clock but the one that it is told.
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
