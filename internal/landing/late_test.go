package landing_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/store"
	"koubei-landing/koubeisim"
)

// unwritten is a "yes" whose session was written, and whose replica then lost Redis: the ledger does not know the outcome.
type unwritten struct {
	*replica
	landing.Arrival
	asked landing.Outcome
}

func (w *world) unwritten() unwritten {
	w.t.Helper()
	late := w.open()
	a := arrival(w.koubei.Issue(provider), "one")
	a.Known = []string{merchant.OperatorID}
	asked := w.land(a, landing.Asked)
	late.tap.fail("eval:code")
	yes := landing.Decision{Landing: asked.Question.Landing, Yes: true, Arrival: a}
	if out, err := late.Decide(w.t.Context(), yes); !errors.Is(err, store.ErrUnavailable) {
		w.t.Fatalf("got %q, %v, want unavailable", out.Result, err)
	}
	return unwritten{late, a, asked}
}

// TestALateOutcomeIsWrittenWhenRedisIsBack: the first retries fail, too.
func TestALateOutcomeIsWrittenWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late := w.unwritten()
	started := w.started.Load()
	late.tap.fail("", 1, 2)
	<-late.RetriesDone()
	w.wantState(late.Code, "landed")
	if n := w.started.Load() - started; n != 1 {
		t.Errorf("got %d sessions counted, want 1", n)
	}
	w.land(late.Arrival, landing.Replayed)
}

// TestALateOutcomeEndsNoSessionInUse: the same answer was given at another replica, which found the session.
func TestALateOutcomeEndsNoSessionInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late := w.unwritten()
	token := w.decide(late.asked, late.Arrival, true, landing.Landed).Token
	late.tap.with(nil)
	<-late.RetriesDone()
	if out := w.land(late.Arrival, landing.Replayed); out.Token != token {
		t.Error("got another session")
	}
}

// TestALateGrantFindsItsSession: the browser has sessions of two operators. One ends, and the other has the code: its write
// succeeded, and the reply was lost.
func TestALateGrantFindsItsSession(t *testing.T) {
	t.Parallel()
	withoutQuestion := func(s *settings) { s.confirm = false }
	w := newWorld(t, withoutQuestion)
	late := w.open(withoutQuestion)
	first := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	own := w.land(arrival(w.koubei.Issue(provider), "two"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(second), "three"), first, own)
	late.tap.loseReply(func(names string) bool { return strings.Contains(names, "eval:session") })
	if out := <-w.background(late, a); !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	w.signOut(first)
	late.tap.fail("get", 1, 2, 3) // the first retries, of the grant and of the withdrawal, cannot read the sessions
	<-late.RetriesDone()
	w.wantState(a.Code, "landed")
}

// TestASessionThatCannotBeAbandoned: another answer has landed the code, and the session of this one cannot be ended.
func TestASessionThatCannotBeAbandoned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Known = []string{merchant.OperatorID}
	asked := w.land(a, landing.Asked)
	var landed atomic.Bool
	w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		switch {
		case strings.Contains(names, "eval:code") && !landed.Swap(true):
			w.must(w.redis.Client.Set(t.Context(), w.key(a.Code), `{"state":"landed","owner":"another","session":"another"}`, time.Minute).Err())
		case strings.Contains(names, "eval:session") && landed.Load():
			return errCut
		}
		return send(ctx)
	})
	yes := landing.Decision{Landing: asked.Question.Landing, Yes: true, Arrival: a}
	if out, err := w.Decide(t.Context(), yes); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %q, %v, want unavailable", out.Result, err)
	}
}

// TestALandedCodeIsWrittenLate: the session was written, and the ledger could not be.
func TestALandedCodeIsWrittenLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	w.tap.fail("eval:code", 2, 3) // the first one is the claim; the first retry fails, too
	w.land(a, landing.Landed)
	w.wantLogged("code landed, ledger record pending")
	<-w.RetriesDone()
	w.wantState(a.Code, "landed")
}

// TestACodeIsReleasedLate: the gateway did not take the code, and the claim could not be removed.
func TestACodeIsReleasedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.timeout = time.Second })
	w.koubei.Next(koubeisim.Hold)
	a := arrival(w.koubei.Issue(provider), "one")
	w.tap.fail("eval:code", 2)
	w.refused(a, alipay.ErrUnavailable)
	w.wantState(a.Code, "open")
	<-w.RetriesDone()
	w.wantState(a.Code, "")
}

