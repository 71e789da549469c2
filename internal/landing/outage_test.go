package landing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/koubeisim"
)

// TestUnreadableLedgerEntryIsUnavailable: an unreadable entry is not absent, so the code is not sent.
func TestUnreadableLedgerEntryIsUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.koubei.Issue(provider)
	w.must(w.redis.Client.Set(t.Context(), w.key(code), "{", time.Minute).Err())
	w.refused(arrival(code, "one"), store.ErrUnavailable)
	w.wantCalls(code, 0)
}

// TestAClaimThatCannotBeReadIsUnavailable: a landing waits for another one, and cannot read the ledger again.
func TestAClaimThatCannotBeReadIsUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.koubei.Issue(provider)
	w.claimedBy(code, "another", time.Minute)
	w.tap.failAlone("get")
	w.refused(arrival(code, "one"), store.ErrUnavailable)
	w.wantCalls(code, 0)
}

// TestALandingNeedsToKnowWhoIsSignedIn: otherwise it would replace another operator without a question.
func TestALandingNeedsToKnowWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := signedIn(arrival(w.koubei.Issue(provider), "one"), w.land(arrival(w.koubei.Issue(merchant), "two"), landing.Landed).Token)
	w.tap.fail("", 1)
	w.refused(a, store.ErrUnavailable)
	w.wantCalls(a.Code, 0)
}

// TestASignOutDuringTheExchange: the landing then starts a new session.
func TestASignOutDuringTheExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed).Token
	w.koubei.Next(koubeisim.Hold)
	done := w.background(w.replica, signedIn(arrival(w.koubei.Issue(second), "two"), token))
	w.awaitHeld(1)
	w.signOut(token)
	w.koubei.Release()
	if out := <-done; out.err != nil || out.Result != landing.Landed || out.Token == token {
		t.Errorf("got %q, %v, the old session: %t; want a new session", out.Result, out.err, out.Token == token)
	}
}

// TestRefusalIsRetriedUntilRedisIsBack: the verdict is stored, and the code is not sent again.
func TestRefusalIsRetriedUntilRedisIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.koubei.Next(koubeisim.Hold)
	code := "A-code-that-Koubei-never-issued"
	done := w.background(w.replica, arrival(code, "one"))
	w.awaitHeld(1)
	w.tap.cut()
	w.koubei.Release()
	if out := <-done; !errors.Is(out.err, alipay.ErrCodeNotExist) {
		t.Fatalf("got %q, %v, want the gateway's refusal", out.Result, out.err)
	}
	w.tap.with(nil)
	<-w.RetriesDone()
	w.wantLogged("code refused, ledger record pending")
	w.wantState(code, "refused")
	w.refused(arrival(code, "one"), alipay.ErrCodeNotExist)
	w.wantCalls(code, 1)
}

// TestGrantIsStoredWhenRedisIsBack: the browser has lost its pending grant, and lands all the same, without a second call.
func TestGrantIsStoredWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.land(arrival(w.koubei.Issue(provider), "two"), landing.Landed).Token
	for _, row := range []struct {
		name    string
		code    string
		browser string
		tokens  []session.Token
	}{
		{"a new browser", w.koubei.Issue(provider), "one", nil},
		{"a browser with a session of the operator", w.koubei.Issue(second), "two", []session.Token{token}},
	} {
		w.koubei.Next(koubeisim.SpendThenHold)
		a := signedIn(arrival(row.code, row.browser), row.tokens...)
		done := w.background(w.replica, a)
		w.awaitHeld(1)
		w.tap.cut()
		w.koubei.Release()
		if out := <-done; !errors.Is(out.err, store.ErrUnavailable) {
			t.Fatalf("%s: got %q, %v, want unavailable", row.name, out.Result, out.err)
		}
		w.tap.fail("", 1, 2)
		<-w.RetriesDone()
		w.wantState(row.code, "held")
		w.refused(arrival(row.code, "thief"), landing.ErrCodeUsed)
		w.land(a, landing.Landed)
		w.wantCalls(row.code, 1)
	}
}

// TestSignedOutStaysSignedOutThoughARetryIsLate: a replica's write of the session succeeds, and it loses Redis before the
// reply. The browser finds the session at another replica and signs out. Then the first replica reaches Redis again.
func TestSignedOutStaysSignedOutThoughARetryIsLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late := w.open()
	a := arrival(w.koubei.Issue(provider), "one")
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(late, a)
	w.awaitHeld(1)
	late.tap.loseReply(func(string) bool { return true }) // the first write since the exchange is that of the session
	w.koubei.Release()
	if out := <-done; !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	w.signOut(w.land(a, landing.Replayed).Token)
	late.tap.with(nil)
	<-late.RetriesDone()
	w.refused(a, landing.ErrCodeUsed)
	w.wantCalls(a.Code, 1)
}

