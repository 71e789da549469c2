package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Run serves until ctx ends, then drains: for ShutdownDelay it is unready but serves, then it finishes what is in
// flight, for at most ShutdownTimeout. It fails when it can't be put together or can't listen, and when what was in
// flight did not end in time.
func Run(ctx context.Context, c Config) error {
	s, err := build(c)
	if err != nil {
		return err
	}
	defer s.redis.Close()
	public, err := listen(c.Operations.PublicListen)
	if err != nil {
		return fmt.Errorf("PUBLIC_LISTEN: %w", err)
	}
	defer public.Close()
	internal, err := listen(c.Operations.InternalListen)
	if err != nil {
		return fmt.Errorf("INTERNAL_LISTEN: %w", err)
	}
	defer internal.Close()
	if c.Listening != nil {
		c.Listening(spelled(public), spelled(internal))
	}
	c.Log.Info("serving", "public", spelled(public), "internal", spelled(internal))
	return s.serve(ctx, c, public, internal)
}

func (s *service) serve(ctx context.Context, c Config, public, internal net.Listener) error {
	browsers := publicServerFor(traced(s.handler.Public(), c.Tracing, true), c.Log)
	proxies := serverFor(traced(s.handler.Internal(), c.Tracing, false), c.Log)
	watching, stop := context.WithCancel(context.Background())
	defer stop()
	go s.sessions.Watch(watching)
	go s.warnOfEviction(watching, c)
	failed := make(chan error, 2)
	go func() { failed <- browsers.Serve(public) }()
	go func() { failed <- proxies.Serve(internal) }()
	select {
	case err := <-failed:
		return errors.Join(err, browsers.Close(), proxies.Close())
	case <-ctx.Done():
	}
	return s.drain(c, browsers, proxies)
}

// drain finishes what was begun. http.Server.Shutdown refuses new connections at once, which a browser takes for a
// broken site: so new requests are told to come back first, and the listeners close when nothing is left.
func (s *service) drain(c Config, browsers, proxies *http.Server) error {
	c.Log.Info("shutting down", "delay", c.Operations.ShutdownDelay.String(), "timeout", c.Operations.ShutdownTimeout.String())
	s.handler.Unready()
	<-time.After(c.Operations.ShutdownDelay)
	ctx, cancel := context.WithTimeout(context.Background(), c.Operations.ShutdownTimeout)
	defer cancel()
	for _, done := range []func() <-chan struct{}{s.handler.Drain, s.lander.Settled} {
		select {
		case <-done():
		case <-ctx.Done():
		}
	}
	err := errors.Join(browsers.Shutdown(ctx), proxies.Shutdown(ctx))
	if err != nil {
		return fmt.Errorf("in flight at the end of SHUTDOWN_TIMEOUT: %w", errors.Join(err, browsers.Close(), proxies.Close()))
	}
	return nil
}
