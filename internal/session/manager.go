package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/store"
)

// The ways in which there is no session. Redis being out of reach is store.ErrUnavailable, and never one of these.
var (
	// ErrNone says that there is no such session, or none any more.
	ErrNone = errors.New("session: none")

	// ErrRevoked says that the operator's sessions were revoked after the grant was earned: it is worth nothing now.
	ErrRevoked = errors.New("session: revoked since the code was exchanged")
)

// Options is what a Manager is made of.
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
func New(o Options) (*Manager, error) {
	remembered, err := newBounded[stored](maxSeen)
	if err != nil {
		return nil, err
	}
	records := &records{store: o.Store, idle: o.Idle, lifetime: o.Lifetime, now: o.Now, seen: remembered}
	if o.CacheTTL > 0 {
		cache, err := newCache(o.Store, o.CacheTTL)
		if err != nil {
			return nil, err
		}
		records.cache = cache
	}
	sessions := scs.New()
	sessions.Codec = codec{}
	sessions.HashTokenInStore = true
	sessions.Lifetime = o.Lifetime
	return &Manager{scs: sessions, records: records, sealer: o.Sealer, lifetime: o.Lifetime, idle: o.Idle, now: o.Now}, nil
}

// Watch receives the changes that other replicas announce until ctx ends. Without it the cache serves nothing.
func (m *Manager) Watch(ctx context.Context) {
	if m.records.cache != nil {
		m.records.cache.watch(ctx)
	}
}

// CacheErr returns why the session cache serves nothing, for example because Redis refuses the channel; nil while it works
// and where there is none.
func (m *Manager) CacheErr() error {
	if m.records.cache == nil {
		return nil
	}
	return m.records.cache.err()
}

// Started is a session that has just begun.
type Started struct {
	Held
	met []leftToken // of sessions that other landings of the same browser have begun
}

// Start begins a session for a grant, under a fresh token, and leaves the sealed token for other landings of the browser,
// which is known by the hashes of its arrival cookies. It fails with ErrRevoked; with ErrNone when the grant is so old that
// its session would have ended; and with store.ErrUnavailable: then the session may exist, and the result names it for
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
	swaps := m.leaveToken(ctx, token, arrivals)
	started := Started{Held: Held{Token: token, Session: r.session(token.Hash())}}
	if err := m.records.create(ctx, token.Hash(), r, raw, commands(swaps)); err != nil {
		return started, err
	}
	started.met = m.tokensMet(swaps, arrivals)
	return started, nil
}

// entry is what a grant earns. Its time runs from the exchange: that is when Koubei vouched for the operator, also
// where a question or an outage came between.
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

// Find returns the session of a token and begins its idle time anew, by a write at most once in a tenth of it. It
// fails with ErrNone or store.ErrUnavailable.
func (m *Manager) Find(ctx context.Context, token Token) (Session, error) {
	if !token.WellFormed() {
		return Session{}, ErrNone
	}
	hash := token.Hash()
	if s, ok := m.records.cache.get(hash); ok && !m.renewable(s) {
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
		// A renewal that fails costs the session a tenth of its idle time; the read itself has succeeded.
		_ = m.records.renew(ctx, hash, now.raw, now.record)
	}
	m.records.cache.keep(s, len(now.raw), before)
	return s, nil
}

// renewable reports whether a tenth of the idle time has passed since it began anew.
func (m *Manager) renewable(s Session) bool {
	return m.idle > 0 && m.now().Sub(s.LastRead) >= m.idle/10
}

// read returns what of a stored session is still in force: Redis's own expiry is not taken on trust.
func (m *Manager) read(ctx context.Context, hash string) (stored, error) {
	raw, err := m.records.store.Get(ctx, m.records.key(hash))
	if err != nil {
		return stored{}, err
	}
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

// Code returns the authorisation code that an entry was earned with, for later calls of Koubei's. It fails with ErrSeal
// when the keys have changed since.
func (m *Manager) Code(e Entry) (string, error) {
	code, err := m.sealer.Open(SealCode, e.codeHash, e.sealedCode)
	return string(code), err
}

// AddPartner puts a grant's entry first in the session of its own operator, in the place of that partner's older one.
// Landings at once lose nothing. It fails with ErrNone when the session is gone or another operator's, with ErrRevoked
// and with store.ErrUnavailable.
func (m *Manager) AddPartner(ctx context.Context, token Token, grant operator.Grant, code string) (Session, error) {
	hash := token.Hash()
	e := m.entry(grant, code)
	for {
		was, err := m.read(ctx, hash)
		if err != nil {
			return Session{}, err
		}
		r := was.record
		if r.OperatorID != grant.Operator.ID || r.AppID != grant.AppID {
			return Session{}, fmt.Errorf("%w of this operator", ErrNone)
		}
		r.LastReadAt = m.now().UTC()
		left, done, err := m.records.change(ctx, hash, was.raw, r.with(e))
		if err != nil {
			return Session{}, err
		}
		if done {
			return left.session(hash), nil
		}
	}
}

// End ends a session for good and returns it as it was. It fails with ErrNone when there was none, and with
// store.ErrUnavailable.
func (m *Manager) End(ctx context.Context, token Token) (Session, error) {
	if !token.WellFormed() {
		return Session{}, ErrNone
	}
	return m.EndByHash(ctx, token.Hash())
}

// EndAll ends the sessions of all the tokens and returns how many there were. It fails with store.ErrUnavailable when it
// could not end them all. To repeat it ends the others.
func (m *Manager) EndAll(ctx context.Context, tokens []Token) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*m.records.store.Timeout())
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
	return ended, nil
}

// EndByHash is End for a session that is known by its hash alone.
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
	m.records.forget(ctx, r.OperatorID, hash)
	return r.session(hash), nil
}
