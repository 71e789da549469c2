package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// GrowthHeader is the head of the table that Replicas gives rows of.
const GrowthHeader = "| replicas | request | a second | CPU of the replicas, each | CPU of Redis, each | round trips, each |\n| ---: | --- | ---: | ---: | ---: | ---: |"

// Replicas starts so many replicas on the one Redis, drives them all at once, and tells what a check and a landing cost.
func (r *Rig) Replicas(ctx context.Context, n int, d time.Duration) ([]string, error) {
	var verifies, landings []Target
	for i := range n {
		s, err := r.NewService(ctx, fmt.Sprintf("replica-%d-of-%d", i+1, n))
		if err != nil {
			return nil, err
		}
		defer s.end()
		landing := r.landing()
		landing.Server, landing.Addr = s.Process, s.Public
		verifies, landings = append(verifies, r.verify(s, "`/auth/verify`")), append(landings, landing)
	}
	var rows []string
	for _, targets := range [][]Target{verifies, landings} {
		row, err := r.together(ctx, targets, d)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// together drives all targets at once, with 32 connections between them.
func (r *Rig) together(ctx context.Context, targets []Target, d time.Duration) (string, error) {
	used := func() (services, redis time.Duration, err error) {
		for _, t := range targets {
			cpu, e := t.Server.CPU()
			services, err = services+cpu, errors.Join(err, e)
		}
		redis, e := r.Redis.CPU()
		return services, redis, errors.Join(err, e)
	}
	books, err := r.books(ctx)
	if err != nil {
		return "", err
	}
	services, redis, err := used()
	if err != nil {
		return "", err
	}
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
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	servicesAfter, redisAfter, err := used()
	if err != nil {
		return "", err
	}
	after, err := r.books(ctx)
	if err != nil {
		return "", err
	}
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(requests) }
	trips := (after["total_reads_processed"] - books["total_reads_processed"] - 1) / float64(requests)
	return fmt.Sprintf("| %d | %s | %.0f | %.0f µs | %.1f µs | %.2f |", len(targets), targets[0].Name,
		float64(requests)/d.Seconds(), micros(servicesAfter-services), micros(redisAfter-redis), trips), nil
}
