package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/store"
)

// The reasons why there is no session. If Redis is unavailable, the error is store.ErrUnavailable instead.
var (
	// ErrNone says that the session does not exist, or no longer.
	ErrNone = errors.New("session: none")

	// ErrRevoked says that the grant is invalid: the operator's sessions were revoked after the code was claimed, or the claim
	// is older than RevocationWindow, so that Redis may no longer have the revocation.
	ErrRevoked = errors.New("session: revoked since the code was claimed")
)

// Options configure a Manager.
type Options struct {
	Config
	Store  *store.Store
	Sealer *Sealer
	Now    func() time.Time
}

// Manager starts, reads, changes and ends sessions.
type Manager struct {
	scs      *scs.SessionManager
	records  *records
	sealer   *Sealer
	lifetime time.Duration
	idle     time.Duration
	now      func() time.Time
}

// New returns a Manager.
func New(o Options) *Manager {
	records := &records{store: o.Store, idle: o.Idle, lifetime: o.Lifetime, now: o.Now, seen: newBounded[stored](maxSeen)}
	if o.CacheTTL > 0 {
		records.cache = newCache(o.Store, o.CacheTTL)
	}
	sessions := scs.New()
	sessions.Codec = codec{}
	return &Manager{scs: sessions, records: records, sealer: o.Sealer, lifetime: o.Lifetime, idle: o.Idle, now: o.Now}
}

// Watch receives the changes that other replicas announce, until ctx ends. The cache serves sessions only while Watch runs.
func (m *Manager) Watch(ctx context.Context) {
	if m.records.cache != nil {
		m.records.cache.watch(ctx)
	}
}

// CacheErr returns why the session cache serves nothing, for example because Redis refuses the channel. It returns nil if
// the cache works or is off.
func (m *Manager) CacheErr() error {
	if m.records.cache == nil {
		return nil
	}
	return m.records.cache.err()
}

// Started is a session that was just started.
type Started struct {
	Held
	raw []byte        // the record as it was written
	met []storedToken // of sessions that other landings of the same browser have started
}

// Start starts a session for a grant, with a new token. It stores the sealed token under the hashes of the browser's
// arrival cookies, where other landings of the browser find it. It fails with ErrRevoked, with ErrNone if the grant is too
// old for a session, and with store.ErrUnavailable. In the last case the session may exist, and the result names it for
// Withdraw.
func (m *Manager) Start(ctx context.Context, grant operator.Grant, code string, arrivals []string) (Started, error) {
	r := record{
		Version:    recordVersion,
		AppID:      grant.AppID,
		OperatorID: grant.Operator.ID,
		LastReadAt: m.now().UTC(),
		Entries:    []entryRecord{m.entry(grant, code)},
	}
	token, raw, err := m.newToken(ctx, r)
	if err != nil {
		return Started{}, err
	}
	swaps := m.storeToken(ctx, token, arrivals)
	started := Started{Held: Held{Token: token, Session: r.session(token.Hash())}, raw: raw}
	if err := m.records.create(ctx, token.Hash(), r, raw, commands(swaps)); err != nil {
		return started, err
	}
	started.met = m.tokensFound(swaps, arrivals)
	return started, nil
}

// Undo ends a session that was just started, unless another landing has joined it. It fails with store.ErrUnavailable.
func (m *Manager) Undo(ctx context.Context, s Started) error {
	return m.records.removeUnchanged(ctx, s.Session, s.raw)
}

// EndIfOnly ends a session unless it has an entry of another code than this one. It fails with store.ErrUnavailable.
func (m *Manager) EndIfOnly(ctx context.Context, token Token, codeHash string) error {
	was, err := m.read(ctx, token.Hash())
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(was.record.Entries, func(e entryRecord) bool { return e.CodeHash != codeHash }) {
		return nil
	}
	return m.records.removeUnchanged(ctx, was.session, was.raw)
}

// entry returns the entry for a grant. Its lifetime starts with the exchange, when Koubei confirmed the operator, even if a
// question or an outage delayed the landing.
func (m *Manager) entry(grant operator.Grant, code string) entryRecord {
	exchanged := grant.ExchangedAt.UTC().Truncate(time.Microsecond)
	hash := operator.HashCode(grant.AppID, code)
	e := entryRecord{
		OperatorType:    string(grant.Operator.Type),
		ShopIDs:         grant.ShopIDs,
		AuthenticatedAt: exchanged,
		ClaimedAt:       grant.ClaimedAt,
		ExpiresAt:       exchanged.Add(m.lifetime),
		CodeHash:        hash,
		Code:            m.sealer.Seal(SealCode, hash, []byte(code)),
	}
	if grant.PartnerID != "" {
		e.PartnerID = &grant.PartnerID
	}
	return e
}

// Find returns the session of a token. It restarts the idle time with a write, at most once in a tenth of that time. It
// fails with ErrNone or store.ErrUnavailable.
func (m *Manager) Find(ctx context.Context, token Token) (Session, error) {
	if !token.WellFormed() {
		return Session{}, ErrNone
	}
	hash := token.Hash()
	if s := m.records.cache.get(hash); !m.renewable(s) {
		if s.Entries = live(s.Entries, m.now()); len(s.Entries) > 0 {
			return s, nil
		}
	}
	before := m.records.cache.reading(hash)
	now, err := m.read(ctx, hash)
	if err != nil {
		return Session{}, err
	}
	s := now.session
	if m.renewable(s) {
		s.LastRead = m.now().UTC()
		now.record.LastReadAt = s.LastRead
		// If the renewal fails, a later read tries again. This read has succeeded.
		_ = m.records.renew(ctx, hash, now.raw, now.record)
	}
	m.records.cache.keep(s, len(now.raw), before)
	return s, nil
}

