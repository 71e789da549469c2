package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"koubei-landing/internal/app"
	"koubei-landing/koubeisim"
)

// servicePath is the path of the service on the ISV's host.
const servicePath = "/koubei"

// demo is a running demo: three servers and a Redis.
type demo struct {
	portal   string // addresses, with the scheme
	isv      string
	internal string
	redis    string // a description for the user
	running  *errgroup.Group
	end      context.CancelFunc
}

// start returns when all servers respond. It fails if one of them cannot start.
func start(ctx context.Context, s settings, redisURL string, logTo io.Writer) (*demo, error) {
	ctx, end := context.WithCancel(ctx)
	running, ctx := errgroup.WithContext(ctx)
	d := &demo{running: running, end: end}
	if err := d.start(ctx, s, redisURL, logTo); err != nil {
		end()
		_ = running.Wait() // err already says why
		return nil, err
	}
	return d, nil
}

func (d *demo) start(ctx context.Context, s settings, redisURL string, logTo io.Writer) error {
	// The portal is on another site than the ISV's pages, like Koubei. So cookies behave as in production.
	portal, err := listen("127.0.0.1", s.Port)
	if err != nil {
		return err
	}
	d.portal = portal.url
	isv, err := listen("localhost", s.next())
	if err != nil {
		return errors.Join(err, portal.Close())
	}
	d.isv = isv.url

	d.redis = "at REDIS_URL"
	if redisURL == "" {
		d.redis = "embedded"
		if redisURL, err = embedRedis(ctx, d.running); err != nil {
			return errors.Join(err, portal.Close(), isv.Close())
		}
	}
	koubei, err := koubeisim.New(koubeisim.Options{LandingURL: isv.url + callbackPath, SlowFor: 8 * time.Second})
	if err != nil {
		return errors.Join(err, portal.Close(), isv.Close())
	}
	d.running.Go(func() error {
		<-ctx.Done()
		koubei.Release() // a held call would delay the service's shutdown
		return nil
	})
	portal.serve(ctx, d.running, koubei.Handler())

	log := slog.New(slog.NewTextHandler(logTo, &slog.HandlerOptions{Level: level(s.LogLevel)}))
	config, err := serviceConfig(koubei, portal.url, isv.url, redisURL, log)
	if err != nil {
		return errors.Join(err, isv.Close())
	}
	public, err := d.serve(ctx, config)
	if err != nil {
		return errors.Join(err, isv.Close())
	}
	isv.serve(ctx, d.running, front(public, d.internal))
	return d.ready(ctx)
}

// next returns the port after the portal's, or 0 for any port.
func (s settings) next() uint16 {
	if s.Port == 0 {
		return 0
	}
	return s.Port + 1 // after the last port comes 0, which is any port
}

func level(name string) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(name)) // cannot fail: the flag allows only the four levels
	return l
}

// serve starts the service and returns the address of its public listener.
func (d *demo) serve(ctx context.Context, config app.Config) (public string, err error) {
	listening := make(chan string, 1)
	failed := make(chan error, 1)
	config.Listening = func(public, internal string) {
		d.internal = "http://" + internal
		listening <- "http://" + public
	}
	d.running.Go(func() error {
		err := app.Run(ctx, config)
		failed <- err
		return err
	})
	select {
	case public := <-listening:
		return public, nil
	case err := <-failed:
		return "", err
	}
}

// ready checks /readyz, which also checks Redis.
func (d *demo) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.internal+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("the service is not ready; does the Redis at REDIS_URL run? /readyz says %s", body)
	}
	return nil
}

func (d *demo) announce(w io.Writer) {
	fmt.Fprintf(w, `
  Open %s

  It simulates Koubei's portal: choose an account and, if you like, a fault.

  The ISV's pages        %s
  The service            %s
  Internal listener      %s/metrics
  Redis                  %s

  Press Ctrl-C to stop.

`, d.portal+"/", d.isv+"/", d.isv+servicePath+"/", d.internal, d.redis)
}

// wait returns when all servers have ended, without an error if the user has ended them.
func (d *demo) wait() error {
	defer d.end()
	return d.running.Wait()
}
