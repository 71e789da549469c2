package session

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// List returns an operator's live sessions, in no order. It fails with store.ErrUnavailable.
func (m *Manager) List(ctx context.Context, operatorID string) ([]Session, error) {
	hashes, err := m.records.indexed(ctx, operatorID)
	if err != nil {
		return nil, err
	}
	var found []Session
	for _, hash := range hashes {
		s, err := m.read(ctx, hash)
		if errors.Is(err, ErrNone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, s.session)
	}
	return found, nil
}

// Revoke ends all sessions of an operator and returns how many there were. Grants that were earned before and are not
// yet a session never become one. It fails with store.ErrUnavailable: then some may be left, and it is to be repeated.
func (m *Manager) Revoke(ctx context.Context, operatorID string) (int, error) {
	mark := m.records.store.Key(revokedKind, operatorID)
	set := redis.NewStatusCmd(ctx, "set", mark, m.now().UnixMicro(), "px", revokedFor.Milliseconds())
	if err := m.records.store.Write(ctx, set); err != nil {
		return 0, err
	}
	hashes, err := m.records.indexed(ctx, operatorID)
	if err != nil {
		return 0, err
	}
	revoked := 0
	for _, hash := range hashes {
		_, err := m.EndByHash(ctx, hash)
		switch {
		case err == nil:
			revoked++
		case errors.Is(err, ErrNone):
			// It ended by itself; its index entry goes with the others.
			if err := m.records.forget(ctx, operatorID, hash); err != nil {
				return revoked, err
			}
		default:
			return revoked, err
		}
	}
	return revoked, nil
}

func (s *records) indexed(ctx context.Context, operatorID string) ([]string, error) {
	cmd := redis.NewStringSliceCmd(ctx, "zrange", s.store.Key(operatorKind, operatorID), 0, -1)
	if err := s.store.Do(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}
