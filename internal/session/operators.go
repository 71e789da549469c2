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

// Revoke ends all sessions of an operator and returns how many it ended. Grants that were claimed before and are not yet a
// session never become one.
//
// It fails with store.ErrUnavailable when Redis refused a part: the returned number of sessions has ended all the same,
// and the call is to be repeated. On a full Redis, which refuses the mark but not deletions, it deletes first and then
// tries the mark again.
func (m *Manager) Revoke(ctx context.Context, operatorID string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*m.records.store.Timeout())
	defer cancel()
	marked := m.mark(ctx, operatorID)
	ended, err := m.endAll(ctx, operatorID)
	if marked == nil || err != nil {
		return ended, errors.Join(marked, err)
	}
	if err := m.mark(ctx, operatorID); err != nil {
		return ended, err
	}
	more, err := m.endAll(ctx, operatorID)
	return ended + more, err
}

// endAll ends the sessions in an operator's index and returns how many there were. One that cannot be ended does not keep
// the others.
func (m *Manager) endAll(ctx context.Context, operatorID string) (int, error) {
	hashes, err := m.records.indexed(ctx, operatorID)
	if err != nil {
		return 0, err
	}
	ended := 0
	var failed []error
	for _, hash := range hashes {
		_, err := m.EndByHash(ctx, hash)
		switch {
		case err == nil:
			ended++
		case errors.Is(err, ErrNone): // it ended by itself
			m.records.forget(ctx, operatorID, hash)
		default:
			failed = append(failed, err)
		}
	}
	return ended, errors.Join(failed...)
}

func (s *records) indexed(ctx context.Context, operatorID string) ([]string, error) {
	cmd := redis.NewStringSliceCmd(ctx, "zrange", s.store.Key(operatorKind, operatorID), 0, -1)
	if err := s.store.Do(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

// indexScript puts a session into its operator's index and removes those that ended more than an hour ago, by Redis's
// clock: a replica whose clock is ahead must not remove live sessions. The index lives as long as its newest session.
// Removing the ended ones is optional.
const indexScript = `
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', ms + tonumber(ARGV[2])), ARGV[1])
redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms - 3600000))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`

// index prepares to put a session into its operator's index.
func (s *records) index(ctx context.Context, hash string, r record) redis.Cmder {
	key := s.store.Key(operatorKind, r.OperatorID)
	return redis.NewCmd(ctx, "eval", indexScript, 1, key, hash, r.ends().Sub(s.now()).Milliseconds(), s.lifetime.Milliseconds())
}

// forget removes a session from its operator's index. It is optional: the index is pruned by the next landing.
func (s *records) forget(ctx context.Context, operatorID, hash string) {
	_ = s.store.Do(ctx, redis.NewIntCmd(ctx, "zrem", s.store.Key(operatorKind, operatorID), hash))
}
