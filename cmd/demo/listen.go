package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// site is a listener on loopback that has no server yet.
type site struct {
	url       string // without a slash at its end
	listeners []net.Listener
}

// listen listens on the preferred port, or on any free port if that is busy.
func listen(host string, port uint16) (*site, error) {
	s, err := listenOn(host, port)
	for try := 0; errors.Is(err, syscall.EADDRINUSE) && try < 10; try++ {
		s, err = listenOn(host, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	return s, nil
}

// listenOn listens on IPv4 and, for localhost, also on IPv6 if this machine has it. Browsers try IPv6 first, where another
// program may listen on the same port.
func listenOn(host string, port uint16) (*site, error) {
	four, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return nil, err
	}
	actual := strconv.Itoa(four.Addr().(*net.TCPAddr).Port)
	s := &site{url: "http://" + net.JoinHostPort(host, actual), listeners: []net.Listener{four}}
	if host != "localhost" {
		return s, nil
	}
	six, err := net.Listen("tcp6", net.JoinHostPort("::1", actual))
	switch {
	case err == nil:
		s.listeners = append(s.listeners, six)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errors.Join(err, four.Close())
	}
	return s, nil
}

// Close closes the listeners.
func (s *site) Close() error {
	var all []error
	for _, l := range s.listeners {
		all = append(all, l.Close())
	}
	return errors.Join(all...)
}

// serve serves h until ctx ends, and then finishes the requests in progress.
func (s *site) serve(ctx context.Context, running *errgroup.Group, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	for _, l := range s.listeners {
		running.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	running.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close() // a client is too slow; its response is lost
		}
		return nil
	})
}
