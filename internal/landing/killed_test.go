package landing_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"koubei-landing/internal/landing"
	"koubei-landing/koubeisim"
)

// TestKilledReplicaLosesNoCodeWhileTabsJoin lets two tabs of one browser land concurrently. It kills the second tab's
// replica while that joins the first tab's session, after it has ended its own session.
func TestKilledReplicaLosesNoCodeWhileTabsJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := w.open()
	code := w.koubei.Issue(second)
	w.koubei.Next(koubeisim.Hold)
	done := w.background(victim, arrival(code, "one"))
	w.awaitHeld(1)
	first := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed)
	killed := false
	victim.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if killed {
			return errCut
		}
		killed = names == "eval:session" // the end of the tab's own session
		return send(ctx)
	})
	w.koubei.Release()
	<-done // the browser gets no response
	out := w.land(arrival(code, "one"), landing.Replayed)
	if _, ok := out.Session.Partner(provider.PartnerID); !ok || out.Token != first.Token || out.Entry.PartnerID != second.PartnerID {
		t.Errorf("the next try is not the first tab's session with both partners: the same token: %t", out.Token == first.Token)
	}
	w.wantCalls(code, 1)
}

// TestAReplaySettlesTheCodeOfAKilledReplica: the replica is killed after it has added the partner to the browser's session. The
// browser tries again and signs out. The code is not sent a second time.
func TestAReplaySettlesTheCodeOfAKilledReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := w.open()
	token := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(second), "one"), token)
	var killed atomic.Bool
	victim.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if killed.Load() {
			return errCut
		}
		killed.Store(strings.Contains(names, "eval:session"))
		return send(ctx)
	})
	<-w.background(victim, a)                                    // the browser gets no response
	w.must(w.redis.Client.Del(t.Context(), w.key(a.Code)).Err()) // the lease ends
	w.land(a, landing.Replayed)
	w.signOut(token)
	w.refused(a, landing.ErrCodeUsed)
	w.wantCalls(a.Code, 1)
}
