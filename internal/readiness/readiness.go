// Package readiness checks in the background whether this replica can do its work. It reports the result to /readyz, to the
// log and to a metric.
//
// The checks run once a second, independent of requests to /readyz. Therefore the number of probes does not change the load
// on Redis, and a wrong password is logged even before anybody signs in.
package readiness

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// interval is the time between two rounds of checks. A change is reported within 5 s, so two attempts and two intervals
	// must fit into that.
	interval = time.Second

	// attemptTimeout bounds one attempt.
	attemptTimeout = 1500 * time.Millisecond
)

// Serving is the check of the process itself. It fails while the replica shuts down.
const Serving = "serving"

// Check is one thing that the replica needs.
type Check struct {
	Name     string
	Required bool       // the replica is not ready while the check fails
	Level    slog.Level // of the log line that reports a failure
	Try      func(context.Context) error
}

// Options are the dependencies of a Checker.
type Options struct {
	Checks []Check

	// OnChange is called when a check begins to succeed or to fail, and with its first result.
	OnChange func(check string, ok bool)

	Log *slog.Logger
	Now func() time.Time
}

// Checker holds the state of every check.
type Checker struct {
	Options
	checked chan struct{} // closed after the first round

	mu       sync.Mutex
	states   []state // of the checks, in their order
	draining bool
}

// state is the state of one check.
type state struct {
	known    bool
	failures int       // in a row
	cause    string    // empty while the check succeeds
	since    time.Time // of the failure
}

// New returns a Checker. It has no results until Run runs.
func New(o Options) *Checker {
	return &Checker{Options: o, checked: make(chan struct{}), states: make([]state, len(o.Checks))}
}

// Run checks until ctx ends.
func (c *Checker) Run(ctx context.Context) {
	c.OnChange(Serving, true)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for round := 0; ctx.Err() == nil; round++ {
		c.round(ctx)
		if round == 0 {
			close(c.checked)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (c *Checker) round(ctx context.Context) {
	var all sync.WaitGroup
	for i, check := range c.Checks {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			err := check.Try(ctx)
			if !errors.Is(context.Cause(ctx), context.Canceled) { // the checker is stopping: a canceled check has no result
				c.note(i, err)
			}
		})
	}
	all.Wait()
}

// note records the result of a check. An error that Redis itself returns counts at once. A timeout or a lost connection
// must occur twice in a row.
func (c *Checker) note(i int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, name := &c.states[i], c.Checks[i].Name
	if err == nil {
		if s.cause != "" {
			c.Log.Info("readiness check recovered", "check", name, "failed_for", c.Now().Sub(s.since).Round(time.Millisecond).String())
		}
		if !s.known || s.cause != "" {
			c.OnChange(name, true)
		}
		*s = state{known: true}
		return
	}
	s.failures++
	cause, definite := causeOf(err)
	if s.failures == 1 && !definite || s.cause == cause {
		return
	}
	if s.cause == "" {
		s.since = c.Now()
		c.OnChange(name, false)
	}
	s.known, s.cause = true, cause
	c.Log.Log(context.Background(), c.Checks[i].Level, "readiness check failed", "check", name, "cause", cause)
}

// Drain makes Serving fail from now on.
func (c *Checker) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.draining {
		c.draining = true
		c.OnChange(Serving, false)
	}
}

// Report is the content of /readyz.
type Report struct {
	Ready  bool
	Checks map[string]string // "ok", or why the check fails
}

// OK is the word for a check that succeeds.
const OK = "ok"

// Report returns the state of every check. It waits until the first round or ctx ends.
func (c *Checker) Report(ctx context.Context) Report {
	select {
	case <-c.checked:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{Ready: !c.draining, Checks: map[string]string{Serving: OK}}
	if c.draining {
		r.Checks[Serving] = "shutting down"
	}
	for i, check := range c.Checks {
		s := c.states[i]
		switch {
		case s.cause != "":
			r.Checks[check.Name] = s.cause
		case !s.known:
			r.Checks[check.Name] = "not checked yet"
		default:
			r.Checks[check.Name] = OK
		}
		if check.Required && r.Checks[check.Name] != OK {
			r.Ready = false
		}
	}
	return r
}
