package landing_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestRevokedGrantIsNotJoinedAfterLostReply revokes the operator between exchange and save. The save succeeds and its reply
// is lost. The browser's next landing must not join the session that is left.
func TestRevokedGrantIsNotJoinedAfterLostReply(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		alive bool // the replica that lost the reply continues, so it can undo its write
	}{{"the replica was killed", false}, {"the replica goes on", true}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			victim := w.open()
			code := w.koubei.Issue(provider)
			w.koubei.Next(koubeisim.Hold)
			done := w.background(victim, arrival(code, "one"))
			w.awaitHeld(1)
			_, err := w.sessions.Revoke(t.Context(), provider.OperatorID)
			w.must(err)
			lost := false
			victim.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
				if strings.Contains(names, "eval:operator") {
					err := send(ctx)
					lost = true
					return errors.Join(err, errCut)
				}
				if lost && !row.alive {
					return errCut
				}
				return send(ctx)
			})
			w.koubei.Release()
			out := <-done
			if !errors.Is(out.err, store.ErrUnavailable) || !lost {
				t.Fatalf("got %q, %v, want redis unavailable", out.Result, out.err)
			}
			if row.alive {
				testworld.Eventually(t, 30*time.Second, "what was written is taken back", func() error {
					if keys := w.redis.Client.Keys(t.Context(), "k:session:*").Val(); len(keys) > 0 {
						return errors.New("there is a session")
					}
					return nil
				})
			}
			other := provider
			other.PartnerID = "2088102150477999"
			again := w.land(arrival(w.koubei.Issue(other), "one"), landing.Landed)
			if _, ok := again.Session.Partner(provider.PartnerID); ok {
				t.Error("the session holds the revoked grant's partner")
			}
			if live, _ := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 1 {
				t.Errorf("got %d sessions, want the new one alone", len(live))
			}
			pending := arrival(code, "one")
			pending.Pending = []string{out.Pending}
			w.refused(pending, landing.ErrCodeUsed)
		})
	}
}

// TestARevokedGrantLeavesItsSession: a revocation is written between the read and the write of a session that a grant joins, and
// cannot end the session. The write succeeds and its reply is lost.
func TestARevokedGrantLeavesItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	joining, revoking := w.open(), w.open()
	token := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed).Token
	var joined atomic.Bool
	revoking.tap.fail("zrange") // the sessions of the operator
	joining.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if !strings.Contains(names, "eval:session") || joined.Swap(true) {
			return send(ctx)
		}
		if n, err := revoking.sessions.Revoke(ctx, provider.OperatorID); err == nil {
			t.Errorf("revoked %d sessions, want an error", n)
		}
		return errors.Join(send(ctx), errCut)
	})
	out := <-w.background(joining, signedIn(arrival(w.koubei.Issue(second), "one"), token))
	if !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	<-joining.RetriesDone()
	if keys := w.redis.Client.Keys(t.Context(), "k:session:*").Val(); len(keys) > 0 {
		t.Errorf("got %d sessions left, want none", len(keys))
	}
}

// TestRevocationsAreOrderedByRedis: the replicas' clocks do not matter.
func TestRevocationsAreOrderedByRedis(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{
		"the same clock": 0, "the landing's is 5 s ahead": 5 * time.Second, "5 s behind": -5 * time.Second,
		"5 minutes ahead": 5 * time.Minute, "5 minutes behind": -5 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			skewed := w.open(func(s *settings) { s.now = func() time.Time { return w.clock.Now().Add(ahead) } })

			w.koubei.Next(koubeisim.Hold)
			before := w.background(skewed, arrival(w.koubei.Issue(provider), "one"))
			w.awaitHeld(1)
			_, err := w.sessions.Revoke(t.Context(), provider.OperatorID)
			w.must(err)
			w.koubei.Release()
			if out := <-before; !errors.Is(out.err, landing.ErrCodeUsed) {
				t.Errorf("exchanged, revoked, saved: got %q, %v, want used", out.Result, out.err)
			}

			w.replica = skewed
			after := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed)
			if _, err := w.sessions.Find(t.Context(), after.Token); err != nil {
				t.Errorf("revoked, then entered again: %v", err)
			}
			other := provider
			other.PartnerID = "2088102150477999"
			w.land(signedIn(arrival(w.koubei.Issue(other), "one"), after.Token), landing.Landed)
		})
	}
}

