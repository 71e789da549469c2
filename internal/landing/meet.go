package landing

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

const (
	// arrivalKind is the kind of key under which a browser's landings meet.
	arrivalKind = "arrival"

	// meetFor is longer than two landings that began at once are apart at their end.
	meetFor = time.Minute
)

// meet returns the session that another landing of the same browser has begun meanwhile. Two tabs that are opened at once
// bring no session yet: without this each would begin one, and the browser would keep the cookie of the later and lose
// what the earlier was for. Whoever has a session leaves its sealed token under each of the browser's arrivals; whoever
// comes second finds it there. Of two tabs' arrivals at least one is known to both: the later hop's browser had the
// earlier's cookie.
//
// That it can't be found out costs no landing, and is logged alone.
func (l *Lander) meet(ctx context.Context, v visit, h session.Held) (session.Held, bool) {
	swaps := make([]store.SwapCmd, len(v.browsers))
	cmds := make([]redis.Cmder, len(v.browsers))
	for i, b := range v.browsers {
		sealed := l.sealer.Seal(session.SealToken, b, []byte(h.Token))
		swaps[i] = store.NewSwap(ctx, l.ledger.store.Key(arrivalKind, b), nil, []byte(sealed), meetFor)
		cmds[i] = swaps[i].SliceCmd
	}
	if len(cmds) == 0 {
		return session.Held{}, false
	}
	if err := l.ledger.store.Do(ctx, cmds...); err != nil {
		l.log.WarnContext(ctx, "landed without looking for another tab's landing", "error", err)
		return session.Held{}, false
	}
	for i, b := range v.browsers {
		if other, ok := l.met(ctx, v, b, swaps[i]); ok {
			return other, true
		}
	}
	return session.Held{}, false
}

// met returns the live session that stands under an arrival, unless this browser has shown it itself.
func (l *Lander) met(ctx context.Context, v visit, browser string, swap store.SwapCmd) (session.Held, bool) {
	done, current, err := swap.Swapped()
	if err != nil || done {
		return session.Held{}, false
	}
	token, err := l.sealer.Open(session.SealToken, browser, string(current))
	if err != nil {
		return session.Held{}, false
	}
	s, err := l.sessions.Find(ctx, session.Token(token))
	if err != nil {
		if !errors.Is(err, session.ErrNone) {
			l.log.WarnContext(ctx, "landed without another tab's session", "error", err)
		}
		return session.Held{}, false
	}
	known := slices.ContainsFunc(v.live, func(h session.Held) bool { return h.Session.Hash() == s.Hash() })
	return session.Held{Token: session.Token(token), Session: s}, !known
}
