package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Target is one kind of request to one process.
type Target struct {
	Name   string
	Server *Process // whose CPU counts
	Addr   string
	URI    string
	Header []string // as lines
	Status int

	// Fresh, when set, gives each request an address of its own in the place of URI.
	Fresh func() string

	// FreshHeader, when set, is one more line of each request.
	FreshHeader func() string
}

func (t Target) request() []byte {
	uri := t.URI
	if t.Fresh != nil {
		uri = t.Fresh()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", uri, t.Addr)
	for _, line := range t.Header {
		b.WriteString(line + "\r\n")
	}
	if t.FreshHeader != nil {
		b.WriteString(t.FreshHeader() + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// Driver loads a target for a while, and returns how many requests were answered in how long.
type Driver func(ctx context.Context, t Target, d time.Duration) (requests int, took time.Duration, err error)

// Own is the driver of this package, with 32 connections as wrk has.
func Own(ctx context.Context, t Target, d time.Duration) (int, time.Duration, error) {
	driven, err := Drive(ctx, t, Load{Conns: 32, For: d})
	return driven.Requests, driven.Took, err
}

// Sample is one measurement of one target.
type Sample struct {
	Rate float64       // requests a second
	CPU  time.Duration // of the server, for each
}

// measure takes one sample.
func measure(ctx context.Context, t Target, drive Driver, d time.Duration) (Sample, error) {
	before, err := t.Server.CPU()
	if err != nil {
		return Sample{}, err
	}
	requests, took, err := drive(ctx, t, d)
	if err != nil {
		return Sample{}, err
	}
	after, err := t.Server.CPU()
	if err != nil {
		return Sample{}, err
	}
	if requests == 0 {
		return Sample{}, fmt.Errorf("%s: nothing was answered", t.Name)
	}
	return Sample{Rate: float64(requests) / took.Seconds(), CPU: (after - before) / time.Duration(requests)}, nil
}
