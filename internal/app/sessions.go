package app

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// backend is the part of the service that reads and writes sessions. Listing and revoking sessions needs nothing else.
type backend struct {
	redis    redis.UniversalClient
	store    *store.Store
	sealer   *session.Sealer
	sessions *session.Manager
}

// openBackend returns the backend. It connects at the first command. The caller closes redis.
func openBackend(c Config) (*backend, error) {
	sealer, err := session.NewSealer(c.Session.SealKeys...)
	if err != nil {
		return nil, err
	}
	rdb, err := OpenRedis(c.Redis)
	if err != nil {
		return nil, err
	}
	traceRedis(rdb, c.Tracing)
	b := &backend{redis: rdb, sealer: sealer}
	b.store = store.New(store.Options{Redis: rdb, Prefix: c.Redis.Prefix, Timeout: c.Redis.Timeout, Replicas: c.Redis.Replicas})
	b.sessions = session.New(session.Options{Config: c.Session, Store: b.store, Sealer: sealer, Now: c.Now})
	return b, nil
}

// Sessions returns the live sessions of an operator. It fails with store.ErrUnavailable.
func Sessions(ctx context.Context, c Config, operatorID string) ([]session.Session, error) {
	b, err := openBackend(c)
	if err != nil {
		return nil, err
	}
	found, err := b.sessions.List(ctx, operatorID)
	return found, errors.Join(err, b.redis.Close())
}

// Revoke ends all sessions of an operator and returns how many it has ended. It fails with store.ErrUnavailable.
func Revoke(ctx context.Context, c Config, operatorID string) (int, error) {
	b, err := openBackend(c)
	if err != nil {
		return 0, err
	}
	n, err := b.sessions.Revoke(ctx, operatorID)
	return n, errors.Join(err, b.redis.Close())
}
