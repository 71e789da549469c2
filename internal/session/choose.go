package session

import (
	"context"
	"errors"
)

// ErrAmbiguous says that one request carries live sessions of different operators, for example because another host of the
// domain has set a cookie. The service trusts neither.
var ErrAmbiguous = errors.New("session: several operators in one request")

// Held is a live session and its token.
type Held struct {
	Token   Token
	Session Session
}

// Live returns the sessions of the tokens. It fails with store.ErrUnavailable. It does not fail if there are none.
func (m *Manager) Live(ctx context.Context, tokens []Token) ([]Held, error) {
	if len(tokens) > 1 {
		var err error
		if tokens, err = m.known(ctx, tokens); err != nil {
			return nil, err
		}
	}
	var live []Held
	for _, token := range tokens {
		s, err := m.Find(ctx, token)
		if errors.Is(err, ErrNone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		live = append(live, Held{token, s})
	}
	return live, nil
}

// known returns the tokens for which Redis holds a session, in one round trip. A browser usually has one session, or two
// after a change of settings. But another host of the domain may have set hundreds of cookies of that name. It fails with
// store.ErrUnavailable.
func (m *Manager) known(ctx context.Context, tokens []Token) ([]Token, error) {
	keys := make([]string, len(tokens))
	for i, token := range tokens {
		keys[i] = m.records.key(token.Hash())
	}
	values, err := m.records.store.GetAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	var known []Token
	for i, token := range tokens {
		if values[i] != nil {
			known = append(known, token)
		}
	}
	return known, nil
}

// Choose returns the session of a request. If several belong to the same operator, it returns the one that landed last. It
// fails with ErrNone, ErrAmbiguous or store.ErrUnavailable.
func (m *Manager) Choose(ctx context.Context, tokens []Token) (Session, error) {
	if len(tokens) == 1 {
		return m.Find(ctx, tokens[0])
	}
	live, err := m.Live(ctx, tokens)
	if err != nil {
		return Session{}, err
	}
	if len(live) == 0 {
		return Session{}, ErrNone
	}
	chosen := live[0].Session
	for _, h := range live[1:] {
		if h.Session.OperatorID != chosen.OperatorID {
			return Session{}, ErrAmbiguous
		}
		if h.Session.Newest().AuthenticatedAt.After(chosen.Newest().AuthenticatedAt) {
			chosen = h.Session
		}
	}
	return chosen, nil
}
