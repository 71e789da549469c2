package session

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
)

// The kinds of this package's keys. docs/redis.md describes them.
const (
	SessionKind  = "session"
	OperatorKind = "operator"
	RevokedKind  = "revoked" // without an operator id: the logical clock

	// ArrivalKind is the kind of the keys by which the landings of one browser find each other's session. A landing does
	// not need them.
	ArrivalKind = "arrival"
)

// records reads and writes sessions in Redis.
type records struct {
	store    *store.Store
	idle     time.Duration
	lifetime time.Duration
	now      func() time.Time
	cache    *cache // nil without one
	seen     *bounded[stored]
}

// stored is a session that was read: its bytes and the decoded record.
type stored struct {
	raw     []byte
	record  record
	session Session
}

// maxSeen limits the bytes of decoded records that are kept.
const maxSeen = 1 << 20

// decode decodes a record that was read from Redis. The checks of one page read the same bytes again and again. Comparing
// bytes costs almost nothing, while decoding takes a seventh of a check. This is not a cache of sessions: the bytes are
// always read from Redis.
func (s *records) decode(hash string, raw []byte) (stored, error) {
	if before, ok := s.seen.get(hash); ok && bytes.Equal(before.raw, raw) {
		return before, nil
	}
	r, err := decode(raw)
	if err != nil {
		return stored{}, err
	}
	now := stored{raw, r, r.session(hash)}
	s.seen.add(hash, now, len(raw))
	return now, nil
}

// ttl returns how long Redis keeps a record: the idle time, but not beyond the end of the record.
func (s *records) ttl(r record) time.Duration {
	ttl := r.ends().Sub(s.now())
	if s.idle > 0 {
		ttl = min(ttl, s.idle)
	}
	return ttl
}

func (s *records) key(hash string) string { return s.store.Key(SessionKind, hash) }

// renew restarts the idle time, unless the record has changed or is gone.
func (s *records) renew(ctx context.Context, hash string, before []byte, after record) error {
	return s.store.Do(ctx, store.NewSwap(ctx, s.key(hash), before, after.encode(), s.ttl(after)).SliceCmd)
}

// create writes a new session. It fails like commit. It is a swap because its reply may be lost, and another tab may find
// the session under an arrival and change it before the write is retried. The retry then does not undo the change.
func (s *records) create(ctx context.Context, hash string, r record, raw []byte, optional []redis.Cmder) error {
	swap := store.NewSwap(ctx, s.key(hash), nil, raw, s.ttl(r))
	_, err := s.commit(ctx, hash, r, raw, swap.SliceCmd, optional...)
	return err
}

// change replaces a record if it has not changed since it was read. It returns the current record, and whether it was
// replaced. It fails like commit.
func (s *records) change(ctx context.Context, hash string, before []byte, after record) (record, bool, error) {
	raw := after.encode()
	swap := store.NewSwap(ctx, s.key(hash), before, raw, s.ttl(after)).Announcing(ctx, s.cache.announcement(hash))
	defer s.cache.drop(hash)
	left, err := s.commit(ctx, hash, after, raw, swap.SliceCmd)
	if err != nil {
		return record{}, false, err
	}
	done, current, err := swap.Swapped()
	if current == nil { // the session has ended in the meantime
		s.removeFromIndex(ctx, after.OperatorID, hash)
	}
	return left, done, err
}

// commit writes the index, then the session, then reads the operator's last revocation and removes the entries that it
// covers. It returns the remaining record. It fails with ErrNone if the record has already ended, with ErrRevoked if its
// newest entry is revoked, and with store.ErrUnavailable. The optional commands do not affect the result.
func (s *records) commit(ctx context.Context, hash string, r record, raw []byte, write redis.Cmder, optional ...redis.Cmder) (record, error) {
	if s.ttl(r) <= 0 {
		return record{}, ErrNone
	}
	cmd := s.revocation(ctx, r.OperatorID)
	if err := s.store.WriteWith(ctx, optional, s.index(ctx, hash, r), write, cmd.StringCmd); err != nil {
		return record{}, err
	}
	last, err := cmd.read()
	if err != nil {
		return record{}, err
	}
	newest := r.Entries[0].CodeHash
	left, err := s.removeRevoked(ctx, hash, r, raw, func(e entryRecord) bool {
		return last.covers(e) || e.CodeHash == newest && last.expiredSince(e)
	})
	if err == nil && (len(left.Entries) == 0 || left.Entries[0].CodeHash != newest) {
		err = ErrRevoked
	}
	return left, err
}

