package session

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/store"
)

// RevocationWindow is how long Redis keeps a revocation. A grant that is older cannot become a session: the time in a
// landing, in a cookie and in a question adds up to at most this.
const RevocationWindow = 15 * time.Minute

// Tick returns a command that advances the logical clock. A landing sends it with its claim, before the exchange, and a
// revocation starts with it: see the package comment. The clock's key has the kind of revocations and an empty operator id,
// which no operator has.
func (m *Manager) Tick(ctx context.Context) store.TickCmd {
	return store.NewTick(ctx, m.records.store.Key(RevokedKind, ""), RevocationWindow)
}

// revokeScript sets the time of an operator's last revocation. It never lowers it, even if two concurrent revocations arrive
// in reverse order.
const revokeScript = `
local last = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
redis.call('SET', KEYS[1], string.format('%.0f', math.max(last, tonumber(ARGV[1]))), 'PX', ARGV[2])
return 1`

// revokedScript returns the time of an operator's last revocation, 0 for none, and Redis's current time, both in
// microseconds.
const revokedScript = `
local now = redis.call('TIME')
return (redis.call('GET', KEYS[1]) or '0') .. string.format(' %.0f', tonumber(now[1]) * 1000000 + tonumber(now[2]))`

// recordRevocation records that all grants of the operator that were claimed until now are revoked. It fails with
// store.ErrUnavailable.
func (m *Manager) recordRevocation(ctx context.Context, operatorID string) error {
	s := m.records.store
	tick := m.Tick(ctx)
	if err := s.Write(ctx, tick.IntCmd); err != nil {
		return err
	}
	return s.Write(ctx, redis.NewCmd(ctx, "eval", revokeScript, 1, s.Key(RevokedKind, operatorID), tick.Val(), RevocationWindow.Milliseconds()))
}

// revocation is an operator's last revocation, as read from Redis.
type revocation struct {
	at  operator.LogicalTime // zero for none
	now operator.LogicalTime
}

// revocationCmd reads an operator's last revocation. Do or Write sends it.
type revocationCmd struct{ *redis.StringCmd }

func (s *records) revocation(ctx context.Context, operatorID string) revocationCmd {
	return revocationCmd{redis.NewStringCmd(ctx, "eval", revokedScript, 1, s.store.Key(RevokedKind, operatorID))}
}

// read returns the reply. It fails with store.ErrUnavailable if the command failed, or if the time of the revocation is not a
// number.
func (c revocationCmd) read() (revocation, error) {
	var r revocation
	if _, err := fmt.Sscan(c.Val(), &r.at, &r.now); err != nil {
		return revocation{}, fmt.Errorf("%w: the last revocation: %w", store.ErrUnavailable, cmp.Or(c.Err(), err))
	}
	return r, nil
}

// covers reports whether the revocation ends an entry, because the entry was claimed before it.
func (r revocation) covers(e entryRecord) bool { return e.claimedAt() < r.at }

// expiredSince reports whether Redis may have dropped a revocation that came after the entry was claimed.
func (r revocation) expiredSince(e entryRecord) bool {
	return r.now-e.claimedAt() >= operator.LogicalTime(RevocationWindow.Microseconds())
}

// Withdraw removes the revoked entries of a session. Call it if the reply to the session's write was lost, so that it is
// unknown whether the write succeeded. An earlier call may have removed them, and failed for lack of replicas: Withdraw
// confirms that first. It fails with store.ErrUnavailable.
func (m *Manager) Withdraw(ctx context.Context, hash string) error {
	if err := m.records.store.Confirm(ctx, m.records.key(hash)); err != nil {
		return err
	}
	_, err := m.unrevoked(ctx, hash)
	return ignoreNone(err)
}
