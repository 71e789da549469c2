package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// settledRSS is what a service holds once its garbage is collected and given back as far as it will be.
func (s *Service) settledRSS(ctx context.Context) (int64, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Internal+"/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return 0, err
	}
	ask.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(ask)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("/debug/pprof/heap answered %s", resp.Status)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	return s.RSS()
}

// IdleConnection returns what each of so many connections costs that have asked once and are kept alive.
func (r *Rig) IdleConnection(ctx context.Context, connections int) (int64, error) {
	s, err := r.NewService(ctx, "idle")
	if err != nil {
		return 0, err
	}
	defer s.end()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t := r.verify(s, "idle")
	if _, err := Drive(ctx, t, Load{Conns: 4, Requests: 2000}); err != nil {
		return 0, err
	}
	before, err := s.settledRSS(ctx)
	if err != nil {
		return 0, err
	}
	for range connections {
		c, err := dial(ctx, t.Addr)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		if err := c.ask(t.request(), t.Status); err != nil {
			return 0, err
		}
	}
	after, err := s.settledRSS(ctx)
	return (after - before) / int64(connections), err
}

// Growth is what a service holds after the same number of checks of one session, and of many.
type Growth struct {
	One, Many int64 // RSS in bytes
	Redis     int64 // what each session took there, its index included
}

// Growth makes so many sessions, through the session package, and checks each of them.
func (r *Rig) Growth(ctx context.Context, sessions int) (Growth, error) {
	var g Growth
	one, err := r.NewService(ctx, "one")
	if err != nil {
		return g, err
	}
	defer one.end()
	many, err := r.NewService(ctx, "many")
	if err != nil {
		return g, err
	}
	defer many.end()
	if g.One, err = r.checked(ctx, one, r.verify(one, "one session"), sessions); err != nil {
		return g, err
	}
	empty, err := r.Redis.RSS()
	if err != nil {
		return g, err
	}
	tokens, err := r.sessions(ctx, r.rdb, sessions)
	if err != nil {
		return g, err
	}
	full, err := r.Redis.RSS()
	if err != nil {
		return g, err
	}
	g.Redis = (full - empty) / int64(sessions)
	t := r.verify(many, "many sessions")
	var next atomic.Int64
	t.Header = nil
	t.FreshHeader = func() string {
		return cookieLine(tokens[int(next.Add(1))%len(tokens)])
	}
	g.Many, err = r.checked(ctx, many, t, sessions)
	return g, err
}

func (r *Rig) checked(ctx context.Context, s *Service, t Target, requests int) (int64, error) {
	if _, err := Drive(ctx, t, Load{Conns: 16, Requests: requests}); err != nil {
		return 0, err
	}
	return s.settledRSS(ctx)
}

// sessions makes sessions, each of an operator of its own.
func (r *Rig) sessions(ctx context.Context, rdb redis.UniversalClient, n int) ([]session.Token, error) {
	seal := make([]byte, session.SealKeySize)
	if _, err := rand.Read(seal); err != nil {
		return nil, err
	}
	sealer, err := session.NewSealer(seal)
	if err != nil {
		return nil, err
	}
	m, err := session.New(session.Options{
		Store:  store.New(store.Options{Redis: rdb, Prefix: r.prefix, Timeout: 5 * time.Second}),
		Sealer: sealer, Config: session.Config{Lifetime: 12 * time.Hour, Idle: 2 * time.Hour}, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		mu   sync.Mutex
		errs []error
	)
	tokens := make([]session.Token, n)
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				grant := operator.Grant{
					AppID: r.appID(), PartnerID: "2088102150477653", ShopIDs: "2015060900077000000000152345", ExchangedAt: time.Now(),
					Operator: operator.Operator{ID: fmt.Sprintf("2088%012d", i), Type: "PROVIDER"},
				}
				started, err := m.Start(ctx, grant, fmt.Sprintf("growth%026d", i), nil)
				tokens[i] = started.Token
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return tokens, errors.Join(errs...)
}
