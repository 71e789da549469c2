package session

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/store"
)

const (
	// arrivalKind is the kind of key under which a browser's landings meet.
	arrivalKind = "arrival"

	// meetFor is longer than two landings that began at once are apart at their end.
	meetFor = time.Minute
)

// StartMeeting is Start for a browser that may be landing in another tab at the same time, known by the hashes of its
// arrival cookies. Two tabs that are opened at once bring no session yet: without this each would begin one, and the
// browser would keep the cookie of the later and lose what the earlier was for. Whoever begins a session leaves its sealed
// token under each of the browser's arrivals, in the same pipeline; whoever comes second finds it there, and it is returned
// with what StartMeeting has begun. Of two tabs' arrivals at least one is known to both: the later hop's browser had the
// earlier's cookie.
//
// That a meeting could not be found out is no failure.
func (m *Manager) StartMeeting(ctx context.Context, grant operator.Grant, code string, browsers []string) (Token, Session, []Token, error) {
	meeting := &meeting{manager: m, browsers: browsers}
	token, s, err := m.start(ctx, grant, code, meeting)
	if err != nil {
		return "", Session{}, nil, err
	}
	return token, s, meeting.found(), nil
}

// meeting is where the landings of one browser meet.
type meeting struct {
	manager  *Manager
	browsers []string
	swaps    []store.SwapCmd
}

// meetingKey is how a meeting travels through scs, which hands nothing but its context on to its store.
type meetingKey struct{}

func meetingIn(ctx context.Context) *meeting {
	meeting, _ := ctx.Value(meetingKey{}).(*meeting)
	return meeting
}

// leave has the token left under each arrival where none is yet.
func (t *meeting) leave(ctx context.Context, token Token) {
	for _, b := range t.browsers {
		sealed := t.manager.sealer.Seal(SealToken, b, []byte(token))
		key := t.manager.records.store.Key(arrivalKind, b)
		t.swaps = append(t.swaps, store.NewSwap(ctx, key, nil, []byte(sealed), meetFor))
	}
}

// commands are what the meeting asks of Redis.
func (t *meeting) commands() []redis.Cmder {
	if t == nil {
		return nil
	}
	var cmds []redis.Cmder
	for _, swap := range t.swaps {
		cmds = append(cmds, swap.SliceCmd)
	}
	return cmds
}

// found returns the tokens that others have left.
func (t *meeting) found() []Token {
	var tokens []Token
	for i, b := range t.browsers {
		done, current, err := t.swaps[i].Swapped()
		if err != nil || done {
			continue
		}
		if token, err := t.manager.sealer.Open(SealToken, b, string(current)); err == nil {
			tokens = append(tokens, Token(token))
		}
	}
	return tokens
}
