package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/sdk/trace"

	"koubei-landing/internal/app"
)

type serveCmd struct{ settings }

// errLogged says that the log tells what went wrong.
var errLogged = errors.New("see the log")

// Run serves until the context ends. Once the settings are accepted it reports in the log alone: the first line is
// "starting", the last is "stopped".
func (c *serveCmd) Run(inv *invocation) error {
	r := c.parse(inv)
	if err := r.problems.Err(); err != nil {
		return err
	}
	config := r.config
	log := config.Log
	redis.SetLogger(newRedisLog(log))
	slog.SetDefault(log) // receives what libraries write with package log
	provider, err := tracing(inv.ctx, inv.env.get, log)
	if err != nil {
		return err
	}
	if inv.env.get("GOGC") == "" {
		// The heap is small, and most of what a check allocates dies young. Fewer collections save a tenth of its CPU for
		// a few megabytes. GOMEMLIMIT still holds.
		debug.SetGCPercent(400)
	}
	log.Info("starting", "version", config.Build.Version, "revision", config.Build.Revision, "go", config.Build.GoVersion)
	for _, warning := range r.warnings {
		log.Warn("questionable setting", "settings", warning.Settings, "problem", warning.Problem, "fix", warning.Fix)
	}
	begun := time.Now()
	if err := serve(inv.ctx, config, provider); err != nil {
		log.Error("stopped", "after", time.Since(begun).String(), "error", err)
		return errLogged
	}
	log.Info("stopped", "after", time.Since(begun).String())
	return nil
}

// serve runs the service and then sends the last spans. The provider may be nil.
func serve(ctx context.Context, c app.Config, provider *trace.TracerProvider) error {
	if provider == nil {
		return app.Run(ctx, c)
	}
	c.Tracing = provider
	err := app.Run(ctx, c)
	// The last spans get a moment, not more: the process was told to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if lost := provider.Shutdown(ctx); lost != nil {
		c.Log.Warn("spans lost", "error", lost)
	}
	return err
}
