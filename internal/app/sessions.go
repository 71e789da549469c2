package app

import (
	"context"
	"errors"

	"koubei-landing/internal/session"
)

// Sessions lists the live sessions of an operator. It fails with store.ErrUnavailable.
func Sessions(ctx context.Context, c Config, operatorID string) ([]session.Session, error) {
	s, err := build(c)
	if err != nil {
		return nil, err
	}
	found, err := s.sessions.List(ctx, operatorID)
	return found, errors.Join(err, s.redis.Close())
}

// Revoke ends all sessions of an operator and returns how many there were. It fails with store.ErrUnavailable.
func Revoke(ctx context.Context, c Config, operatorID string) (int, error) {
	s, err := build(c)
	if err != nil {
		return 0, err
	}
	n, err := s.sessions.Revoke(ctx, operatorID)
	return n, errors.Join(err, s.redis.Close())
}
