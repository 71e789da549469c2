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

// errLogged says that the error is already in the log.
var errLogged = errors.New("see the log")

// Run serves until the context ends. Once the settings are accepted, it reports only in the log: the first line is
// "starting", the last is "stopped".
func (c *serveCmd) Run(inv *invocation) error {
	r := c.parse(inv)
	if err := r.problems.Err(); err != nil {
		return err
	}
	config := r.config
	log := config.Log
	redis.SetLogger(newRedisLog(log))
	slog.SetDefault(log) // receives the messages of libraries that use package log
	provider, err := tracing(inv.ctx, inv.env.get, log)
	if err != nil {
		return err
	}
	if inv.env.get("GOGC") == "" {
		// The heap is small, and most allocations of a check are short-lived. Fewer collections save a tenth of the CPU of
		// a check and cost a few megabytes. GOMEMLIMIT still applies.
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

// serve runs the service and then sends the remaining spans. The provider may be nil.
func serve(ctx context.Context, c app.Config, provider *trace.TracerProvider) error {
	if provider == nil {
		return app.Run(ctx, c)
	}
	c.Tracing = provider
	err := app.Run(ctx, c)
	// Wait only briefly for the remaining spans: the process is ending.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if lost := provider.Shutdown(ctx); lost != nil {
		c.Log.Warn("spans lost", "error", lost)
	}
	return err
}