// TestAReplayLandsOnlyWithItsLedgerEntry: a replica adds the partner to the session of the browser's other tab, and loses Redis
// before the reply. Until the code is settled, the browser gets no session, because that replica will store the grant.
func TestAReplayLandsOnlyWithItsLedgerEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.redis = 10 * time.Second }) // it waits for the other replica
	late := w.open()
	a := arrival(w.koubei.Issue(second), "one")
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(late, a)
	w.awaitHeld(1)
	token := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed).Token
	// The landing has started a session of its own, which also writes the arrival, and now joins the other tab's.
	late.tap.loseReply(func(names string) bool {
		return strings.Contains(names, "eval:session") && !strings.Contains(names, "eval:arrival")
	})
	w.koubei.Release()
	if out := <-done; !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	a = signedIn(a, token)
	for _, name := range []string{"get", "eval:code"} {
		var session atomic.Bool // the read of the session comes first
		w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
			if session.Swap(true) && names == name {
				return errCut
			}
			return send(ctx)
		})
		w.refused(a, store.ErrUnavailable)
	}
	w.tap.before("eval:code", func() { // between its read and its write, the other replica stores the grant
		late.tap.with(nil)
		<-late.RetriesDone()
		w.wantState(a.Code, "held")
	})
	w.land(a, landing.Replayed)
	w.wantState(a.Code, "landed")
	w.signOut(token)
	w.refused(a, landing.ErrCodeUsed)
	w.wantCalls(a.Code, 1)
}

// TestAHeldGrantLandsOnlyWithItsLedgerEntry: otherwise the ledger would give it to the browser again after a sign-out.
func TestAHeldGrantLandsOnlyWithItsLedgerEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	a := arrival(w.koubei.Issue(provider), "one")
	asked := w.land(signedIn(a, current), landing.Asked)
	w.tap.fail("eval:code")
	_, err := w.Decide(t.Context(), landing.Decision{
		Landing: asked.Question.Landing, Sessions: asked.Question.Sessions, Yes: true, Arrival: signedIn(a, current),
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the answer: got %v, want unavailable", err)
	}
	w.refused(a, store.ErrUnavailable)
	w.tap.with(nil)
	out, err := w.Land(t.Context(), a)
	w.must(err)
	w.signOut(out.Token)
	w.refused(a, landing.ErrCodeUsed)
	<-w.RetriesDone()
	w.refused(a, landing.ErrCodeUsed)
	if live, err := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 0 {
		t.Errorf("got %d sessions, %v, want none", len(live), err)
	}
}

// TestTwoAnswersMakeOneSession: the user answers twice. The second answer joins the session of the first, which has not
// settled the code yet.
func TestTwoAnswersMakeOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.open()
	a := arrival(w.koubei.Issue(provider), "one")
	a.Known = []string{merchant.OperatorID}
	asked := w.land(a, landing.Asked)
	yes := landing.Decision{Landing: asked.Question.Landing, Yes: true, Arrival: a}
	wrote, settle := make(chan struct{}), make(chan struct{})
	other.tap.before("eval:code", func() { close(wrote); <-settle })
	done := make(chan ended, 1)
	go func() {
		out, err := other.Decide(context.Background(), yes)
		done <- ended{out, err}
	}()
	<-wrote
	second, err := w.Decide(t.Context(), yes)
	w.must(err)
	close(settle)
	if first := <-done; first.err != nil || first.Token != second.Token {
		t.Errorf("the first answer: got %q, %v, want the same session", first.Result, first.err)
	}
	if n := w.started.Load(); n != 1 {
		t.Errorf("got %d sessions started, want 1", n)
	}
	_, err = w.sessions.Find(t.Context(), second.Token)
	w.must(err)
}

// TestNoQuestionWhileTheOwnSessionLives: the landing must end the session that it has started before it may ask. If it cannot,
// the browser's next request asks, and a "yes" leads to that session.
func TestNoQuestionWhileTheOwnSessionLives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.open()
	a := arrival(w.koubei.Issue(provider), "one", "two")
	w.koubei.Next(koubeisim.SpendThenHold)
	first := w.background(owner, a)
	w.awaitHeld(1)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	owner.tap.failAlone("eval:session")
	w.koubei.Release()
	out := <-first
	if !errors.Is(out.err, store.ErrUnavailable) || out.Pending == "" {
		t.Fatalf("got %q, %v, want unavailable with the grant", out.Result, out.err)
	}
	owner.tap.cut()
	a = signedIn(a, current)
	a.Pending = []string{out.Pending}
	w.decide(w.land(a, landing.Asked), a, true, landing.Landed)
	if live, err := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 1 {
		t.Errorf("got %d sessions, %v, want one", len(live), err)
	}
	w.wantCalls(a.Code, 1)
}

