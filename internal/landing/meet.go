package landing

import (
	"context"
	"errors"
	"slices"

	"koubei-landing/internal/session"
)

// meet returns the live session of another landing of this browser that it has not shown itself: see
// [session.Manager.StartMeeting]. That it can't be found out costs no landing, and is logged alone.
func (l *Lander) meet(ctx context.Context, v visit, met []session.Token) (session.Held, bool) {
	for _, token := range met {
		s, err := l.sessions.Find(ctx, token)
		if err != nil {
			if !errors.Is(err, session.ErrNone) {
				l.log.WarnContext(ctx, "landed without another tab's session", "error", err)
			}
			continue
		}
		if !slices.ContainsFunc(v.live, func(h session.Held) bool { return h.Session.Hash() == s.Hash() }) {
			return session.Held{Token: token, Session: s}, true
		}
	}
	return session.Held{}, false
}
