package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
)

// arrivalFor is how long an arrival key exists. It is longer than the time between the ends of two concurrent landings, and
// longer than the lease of a claim, so the key is still there if a replica was killed between session and ledger.
const arrivalFor = time.Minute

// A browser that opens two tabs at the same time has no session cookie yet. Each tab's landing would start its own session,
// and the later cookie would replace the earlier tab's partner. So each landing that starts a session stores the sealed
// token under each of the browser's arrival cookies, in the same pipeline, unless another landing was first. At least one
// arrival is known to both tabs, because the later redirect already carried the earlier tab's cookie.

// storeToken returns one command per arrival that stores the sealed token there, unless another landing's token is there.
func (m *Manager) storeToken(ctx context.Context, token Token, arrivals []string) []store.SwapCmd {
	var swaps []store.SwapCmd
	for _, a := range arrivals {
		sealed := m.sealer.Seal(SealToken, a, []byte(token))
		swaps = append(swaps, store.NewSwap(ctx, m.records.store.Key(ArrivalKind, a), nil, []byte(sealed), arrivalFor))
	}
	return swaps
}

// storedToken is a token that another landing has stored under an arrival.
type storedToken struct {
	token   Token
	arrival string
	sealed  []byte
}

// tokensFound returns the tokens of other landings that storeToken found instead of storing its own. A failed command counts
// as having found none.
func (m *Manager) tokensFound(swaps []store.SwapCmd, arrivals []string) []storedToken {
	var tokens []storedToken
	for i, a := range arrivals {
		done, current, err := swaps[i].Swapped()
		if err != nil || done {
			continue
		}
		if token, err := m.sealer.Open(SealToken, a, string(current)); err == nil {
			tokens = append(tokens, storedToken{Token(token), a, current})
		}
	}
	return tokens
}

// Concurrent returns the live sessions that other landings of the same browser have started. It fails with store.ErrUnavailable.
func (m *Manager) Concurrent(ctx context.Context, s Started) ([]Held, error) {
	live, ended, err := m.liveOf(ctx, s.met)
	for _, stored := range ended {
		m.replace(ctx, stored, []byte(m.sealer.Seal(SealToken, stored.arrival, []byte(s.Token))))
	}
	return live, err
}

// replace replaces a token whose session is gone with another sealed token, or deletes it. Then the browser's next landing
// finds the right session. It ignores errors.
func (m *Manager) replace(ctx context.Context, stored storedToken, sealed []byte) {
	swap := store.NewSwap(ctx, m.records.store.Key(ArrivalKind, stored.arrival), stored.sealed, sealed, arrivalFor)
	_ = m.records.store.Do(ctx, swap.SliceCmd)
}

func commands(swaps []store.SwapCmd) []redis.Cmder {
	var cmds []redis.Cmder
	for _, swap := range swaps {
		cmds = append(cmds, swap.SliceCmd)
	}
	return cmds
}

// Lookup reads the tokens that other landings of a browser have stored under its arrivals.
type Lookup struct {
	manager  *Manager
	arrivals []string
	reads    []*redis.StringCmd
}

// LookUpArrivals returns the reads of the tokens under a browser's arrivals. arrivals are the hashes of its arrival cookies.
func (m *Manager) LookUpArrivals(ctx context.Context, arrivals []string) Lookup {
	l := Lookup{manager: m, arrivals: arrivals}
	for _, a := range arrivals {
		l.reads = append(l.reads, redis.NewStringCmd(ctx, "get", m.records.store.Key(ArrivalKind, a)))
	}
	return l
}

// Commands returns the reads, which package store sends. They are optional: a failed read finds nothing.
func (l Lookup) Commands() []redis.Cmder {
	var cmds []redis.Cmder
	for _, read := range l.reads {
		cmds = append(cmds, read)
	}
	return cmds
}

// Sessions returns the live sessions that the reads have found, without revoked entries. It removes tokens whose sessions
// are gone. It fails with store.ErrUnavailable.
func (l Lookup) Sessions(ctx context.Context) ([]Held, error) {
	var found []storedToken
	for i, a := range l.arrivals {
		sealed := l.reads[i].Val()
		if token, err := l.manager.sealer.Open(SealToken, a, sealed); err == nil {
			found = append(found, storedToken{Token(token), a, []byte(sealed)})
		}
	}
	live, ended, err := l.manager.liveOf(ctx, found)
	for _, stored := range ended {
		l.manager.replace(ctx, stored, nil)
	}
	return live, err
}

// FindArrivals sends a Lookup and returns its sessions. It fails with store.ErrUnavailable.
func (m *Manager) FindArrivals(ctx context.Context, arrivals []string) ([]Held, error) {
	l := m.LookUpArrivals(ctx, arrivals)
	if err := m.records.store.Do(ctx, l.Commands()...); err != nil {
		return nil, err
	}
	return l.Sessions(ctx)
}

// liveOf returns the live sessions of tokens, each once, without revoked entries: a landing whose reply was lost may have
// stored those. It also returns the tokens whose sessions are gone. It fails with store.ErrUnavailable.
func (m *Manager) liveOf(ctx context.Context, tokens []storedToken) (live []Held, ended []storedToken, err error) {
	for _, stored := range tokens {
		if slices.ContainsFunc(live, func(h Held) bool { return h.Token == stored.token }) {
			continue
		}
		r, err := m.unrevoked(ctx, stored.token.Hash())
		switch {
		case err == nil:
			live = append(live, Held{Token: stored.token, Session: r.session(stored.token.Hash())})
		case errors.Is(err, ErrNone):
			ended = append(ended, stored)
		default:
			return nil, nil, err
		}
	}
	return live, ended, nil
}

// unrevoked returns the entries of a stored session that are valid and not revoked. It fails with ErrNone and
// store.ErrUnavailable.
func (m *Manager) unrevoked(ctx context.Context, hash string) (record, error) {
	was, err := m.read(ctx, hash)
	if err != nil {
		return record{}, err
	}
	return m.records.checkRevoked(ctx, was)
}
