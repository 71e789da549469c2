package session

import (
	"context"
	"errors"
)

// ErrAmbiguous says that one request carries live sessions of different operators, as when a neighbour on the domain
// has tossed a cookie in: neither is believed.
var ErrAmbiguous = errors.New("session: several operators in one request")

// Held is a live session with the token that opens it.
type Held struct {
	Token   Token
	Session Session
}

// Live returns the sessions that the tokens open. It fails with store.ErrUnavailable, and never because there are none.
func (m *Manager) Live(ctx context.Context, tokens []Token) ([]Held, error) {
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

// Choose returns the one session that a request speaks for: of several of the same operator, the one that landed last.
// It fails with ErrNone, ErrAmbiguous or store.ErrUnavailable.
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
