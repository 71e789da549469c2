package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Profile drives a target for so long and writes where its process's CPU and allocations go to NAME.cpu and NAME.allocs
// in dir, for go tool pprof.
func (r *Rig) Profile(ctx context.Context, t Target, s *Service, d time.Duration, dir, name string) error {
	if _, err := Drive(ctx, t, Load{Conns: 32, For: d / 4}); err != nil { // warm
		return err
	}
	var (
		wg  sync.WaitGroup
		err error
	)
	wg.Go(func() { _, err = Drive(ctx, t, Load{Conns: 32, For: 2*d + time.Second}) })
	seconds := max(int(d.Seconds()), 1)
	cpuErr := s.profile(ctx, fmt.Sprintf("profile?seconds=%d", seconds), filepath.Join(dir, name+".cpu"))
	allocsErr := s.profile(ctx, fmt.Sprintf("allocs?seconds=%d", seconds), filepath.Join(dir, name+".allocs"))
	wg.Wait()
	return errors.Join(err, cpuErr, allocsErr)
}

func (s *Service) profile(ctx context.Context, what, file string) error {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Internal+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	ask.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(ask)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/debug/pprof/%s answered %s", what, resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// Profiles profiles the paths that have something to mend.
func (r *Rig) Profiles(ctx context.Context, d time.Duration, dir string) error {
	for _, p := range []struct {
		name string
		s    *Service
		t    Target
	}{
		{"verify", r.Plain, r.verify(r.Plain, "verify")},
		{"cached", r.Cached, r.verify(r.Cached, "cached")},
		{"session", r.Plain, r.session()},
		{"hop", r.Plain, r.hop()},
		{"landing", r.Plain, r.landing()},
	} {
		if err := r.Profile(ctx, p.t, p.s, d, dir, p.name); err != nil {
			return err
		}
	}
	return nil
}
