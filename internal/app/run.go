package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Run serves until ctx ends. Then it is not ready, but serves for ShutdownDelay. After that it finishes the requests in
// progress for at most ShutdownTimeout. It fails if it cannot build the service or open the listeners, if a listener fails,
// or if requests in progress or outcomes that are not yet in Redis are not finished in time.
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
	browsers := publicServerFor(traced(s.handler.Public(), c.Tracing, linked), c.Log)
	proxies := serverFor(traced(s.handler.Internal(), c.Tracing, continued), c.Log)
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

// drain finishes the requests in progress and refuses all others. The listeners stay open in the meantime:
// http.Server.Shutdown closes them at once, and a browser that cannot connect shows an error instead of a page that
// retries.
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
	err := await(ctx, s.handler.Drain(), "requests in progress")
	if err == nil { // only now: a landing in progress may still start a background write
		err = await(ctx, s.lander.RetriesDone(), "outcomes not written to Redis")
	}
	// The public listener now waits only for clients that do not fetch their responses. Closing those connections is not an
	// error.
	_ = browsers.Shutdown(ctx)
	err = errors.Join(err, proxies.Shutdown(ctx))
	_, _ = browsers.Close(), proxies.Close()
	if err != nil {
		return fmt.Errorf("at the end of SHUTDOWN_TIMEOUT: %w", err)
	}
	return nil
}

// await waits until done is closed. It fails if ctx ends first. what names the work in the error.
func await(ctx context.Context, done <-chan struct{}, what string) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}