// renewable reports whether a tenth of the idle time has passed since the last renewal.
func (m *Manager) renewable(s Session) bool {
	return m.idle > 0 && m.now().Sub(s.LastRead) >= m.idle/10
}

// read returns the entries of a stored session that have not expired. It does not rely on Redis's own expiry.
func (m *Manager) read(ctx context.Context, hash string) (stored, error) {
	raw, err := m.records.store.Get(ctx, m.records.key(hash))
	if err != nil {
		return stored{}, err
	}
	return m.unexpired(hash, raw)
}

// unexpired is read for bytes that were already read, nil for an absent key.
func (m *Manager) unexpired(hash string, raw []byte) (stored, error) {
	if raw == nil {
		return stored{}, ErrNone
	}
	s, err := m.records.decode(hash, raw)
	if err != nil {
		return stored{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	now := m.now()
	s.record.Entries, s.session.Entries = live(s.record.Entries, now), live(s.session.Entries, now)
	if len(s.session.Entries) == 0 || m.idle > 0 && now.Sub(s.session.LastRead) >= m.idle {
		return stored{}, ErrNone
	}
	return s, nil
}

// Code returns the authorization code of an entry, for later calls to Koubei. It fails with ErrSeal if the key that sealed
// the code is no longer configured.
func (m *Manager) Code(e Entry) (string, error) {
	code, err := m.sealer.Open(SealCode, e.codeHash, e.sealedCode)
	return string(code), err
}

// AddPartner adds a grant's entry to a session of the same operator, in first place. It replaces an older entry of the same
// partner. Concurrent landings lose nothing. It fails with ErrNone if the session is gone or belongs to another operator,
// with ErrRevoked, and with store.ErrUnavailable.
func (m *Manager) AddPartner(ctx context.Context, token Token, grant operator.Grant, code string) (Session, error) {
	hash := token.Hash()
	e := m.entry(grant, code)
	for {
		was, last, err := m.readForAdding(ctx, hash, grant.Operator.ID)
		if err != nil {
			return Session{}, err
		}
		r := was.record
		if r.OperatorID != grant.Operator.ID || r.AppID != grant.AppID {
			return Session{}, fmt.Errorf("%w of this operator", ErrNone)
		}
		if last.covers(e) || last.expiredSince(e) {
			return Session{}, ErrRevoked
		}
		r.LastReadAt = m.now().UTC()
		left, done, err := m.records.change(ctx, hash, was.raw, r.with(e))
		if done {
			return left.session(hash), nil
		}
		if err != nil {
			return Session{}, err
		}
	}
}

// readForAdding reads a session, and after it the operator's last revocation, before AddPartner adds an entry. If it did not,
// a replica that dies between its write and its check of the revocation would leave a revoked entry in a session that is
// newer than the revocation. The order matters: a revocation that is recorded later finds this session in the index.
func (m *Manager) readForAdding(ctx context.Context, hash, operatorID string) (stored, revocation, error) {
	get := redis.NewStringCmd(ctx, "get", m.records.key(hash))
	cmd := m.records.revocation(ctx, operatorID)
	if err := m.records.store.Do(ctx, get, cmd.StringCmd); err != nil {
		return stored{}, revocation{}, err
	}
	was, err := m.unexpired(hash, store.Bytes(get))
	if err != nil {
		return stored{}, revocation{}, err
	}
	last, err := cmd.read()
	return was, last, err
}

// End deletes a session and returns its last state. It fails with ErrNone if there was none, and with store.ErrUnavailable.
func (m *Manager) End(ctx context.Context, token Token) (Session, error) {
	if !token.WellFormed() {
		return Session{}, ErrNone
	}
	return m.EndByHash(ctx, token.Hash())
}

// EndAll deletes the sessions of all the tokens and returns how many it has deleted. It fails with store.ErrUnavailable if
// it could not delete all of them. Calling it again deletes the rest. Its success says that the required replicas have all
// the deletions, also those of an earlier call that failed.
func (m *Manager) EndAll(ctx context.Context, tokens []Token) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, store.LongTimeout(m.records.store.Timeout()))
	defer cancel()
	known, err := m.known(ctx, tokens)
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, token := range known {
		_, err := m.End(ctx, token)
		switch {
		case err == nil:
			ended++
		case !errors.Is(err, ErrNone):
			return ended, err
		}
	}
	absent := slices.DeleteFunc(slices.Clone(tokens), func(t Token) bool { return slices.Contains(known, t) })
	late, err := m.records.removeAgain(ctx, absent)
	return ended + late, err
}

// EndByHash is End for a session of which only the hash is known.
func (m *Manager) EndByHash(ctx context.Context, hash string) (Session, error) {
	raw, err := m.records.remove(ctx, hash)
	if err != nil {
		return Session{}, err
	}
	if raw == nil {
		return Session{}, ErrNone
	}
	r, err := decode(raw)
	if err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if len(r.Entries) == 0 {
		return Session{}, ErrNone
	}
	m.records.removeFromIndex(ctx, r.OperatorID, hash)
	return r.session(hash), nil
}
