package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
)

type serveCmd struct{ settings }

// Run serves until the context ends.
func (c *serveCmd) Run(w *world) error {
	config, err := c.load(w)
	if err != nil {
		return err
	}
	if w.getenv("GOGC") == "" {
		// The heap is small, and most of what a check allocates dies young. Fewer collections save a tenth of its CPU for
		// a few megabytes. GOMEMLIMIT still holds.
		debug.SetGCPercent(400)
	}
	redis.SetLogger(redisLog{config.Log})
	provider, err := tracing(w.ctx, w.getenv, config.Log)
	if err != nil {
		return err
	}
	if provider != nil {
		config.Tracing = provider
		defer func() {
			// The last requests' spans get a moment, not more: the process was told to end.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 3*time.Second)
			defer cancel()
			if err := provider.Shutdown(ctx); err != nil {
				config.Log.Warn("the last spans were not sent", "error", err)
			}
		}()
	}
	return app.Run(w.ctx, config)
}