// TestTabsThatCannotJoinLoseNothing: a landing has started a session, finds that of the other tab, and cannot add its partner
// there.
func TestTabsThatCannotJoinLoseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.open()
	a := arrival(w.koubei.Issue(second), "one")
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(other, a)
	w.awaitHeld(1)
	token := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed).Token
	other.tap.fail("eval:session", 2) // the first one starts the session
	w.koubei.Release()
	out := <-done
	if !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	<-other.RetriesDone()
	a = signedIn(a, token)
	a.Pending = []string{out.Pending}
	again, err := w.Land(t.Context(), a)
	if err != nil || again.Entry.PartnerID != second.PartnerID {
		t.Errorf("the next try: got %q of partner %s, %v", again.Result, again.Entry.PartnerID, err)
	}
	w.wantCalls(a.Code, 1)
}

// TestALateQuestionLeavesItsAnswer: a landing ends its session to ask, and loses the reply to its question. The user sees the
// question at another replica, and answers it.
func TestALateQuestionLeavesItsAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.asking()
	owner.tap.loseReply(func(names string) bool { return strings.Contains(names, "eval:code") })
	owner.proceed()
	if out := <-owner.done; !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	w.decide(w.land(owner.Arrival, landing.Asked), owner.Arrival, true, landing.Landed)
	owner.tap.with(nil)
	<-owner.RetriesDone()
	w.wantState(owner.Code, "landed")
}

// TestAReplaySettlesTheCodeOfASessionThatEnds: the user signs out in another tab at the same time. Otherwise the code would be
// sent again when the claim of the killed replica ends.
func TestAReplaySettlesTheCodeOfASessionThatEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a = signedIn(a, w.land(a, landing.Landed).Token)
	w.claimedBy(a.Code, "killed", time.Minute)
	var reads atomic.Int32
	w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names == "get" && reads.Add(1) == 2 { // the ledger, after the session
			w.must(w.redis.Client.Del(t.Context(), w.redis.Client.Keys(t.Context(), "k:session:*").Val()...).Err())
		}
		return send(ctx)
	})
	w.land(a, landing.Replayed)
	w.wantState(a.Code, "landed")
}

// TestARecoveredSessionKeepsTheArrivalsOfItsClaim: a browser that has lost one of its arrival cookies settles the code of a
// killed replica. Afterwards it shows another one.
func TestARecoveredSessionKeepsTheArrivalsOfItsClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one", "two")
	token := w.land(a, landing.Landed).Token
	claim := map[string]any{}
	w.must(json.Unmarshal([]byte(w.redis.Client.Get(t.Context(), w.key(a.Code)).Val()), &claim))
	raw, err := json.Marshal(map[string]any{"state": "open", "owner": "killed", "browsers": claim["browsers"]})
	w.must(err)
	w.must(w.redis.Client.Set(t.Context(), w.key(a.Code), raw, time.Minute).Err())
	w.land(signedIn(arrival(a.Code, "two"), token), landing.Replayed)
	w.wantState(a.Code, "landed")
	w.must(w.redis.Client.Del(t.Context(), w.redis.Client.Keys(t.Context(), "k:arrival:*").Val()...).Err())
	if out := w.land(arrival(a.Code, "one"), landing.Replayed); out.Token != token {
		t.Error("got another session")
	}
}

// TestALandingWithoutTheOtherTabsSessionIsLogged: the session of the other tab cannot be read.
func TestALandingWithoutTheOtherTabsSessionIsLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.open()
	w.koubei.Next(koubeisim.Hold)
	done := w.background(other, arrival(w.koubei.Issue(provider), "one"))
	w.awaitHeld(1)
	w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed)
	other.tap.fail("get")
	w.koubei.Release()
	if out := <-done; out.err != nil || out.Result != landing.Landed {
		t.Errorf("got %q, %v, want landed", out.Result, out.err)
	}
	w.wantLogged("landed without the session of another tab")

	again := arrival(w.koubei.Issue(merchant), "one")
	w.tap.failAlone("get") // of the session that the arrival names
	w.land(again, landing.Landed)
	w.wantLogged("arrival lookup failed")
}