// TestARetryEndsNoSessionOfALandedCode: a held grant lands, the reply of its last write is lost, and the retry fails at first.
func TestARetryEndsNoSessionOfALandedCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Known = []string{merchant.OperatorID}
	asked := w.land(a, landing.Asked)
	var writes atomic.Int32
	w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names != "eval:code" {
			return send(ctx)
		}
		switch writes.Add(1) {
		case 1:
			_ = send(ctx)
			return errCut
		case 2:
			return errCut
		}
		return send(ctx)
	})
	yes := landing.Decision{Landing: asked.Question.Landing, Yes: true, Arrival: a}
	if out, err := w.Decide(t.Context(), yes); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, err)
	}
	<-w.RetriesDone()
	w.decide(asked, a, true, landing.Replayed)
}

// TestTheOwnerKnowsBetter: a landing waits for another one of the same code and finds its session. The other one ends that
// session, because it must ask first. The question stays.
func TestTheOwnerKnowsBetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.asking()
	w.tap.before("eval:code", func() {
		owner.proceed()
		if out := <-owner.done; out.err != nil || out.Result != landing.Asked {
			t.Errorf("the owner: got %q, %v, want asked", out.Result, out.err)
		}
	})
	w.land(owner.Arrival, landing.Asked)
	w.wantState(owner.Code, "held")
	w.wantCalls(owner.Code, 1)
}

// TestAReplaySettlesACodeWhoseLeaseHasEnded: afterwards the link does not sign in again, and the code is not sent again.
func TestAReplaySettlesACodeWhoseLeaseHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late := w.open()
	token := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(second), "one"), token)
	late.tap.loseReply(func(names string) bool { return strings.Contains(names, "eval:session") })
	if out := <-w.background(late, a); !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	w.wantState(a.Code, "open")
	w.must(w.redis.Client.Del(t.Context(), w.key(a.Code)).Err()) // the lease ends
	w.land(a, landing.Replayed)
	w.signOut(token)
	late.tap.with(nil)
	<-late.RetriesDone()
	w.refused(a, landing.ErrCodeUsed)
	w.wantCalls(a.Code, 1)
}

// TestAGrantIsHeldAgainAfterItsSessionEnded: another request finds the session of a landing and settles the code with it. The
// landing ends the session to ask, and cannot write the question.
func TestAGrantIsHeldAgainAfterItsSessionEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.asking()
	a := owner.Arrival
	w.land(a, landing.Replayed)
	owner.tap.fail("eval:code")
	owner.proceed()
	out := <-owner.done
	if !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	owner.tap.fail("eval:code", 2, 3) // usually, a retry finds the session in the ledger and cannot replace it; another retry counts, too
	<-owner.RetriesDone()
	w.wantState(a.Code, "held")
	a.Pending = []string{out.Pending}
	w.decide(w.land(a, landing.Asked), a, true, landing.Landed)
	w.wantCalls(a.Code, 1)
}

// TestAReplayLeavesTheQuestion: the browser has got the session of a landing that ends it while the browser replays, and asks.
func TestAReplayLeavesTheQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, other := w.asking(), w.open()
	a := owner.Arrival
	token := w.land(a, landing.Replayed).Token
	var asked ended
	gets := 0
	other.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names == "get" {
			if gets++; gets == 2 {
				owner.proceed()
				asked = <-owner.done
			}
		}
		return send(ctx)
	})
	if out, err := other.Land(t.Context(), signedIn(a, token)); !errors.Is(err, landing.ErrCodeUsed) {
		t.Errorf("the replay: got %q, %v, want used", out.Result, err)
	}
	w.wantState(a.Code, "held")
	w.decide(asked.Outcome, a, true, landing.Landed)
}

// TestARetryLeavesTheSessionToAnotherClaim: Redis has lost the held grant, and the browser's next landing has claimed the code.
func TestARetryLeavesTheSessionToAnotherClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Known = []string{merchant.OperatorID}
	asked := w.land(a, landing.Asked)
	w.tap.fail("eval:code")
	yes := landing.Decision{Landing: asked.Question.Landing, Yes: true, Arrival: a}
	if out, err := w.Decide(t.Context(), yes); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, err)
	}
	w.claimedBy(a.Code, "another", 5*time.Second) // a failover has lost the held grant
	w.tap.with(nil)
	<-w.RetriesDone()
	l, err := w.sessions.List(t.Context(), provider.OperatorID)
	if len(l) != 1 {
		t.Errorf("got %d sessions, %v, want the one that has the grant", len(l), err)
	}
	w.land(a, landing.Replayed)
	w.wantCalls(a.Code, 1)
}

