package session

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
)

// List returns an operator's live sessions in no particular order. It fails with store.ErrUnavailable.
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

// Revoke ends all sessions of an operator and returns how many it has ended. Grants that were claimed before and are not a
// session yet never become one.
//
// It fails with store.ErrUnavailable if Redis refused a part. The returned number of sessions has ended then too, and the
// caller should repeat the call. A full Redis refuses to write the revocation but allows deletions. In this case, Revoke
// deletes first and then writes the revocation again.
func (m *Manager) Revoke(ctx context.Context, operatorID string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, store.LongTimeout(m.records.store.Timeout()))
	defer cancel()
	recorded := m.recordRevocation(ctx, operatorID)
	ended, err := m.endAll(ctx, operatorID)
	if recorded == nil || err != nil {
		return ended, errors.Join(recorded, err)
	}
	if err := m.recordRevocation(ctx, operatorID); err != nil {
		return ended, err
	}
	more, err := m.endAll(ctx, operatorID)
	return ended + more, err
}

// endAll ends the sessions in an operator's index and returns how many it has ended. It continues if one of them fails.
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
		case errors.Is(err, ErrNone): // it has expired
			m.records.removeFromIndex(ctx, operatorID, hash)
		default:
			failed = append(failed, err)
		}
	}
	return ended, errors.Join(failed...)
}

func (s *records) indexed(ctx context.Context, operatorID string) ([]string, error) {
	cmd := redis.NewStringSliceCmd(ctx, "zrange", s.store.Key(OperatorKind, operatorID), 0, -1)
	if err := s.store.Do(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

// indexScript adds a session to its operator's index and removes sessions that ended more than an hour ago by Redis's
// clock. A replica whose clock is ahead must not remove live sessions. The index expires with its newest session. Removing
// old sessions is optional.
const indexScript = `
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', ms + tonumber(ARGV[2])), ARGV[1])
redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms - 3600000))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`

// index returns a command that adds a session to its operator's index.
func (s *records) index(ctx context.Context, hash string, r record) redis.Cmder {
	key := s.store.Key(OperatorKind, r.OperatorID)
	return redis.NewCmd(ctx, "eval", indexScript, 1, key, hash, r.ends().Sub(s.now()).Milliseconds(), s.lifetime.Milliseconds())
}

// removeFromIndex removes a session from its operator's index. It ignores errors: the next landing removes old sessions too.
func (s *records) removeFromIndex(ctx context.Context, operatorID, hash string) {
	_ = s.store.Do(ctx, redis.NewIntCmd(ctx, "zrem", s.store.Key(OperatorKind, operatorID), hash))
}