// checkRevoked reads the operator's last revocation, removes the entries of a stored session that it covers, and returns
// the remaining record. It fails with ErrNone if no entry remains, and with store.ErrUnavailable.
func (s *records) checkRevoked(ctx context.Context, was stored) (record, error) {
	cmd := s.revocation(ctx, was.record.OperatorID)
	_ = s.store.Do(ctx, cmd.StringCmd) // read returns its error
	last, err := cmd.read()
	if err != nil {
		return record{}, err
	}
	left, err := s.removeRevoked(ctx, was.session.hash, was.record, was.raw, last.covers)
	if err == nil && len(left.Entries) == 0 {
		err = ErrNone
	}
	return left, err
}

// removeRevoked removes the revoked entries from a stored session, and ends it if none remain. If the session has changed in the
// meantime, removeRevoked changes nothing: each writer checks all entries after its write.
func (s *records) removeRevoked(ctx context.Context, hash string, r record, raw []byte, revoked func(entryRecord) bool) (record, error) {
	left := r
	left.Entries = slices.DeleteFunc(slices.Clone(r.Entries), revoked)
	if len(left.Entries) == len(r.Entries) {
		return r, nil
	}
	var after []byte
	if len(left.Entries) > 0 {
		after = left.encode()
	}
	swap := store.NewSwap(ctx, s.key(hash), raw, after, s.ttl(left)).Announcing(ctx, s.cache.announcement(hash))
	defer s.cache.drop(hash)
	if err := s.store.Write(ctx, swap.SliceCmd); err != nil {
		return record{}, err
	}
	if done, _, _ := swap.Swapped(); done && after == nil { // Write has returned the error
		s.removeFromIndex(ctx, r.OperatorID, hash)
	}
	return left, nil
}

// remove deletes a session and returns its bytes, or nil if there was none.
func (s *records) remove(ctx context.Context, hash string) ([]byte, error) {
	cmd := store.NewTake(ctx, s.key(hash), s.cache.announcement(hash))
	defer s.cache.drop(hash)
	if err := s.store.Write(ctx, cmd); err != nil {
		return nil, err
	}
	return store.Bytes(cmd), nil
}

// removeUnchanged deletes a session unless it has changed since it was written.
func (s *records) removeUnchanged(ctx context.Context, was Session, raw []byte) error {
	swap := store.NewSwap(ctx, s.key(was.hash), raw, nil, 0).Announcing(ctx, s.cache.announcement(was.hash))
	defer s.cache.drop(was.hash)
	if err := s.store.Write(ctx, swap.SliceCmd); err != nil {
		return err
	}
	done, _, err := swap.Swapped()
	if done {
		s.removeFromIndex(ctx, was.OperatorID, was.hash)
	}
	return err
}

// removeAgain deletes sessions that Redis did not hold a moment ago, so that the required replicas confirm deletions that
// they have not confirmed before. It returns how many it has deleted: a failover may have brought a session back. If no
// replicas are required, it does nothing. It fails with store.ErrUnavailable.
func (s *records) removeAgain(ctx context.Context, tokens []Token) (int, error) {
	if s.store.Replicas() == 0 || len(tokens) == 0 {
		return 0, nil
	}
	takes := make([]*redis.StringCmd, len(tokens))
	cmds := make([]redis.Cmder, len(tokens))
	for i, token := range tokens {
		takes[i] = store.NewTake(ctx, s.key(token.Hash()), s.cache.announcement(token.Hash()))
		cmds[i] = takes[i]
	}
	err := s.store.WriteUnordered(ctx, cmds...)
	ended := 0
	for i, token := range tokens {
		s.cache.drop(token.Hash())
		if store.Bytes(takes[i]) != nil {
			ended++
		}
	}
	return ended, err
}

// ignoreNone returns err, or nil if err is ErrNone.
func ignoreNone(err error) error {
	if errors.Is(err, ErrNone) {
		return nil
	}
	return err
}
