package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Run serves until ctx ends. Then it is unready but serves for ShutdownDelay, and finishes what is in flight for at most
// ShutdownTimeout. It fails when the service cannot be built or cannot listen, and when what is in flight does not end in
// time.
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
	watching, stop := context.WithCancel(untraced(context.Background()))
	defer stop()
	go s.sessions.Watch(watching)
	go s.warnOfEviction(watching, c)
	go s.readiness.Run(watching)
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

// drain finishes what is in flight and refuses everything else. The listeners stay open meanwhile: http.Server.Shutdown
// closes them at once, and a browser that cannot connect shows a broken site instead of a page that retries.
func (s *service) drain(c Config, browsers, proxies *http.Server) error {
	delay, timeout := c.Operations.ShutdownDelay, c.Operations.ShutdownTimeout
	c.Log.Info("shutting down", "delay", delay.String(), "timeout", timeout.String())
	end := time.Now().Add(delay + timeout)
	s.readiness.Drain()
	s.lander.EndBy(end)
	<-time.After(delay)

	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	s.lander.Drain()
	err := await(ctx, s.handler.Drain(), "requests in work")
	if err == nil { // only now: a landing in work may still begin to retry a write
		err = await(ctx, s.lander.Settled(), "outcomes that Redis does not take")
	}
	// What the public listener still waits for is responses that nobody fetches. To cut them off is no failure.
	_ = browsers.Shutdown(ctx)
	err = errors.Join(err, proxies.Shutdown(ctx))
	_, _ = browsers.Close(), proxies.Close()
	if err != nil {
		return fmt.Errorf("at the end of SHUTDOWN_TIMEOUT: %w", err)
	}
	return nil
}

// await waits until done is closed. It fails when ctx ends before, naming what it waited for.
func await(ctx context.Context, done <-chan struct{}, what string) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}