// TestARevokedGrantThatCannotBeDiscarded: the landing is not over, because the ledger has no outcome.
func TestARevokedGrantThatCannotBeDiscarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.open()
	w.koubei.Next(koubeisim.Hold)
	a := arrival(w.koubei.Issue(provider), "one")
	done := w.background(other, a)
	w.awaitHeld(1)
	_, err := w.sessions.Revoke(t.Context(), provider.OperatorID)
	w.must(err)
	other.tap.fail("eval:code")
	w.koubei.Release()
	if out := <-done; !errors.Is(out.err, store.ErrUnavailable) {
		t.Errorf("got %q, %v, want unavailable", out.Result, out.err)
	}
	other.tap.with(nil)
	<-other.RetriesDone()
	w.refused(a, landing.ErrCodeUsed)
	w.wantCalls(a.Code, 1)
}

// TestAReplicaKilledBetweenSessionAndLedger leaves the session under the browser's arrival. The next landing finds it
// there.
func TestAReplicaKilledBetweenSessionAndLedger(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		left func(w *world, code string)
	}{
		{"and its lease has ended", func(w *world, code string) { w.must(w.redis.Client.Del(w.t.Context(), w.key(code)).Err()) }},
		{"and its lease goes on", func(w *world, code string) { w.claimedBy(code, "a replica that was killed", time.Minute, "one") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			code := w.koubei.Issue(provider)
			first := w.land(arrival(code, "one"), landing.Landed)
			row.left(w, code)
			w.tap.failAlone("eval:code")
			w.refused(arrival(code, "one"), store.ErrUnavailable)
			w.tap.with(nil)
			if again := w.land(arrival(code, "one"), landing.Replayed); again.Token != first.Token {
				t.Error("got another session")
			}
			w.wantState(code, "landed")
			w.land(arrival(code, "one"), landing.Replayed)
			w.wantCalls(code, 1)
			row.left(w, code)
			if _, err := w.sessions.Revoke(t.Context(), provider.OperatorID); err != nil {
				t.Fatal(err)
			}
			if out, err := w.open(func(s *settings) { s.timeout = 1500 * time.Millisecond }).Land(t.Context(), arrival(code, "one")); err == nil {
				t.Errorf("after a revocation: got %q, want an error", out.Result)
			}
		})
	}
}

// TestARecoveredSessionReplacesNobody: another operator is signed in, and nobody was asked.
func TestARecoveredSessionReplacesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	w.land(a, landing.Landed)
	w.must(w.redis.Client.Del(t.Context(), w.key(a.Code)).Err()) // the replica was killed, and its lease has ended
	current := w.land(arrival(w.koubei.Issue(merchant), "two"), landing.Landed).Token
	w.refused(signedIn(a, current), landing.ErrCodeUsed)
	if w.ended(current) {
		t.Error("the session of the other operator has ended")
	}
	w.wantCalls(a.Code, 1)
}

// TestYesReplacesASessionWhoseCookieIsNotHereYet: one browser lands as two operators, and the first cookie is lost.
func TestYesReplacesASessionWhoseCookieIsNotHereYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed)
	code := w.koubei.Issue(merchant)
	asked := w.land(arrival(code, "one"), landing.Asked)
	if asked.Question.Current.OperatorID != provider.OperatorID {
		t.Fatalf("got a question about %q", asked.Question.Current.OperatorID)
	}
	b := arrival("", "one")
	yes := w.decide(asked, b, true, landing.Landed)
	if yes.Token == "" || yes.Session.OperatorID != merchant.OperatorID || !w.ended(first.Token) {
		t.Errorf("got a session of %q; the old one ended: %v", yes.Session.OperatorID, w.ended(first.Token))
	}
	if again := w.decide(asked, b, true, landing.Replayed); again.Token != yes.Token {
		t.Error("the same answer again: got another session")
	}
	w.wantCalls(code, 1)
}

// TestARecoveredSessionStaysItsOwners: a landing is slow between session and ledger. It finds that another request of the
// browser has written the ledger for it, and does not end the session that both share.
func TestARecoveredSessionStaysItsOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := w.open()
	saved, goOn := make(chan struct{}), make(chan struct{})
	reached := sync.OnceFunc(func() { close(saved) })
	slow.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names == "eval:code" { // the outcome; the claim has the command of the clock in its pipeline
			reached()
			<-goOn
		}
		return send(context.WithoutCancel(ctx))
	})
	code := w.koubei.Issue(provider)
	first := w.background(slow, arrival(code, "one"))
	<-saved
	recovered := w.land(arrival(code, "one"), landing.Replayed)
	w.wantState(code, "landed")
	close(goOn)
	if out := <-first; out.err != nil || out.Token != recovered.Token {
		t.Errorf("the slow landing: got %q, %v, want the same session", out.Result, out.err)
	}
	if again := w.land(arrival(code, "one"), landing.Replayed); again.Token != recovered.Token {
		t.Error("got another session")
	}
	w.wantCalls(code, 1)
}