// TestReloadsStartNoMoreRetries: while a held grant cannot be settled, one retry goes on in the background. When Redis is back,
// each retry writes once.
func TestReloadsStartNoMoreRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Known = []string{merchant.OperatorID}
	w.land(a, landing.Asked)
	a.Known = nil
	w.tap.failAlone("eval:code") // the claim has other commands beside it
	for range 20 {
		w.refused(a, store.ErrUnavailable)
	}
	retries := w.tap.count("eval:code")
	<-w.RetriesDone()
	if n := retries.Load(); n != 1 {
		t.Errorf("got %d retries, want 1", n)
	}
}

// TestAReplayNamesAMissingSealKey: the log says why the link does not work any more.
func TestAReplayNamesAMissingSealKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	w.land(a, landing.Landed)
	other := w.open(func(s *settings) { s.keys = [][]byte{sealKey('b')} })
	if _, err := other.Land(t.Context(), a); !errors.Is(err, landing.ErrCodeUsed) || !errors.Is(err, session.ErrSeal) {
		t.Errorf("got %v, want used, because of the seal", err)
	}
}

// TestRedisLostBeforeAReplay: Redis fails between reading the ledger and reading the session.
func TestRedisLostBeforeAReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.koubei.Issue(provider)
	first := w.land(arrival(code, "one"), landing.Landed)
	for _, a := range []landing.Arrival{arrival(code, "one"), signedIn(arrival(code, "one"), testToken)} {
		gets := 0
		w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
			if names == "get" {
				gets++
				if gets > len(a.Tokens) {
					return errCut
				}
			}
			return send(ctx)
		})
		w.refused(a, store.ErrUnavailable)
		w.tap.with(nil)
	}
	if again := w.land(arrival(code, "one"), landing.Replayed); again.Token != first.Token {
		t.Error("got another session")
	}
}

// TestAReplayNeedsToKnowWhoIsSignedIn: the browser made the code's session, and another operator is signed in since. If that
// session cannot be read, the link must not sign the first operator in.
func TestAReplayNeedsToKnowWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	w.land(a, landing.Landed)
	a = signedIn(a, w.land(arrival(w.koubei.Issue(merchant), "two"), landing.Landed).Token)
	w.refused(a, landing.ErrCodeUsed)
	var reads atomic.Int32
	w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names == "get" && reads.Add(1) == 2 { // the first one is that of the request
			return errCut
		}
		return send(ctx)
	})
	w.refused(a, store.ErrUnavailable)
}

// testToken is a well-formed token without a session.
const testToken = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// TestALeaseCoversAWholeLanding: the claim, the exchange, and five commands after it.
func TestALeaseCoversAWholeLanding(t *testing.T) {
	t.Parallel()
	if lease, least := landing.Lease(15*time.Second, 2*time.Second), 15*time.Second+6*2*time.Second; lease <= least {
		t.Errorf("got %s, want more than %s", lease, least)
	}
}

// TestAnExchangeLeavesTimeToSave: an exchange ends early enough to save its result within the lease.
func TestAnExchangeLeavesTimeToSave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.timeout, s.exchange = 100*time.Millisecond, 30*time.Second })
	for range 100 {
		w.koubei.Next(koubeisim.Busy)
	}
	code := w.koubei.Issue(provider)
	began := time.Now()
	done := w.background(w.replica, arrival(code, "one"))
	out := <-done
	if !errors.Is(out.err, alipay.ErrUnavailable) {
		t.Fatalf("got %q, %v, want the gateway unavailable", out.Result, out.err)
	}
	if took, most := time.Since(began), w.lease-2*time.Second; took > most {
		t.Errorf("the exchange took %s, want at most %s: the lease is %s", took, most, w.lease)
	}
	w.wantState(code, "") // released within the lease
}

// TestClaimNeedsReplicas: a claim that too few replicas have does not count, and the code is not sent.
func TestClaimNeedsReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.replicas = 1 })
	code := w.koubei.Issue(provider)
	w.refused(arrival(code, "one"), store.ErrUnavailable)
	w.wantCalls(code, 0)
	if strings.Contains(fmt.Sprint(w.redis.Client.Keys(t.Context(), "*").Val()), "session") {
		t.Error("a session was written")
	}
}
