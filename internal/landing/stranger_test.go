package landing_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/koubeisim"
)

// killed lands, and removes the ledger's entry: the replica was killed before it wrote the outcome, and the lease has ended.
func (w *world) killed(a landing.Arrival) session.Token {
	w.t.Helper()
	token := w.land(a, landing.Landed).Token
	w.must(w.redis.Client.Del(w.t.Context(), w.key(a.Code)).Err())
	return token
}

// TestAStrangersClaimGivesNoRight: a stranger claims the code of a killed replica. Then the owner's reload settles the code.
func TestAStrangersClaimGivesNoRight(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		again func(a landing.Arrival, token session.Token) landing.Arrival
	}{
		{"found under the arrival", func(a landing.Arrival, _ session.Token) landing.Arrival { return a }},
		{"by the session's cookie", func(a landing.Arrival, token session.Token) landing.Arrival { return signedIn(a, token) }},
		{"by the session's cookie, without arrivals", func(a landing.Arrival, token session.Token) landing.Arrival {
			return signedIn(arrival(a.Code), token)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := arrival(w.koubei.Issue(provider), "one")
			token := w.killed(a)
			w.koubei.Next(koubeisim.Hold)
			stranger := w.background(w.open(), arrival(a.Code, "stranger"))
			w.awaitHeld(1)
			w.land(row.again(a, token), landing.Replayed)
			w.koubei.Release()
			<-stranger
			w.refused(arrival(a.Code, "stranger"), landing.ErrCodeUsed)
			w.land(signedIn(a, token), landing.Replayed)
		})
	}
}

// TestAStrangersRefusalHidesNoSession: a stranger's landing of a killed replica's code was refused. The owner has the session.
func TestAStrangersRefusalHidesNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	token := w.killed(a)
	if out, err := w.Land(t.Context(), arrival(a.Code, "stranger")); err == nil {
		t.Fatalf("the stranger got %q", out.Result)
	}
	w.wantState(a.Code, "refused")
	if out := w.land(a, landing.Replayed); out.Token != token {
		t.Error("got another session than the code's")
	}
	w.wantState(a.Code, "landed")
	w.refused(arrival(a.Code, "stranger"), landing.ErrCodeUsed)
}

// TestAGrantOutlivesALaterRefusal: Redis is away for longer than the lease. Another landing claims the code before the replica
// that has exchanged it can store the grant.
func TestAGrantOutlivesALaterRefusal(t *testing.T) {
	t.Parallel()
	for _, browser := range []string{"one", "stranger"} {
		t.Run(browser, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			other := w.open()
			a := arrival(w.koubei.Issue(provider), "one")
			w.koubei.Next(koubeisim.SpendThenHold)
			done := w.background(w.replica, a)
			w.awaitHeld(1)
			w.tap.cut()
			w.koubei.Release()
			<-done // the browser has left without the pending grant
			w.must(w.redis.Client.Del(t.Context(), w.key(a.Code)).Err())
			if out, err := other.Land(t.Context(), arrival(a.Code, browser)); err == nil {
				t.Fatalf("the code was exchanged twice: got %q", out.Result)
			}
			w.wantState(a.Code, "refused")
			w.tap.with(nil)
			<-w.RetriesDone()
			w.wantState(a.Code, "held")
			w.land(a, landing.Landed)
			w.refused(arrival(a.Code, "stranger"), landing.ErrCodeUsed)
		})
	}
}

// TestAQuestionOutlivesAnotherClaim: the lease has ended, and a stranger has claimed the code, when its owner must ask.
func TestAQuestionOutlivesAnotherClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(provider), "one"), current)
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(w.replica, a)
	w.awaitHeld(1)
	w.claimedBy(a.Code, "another replica", time.Second, "stranger")
	w.koubei.Release()
	if out := <-done; !errors.Is(out.err, store.ErrUnavailable) || out.Pending == "" {
		t.Errorf("got %q, %v, want unavailable with the grant", out.Result, out.err)
	}
	<-w.RetriesDone() // when the stranger's lease has ended
	w.land(a, landing.Asked)
	w.wantCalls(a.Code, 1)
}

// TestAGrantLandsOnce: the ledger loses the claim of a landing with a pending grant, and the first replica stores the grant.
func TestAGrantLandsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.open()
	a := arrival(w.koubei.Issue(provider), "one")
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(first, a)
	w.awaitHeld(1)
	first.tap.cut()
	w.koubei.Release()
	a.Pending = []string{(<-done).Pending}
	var lost atomic.Bool
	w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names == "eval:code" && !lost.Swap(true) { // the outcome
			w.must(w.redis.Client.Del(ctx, w.key(a.Code)).Err()) // a failover has lost the claim
			first.tap.with(nil)
			<-first.RetriesDone()
			w.wantState(a.Code, "held")
		}
		return send(context.WithoutCancel(ctx))
	})
	w.signOut(w.land(a, landing.Landed).Token)
	a.Pending = nil
	w.refused(a, landing.ErrCodeUsed)
}
