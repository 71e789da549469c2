package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// GrowthHeader is the head of the table that Replicas gives rows of.
const GrowthHeader = "| Redis | replicas | request | a second | CPU of the replicas, each | CPU of Redis, each | round trips, each | bytes in / out, each |\n" +
	"| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"

// spread is how many sessions are asked for in turn, so that each master of a cluster has its share.
const spread = 512

// Replicas starts so many replicas on one backend, drives them all at once, and tells what a check and a landing cost.
func (r *Rig) Replicas(ctx context.Context, b *Backend, n int, d time.Duration) ([]string, error) {
	cookies, err := r.cookies(ctx, b, spread)
	if err != nil {
		return nil, err
	}
	var next atomic.Int64
	var verifies, landings []Target
	for i := range n {
		s, err := r.NewService(ctx, fmt.Sprintf("%s-%d-of-%d", strings.ReplaceAll(b.Name, " ", "-"), i+1, n), b.env...)
		if err != nil {
			return nil, err
		}
		defer s.end()
		verify, landing := r.verify(s, "`/auth/verify`"), r.landing()
		verify.Header, verify.FreshHeader = nil, func() string { return cookies[int(next.Add(1))%len(cookies)] }
		landing.Server, landing.Addr = s.Process, s.Public
		verifies, landings = append(verifies, verify), append(landings, landing)
	}
	var rows []string
	for _, targets := range [][]Target{verifies, landings} {
		if _, err := together(ctx, targets, d/4); err != nil { // connections are opened
			return nil, err
		}
		row, err := b.growth(ctx, targets, d)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// spent is what everything has used so far.
type spent struct {
	services, redis time.Duration
	books           map[string]float64
}

func (b *Backend) spent(ctx context.Context, targets []Target) (spent, error) {
	var s spent
	for _, t := range targets {
		cpu, err := t.Server.CPU()
		if err != nil {
			return s, err
		}
		s.services += cpu
	}
	var err, booksErr error
	s.redis, err = b.cpu()
	s.books, booksErr = b.books(ctx)
	return s, errors.Join(err, booksErr)
}

// growth drives all targets at once and returns what each request has cost, as a row.
func (b *Backend) growth(ctx context.Context, targets []Target, d time.Duration) (string, error) {
	before, err := b.spent(ctx, targets)
	if err != nil {
		return "", err
	}
	requests, err := together(ctx, targets, d)
	if err != nil {
		return "", err
	}
	after, err := b.spent(ctx, targets)
	if err != nil {
		return "", err
	}
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(requests) }
	each := func(name string) float64 { return (after.books[name] - before.books[name]) / float64(requests) }
	return fmt.Sprintf("| %s | %d | %s | %.0f | %.0f µs | %.1f µs | %.2f | %.0f / %.0f |", b.Name, len(targets), targets[0].Name,
		float64(requests)/d.Seconds(), micros(after.services-before.services), micros(after.redis-before.redis),
		each("total_reads_processed"), each("total_net_input_bytes"), each("total_net_output_bytes")), nil
}

// together drives all targets at once, with 32 connections between them, and returns how many requests were answered.
func together(ctx context.Context, targets []Target, d time.Duration) (int, error) {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		requests int
		errs     []error
	)
	for _, t := range targets {
		wg.Go(func() {
			driven, err := Drive(ctx, t, Load{Conns: 32 / len(targets), For: d})
			mu.Lock()
			defer mu.Unlock()
			requests, errs = requests+driven.Requests, append(errs, err)
		})
	}
	wg.Wait()
	return requests, errors.Join(errs...)
}
