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
	r := c.parse(w)
	if err := r.problems.Err(); err != nil {
		return err
	}
	config := r.config
	for _, warning := range r.warnings {
		config.Log.Warn("setting", "settings", warning.Settings, "problem", warning.Problem, "fix", warning.Fix)
	}
	if w.env.get("GOGC") == "" {
		// The heap is small, and most of what a check allocates dies young. Fewer collections save a tenth of its CPU for
		// a few megabytes. GOMEMLIMIT still holds.
		debug.SetGCPercent(400)
	}
	redis.SetLogger(redisLog{config.Log})
	provider, err := tracing(w.ctx, w.env.get, config.Log)
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
