package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
)

// The kinds of keys. See the contract's section on Redis.
const (
	sessionKind  = "session"
	operatorKind = "operator"
	revokedKind  = "revoked"
)

// revokedFor is how long a revocation is remembered, and so how old a grant may be when it is turned into a session: in a
// landing, a cookie and a question together it could wait for longer.
const revokedFor = 15 * time.Minute

// records are the sessions in Redis. They are scs's store, for what scs writes: a session's beginning.
type records struct {
	store    *store.Store
	idle     time.Duration
	lifetime time.Duration
	now      func() time.Time
	cache    *cache // nil without one
	seen     *lru.Cache[string, stored]
}

// stored is a session as it was read: its bytes, what they say, and how that is told.
type stored struct {
	raw     []byte
	record  record
	session Session
}

// maxSeen bounds the sessions of which the bytes are remembered: about three kilobytes each.
const maxSeen = 1024

// decode returns what bytes of Redis's say. A page's checks read the same bytes again and again, and to compare them costs
// next to nothing where decoding them costs a seventh of a check. Nothing is served from here: Redis has just been asked.
func (s *records) decode(hash string, raw []byte) (stored, error) {
	if before, ok := s.seen.Get(hash); ok && bytes.Equal(before.raw, raw) {
		return before, nil
	}
	r, err := decode(raw)
	if err != nil {
		return stored{}, err
	}
	now := stored{raw, r, r.session(hash)}
	s.seen.Add(hash, now)
	return now, nil
}

// ttl is how long Redis keeps a record: the idle time, at most until its end.
func (s *records) ttl(r record) time.Duration {
	ttl := r.ends().Sub(s.now())
	if s.idle > 0 {
		ttl = min(ttl, s.idle)
	}
	return ttl
}

func (s *records) get(ctx context.Context, hash string) ([]byte, error) {
	return s.store.Get(ctx, s.store.Key(sessionKind, hash))
}

// renew begins the idle time anew, unless the record has changed or gone.
func (s *records) renew(ctx context.Context, hash string, before []byte, after record) error {
	raw, err := after.encode()
	if err != nil {
		return err
	}
	swap := store.NewSwap(ctx, s.store.Key(sessionKind, hash), before, raw, s.ttl(after))
	return s.store.Do(ctx, swap.SliceCmd)
}

// change replaces a record that is still the one read, and reports whether it did.
func (s *records) change(ctx context.Context, hash string, before []byte, after record) (bool, error) {
	raw, err := after.encode()
	if err != nil {
		return false, err
	}
	swap := store.NewSwap(ctx, s.store.Key(sessionKind, hash), before, raw, s.ttl(after)).Announcing(ctx, s.cache.announcement(hash))
	defer s.cache.forget(hash)
	if err := s.commit(ctx, hash, after, swap.SliceCmd); err != nil {
		return false, err
	}
	done, current, err := swap.Swapped()
	if err == nil && current == nil {
		// Ended meanwhile: what the index was just told is wrong.
		return false, errors.Join(ErrNone, s.forget(ctx, after.OperatorID, hash))
	}
	return done, err
}

// commit writes the index, then the session, then reads the mark of a revocation, and takes the session back where the
// exchange of its newest entry is not younger than that.
//
// Behind are commands that go along, where that costs nothing.
func (s *records) commit(ctx context.Context, hash string, r record, write redis.Cmder, behind ...redis.Cmder) error {
	if s.ttl(r) <= 0 || s.tooOld(r) {
		return ErrNone
	}
	index := s.store.Key(operatorKind, r.OperatorID)
	now := s.now()
	mark := redis.NewStringCmd(ctx, "get", s.store.Key(revokedKind, r.OperatorID))
	err := s.store.WriteWith(ctx, behind,
		redis.NewIntCmd(ctx, "zadd", index, r.ends().UnixMilli(), hash),
		redis.NewIntCmd(ctx, "zremrangebyscore", index, "-inf", now.UnixMilli()),
		// The newest landing's entry ends last, so the index needs no longer life than that.
		redis.NewBoolCmd(ctx, "pexpire", index, s.lifetime.Milliseconds()),
		write,
		mark,
	)
	if err != nil {
		return err
	}
	revoked, err := revokedAt(mark)
	if err != nil || revoked.IsZero() || r.Entries[0].AuthenticatedAt.After(revoked) {
		return err
	}
	if _, err := s.remove(ctx, hash); err != nil {
		return err
	}
	return errors.Join(ErrRevoked, s.forget(ctx, r.OperatorID, hash))
}

// tooOld reports whether the newest entry's grant was exchanged so long ago that the mark of a revocation since may be
// gone before it is read.
func (s *records) tooOld(r record) bool {
	age := s.now().Add(2 * s.store.Timeout()).Sub(r.Entries[0].AuthenticatedAt)
	return age >= revokedFor
}

func revokedAt(mark *redis.StringCmd) (time.Time, error) {
	raw, err := store.Bytes(mark)
	if err != nil || raw == nil {
		return time.Time{}, err
	}
	micros, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("session: the mark of a revocation: %w", err)
	}
	return time.UnixMicro(micros), nil
}

// remove deletes a session and returns what it was, nil when there was none.
func (s *records) remove(ctx context.Context, hash string) ([]byte, error) {
	cmd := store.NewTake(ctx, s.store.Key(sessionKind, hash), s.cache.announcement(hash))
	defer s.cache.forget(hash)
	if err := s.store.Write(ctx, cmd); err != nil {
		return nil, err
	}
	return store.Bytes(cmd)
}

// forget takes a session out of its operator's index.
func (s *records) forget(ctx context.Context, operatorID, hash string) error {
	return s.store.Do(ctx, redis.NewIntCmd(ctx, "zrem", s.store.Key(operatorKind, operatorID), hash))
}

// CommitCtx writes a new session for scs; the end that scs has measured by its own clock is not used.
func (s *records) CommitCtx(ctx context.Context, hash string, raw []byte, _ time.Time) error {
	r, err := decode(raw)
	if err != nil {
		return err
	}
	set := redis.NewStatusCmd(ctx, "set", s.store.Key(sessionKind, hash), raw, "px", s.ttl(r).Milliseconds())
	return s.commit(ctx, hash, r, set, meetingIn(ctx).commands()...)
}

// FindCtx reads a session for scs.
func (s *records) FindCtx(ctx context.Context, hash string) ([]byte, bool, error) {
	raw, err := s.get(ctx, hash)
	return raw, raw != nil, err
}

// DeleteCtx ends a session for scs.
func (s *records) DeleteCtx(ctx context.Context, hash string) error {
	_, err := s.remove(ctx, hash)
	return err
}

// errContext answers the methods that scs's Store interface demands beside those with a context, which it prefers.
var errContext = errors.New("session: the store needs a context")

// Find is never called: see FindCtx.
func (s *records) Find(string) ([]byte, bool, error) { return nil, false, errContext }

// Commit is never called: see CommitCtx.
func (s *records) Commit(string, []byte, time.Time) error { return errContext }

// Delete is never called: see DeleteCtx.
func (s *records) Delete(string) error { return errContext }
