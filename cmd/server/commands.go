package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
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
		// The heap is small and what a check leaves behind dies young: fewer collections save a tenth of its CPU for a
		// few megabytes. GOMEMLIMIT still holds.
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
			// What the last requests left behind gets a moment, not more: the process was told to end.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 3*time.Second)
			defer cancel()
			if err := provider.Shutdown(ctx); err != nil {
				config.Log.Warn("the last spans were not sent", "error", err)
			}
		}()
	}
	return app.Run(w.ctx, config)
}

// load returns the settings as values, with everything that is wrong in one error.
func (s settings) load(w *world) (app.Config, error) {
	log, logErr := s.logger(w.stderr)
	config, err := s.config(w.getenv)
	var all problems
	for _, e := range []error{err, logErr} {
		if p, ok := errors.AsType[problems](e); ok {
			all = append(all, p...)
		}
	}
	if len(all) > 0 {
		return app.Config{}, all
	}
	config.Log = log
	return config, nil
}

type healthcheckCmd struct {
	InternalListen string `default:"127.0.0.1:9090" help:"Where the service's internal listener is."`
}

// Run asks the service on this machine whether it lives.
func (c *healthcheckCmd) Run(w *world) error {
	host, port, err := net.SplitHostPort(c.InternalListen)
	if err != nil {
		return problems{fmt.Sprintf("INTERNAL_LISTEN is %q: use host:port or :port", c.InternalListen)}
	}
	host = reachable(host)
	ctx, cancel := context.WithTimeout(w.ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz answered %d", answer.StatusCode)
	}
	_, err = fmt.Fprintln(w.stdout, "ok")
	return err
}

// reachable is where a listener on host is reached from this machine: at loopback, if it listens on every address.
// It is no name, because an image of a program alone may have no /etc/hosts.
func reachable(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip == netip.IPv4Unspecified():
		return "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		return "::1"
	}
	return host
}

type versionCmd struct{}

// version is set by the build: -ldflags "-X main.version=…".
var version = ""

// Run prints the version that the build was given, or what Go knows of it.
func (*versionCmd) Run(w *world) error {
	v := version
	info, ok := debug.ReadBuildInfo()
	if v == "" && ok {
		v = info.Main.Version
	}
	goVersion := ""
	if ok {
		goVersion = info.GoVersion
	}
	_, err := fmt.Fprintf(w.stdout, "koubei-landing %s %s\n", v, goVersion)
	return err
}
