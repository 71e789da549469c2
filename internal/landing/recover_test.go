package landing_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/koubeisim"
)

// TestARetryReplacesWhatItsLandingCouldNot: without questions, a replica starts the session and loses Redis before it ends that
// of the other operator.
func TestARetryReplacesWhatItsLandingCouldNot(t *testing.T) {
	t.Parallel()
	noQuestions := func(s *settings) { s.confirm = false }
	w := newWorld(t, noQuestions)
	lost := w.open(noQuestions)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(provider), "two"), current)
	var started atomic.Bool
	lost.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if started.Load() {
			return errCut
		}
		started.Store(strings.Contains(names, "eval:session"))
		return send(ctx)
	})
	out, err := lost.Land(t.Context(), a)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, err)
	}
	a.Pending = []string{out.Pending}
	w.tap.fail("eval:session")
	w.refused(a, store.ErrUnavailable)
	w.tap.with(nil)
	out = w.land(a, landing.Replayed)
	if len(out.Replaced) != 1 || out.Session.OperatorID != provider.OperatorID {
		t.Errorf("got operator %q, %d sessions replaced, want one", out.Session.OperatorID, len(out.Replaced))
	}
	if _, err := w.sessions.Find(t.Context(), current); !errors.Is(err, session.ErrNone) {
		t.Errorf("the other operator: got %v, want no session", err)
	}
	w.wantState(a.Code, "landed")
	w.wantCalls(a.Code, 1)
}

// TestAFailedAnswerLeavesTheSessionOfTheOther: the user answers twice. The second answer joins the session of the first, which
// then cannot end the session that it replaces.
func TestAFailedAnswerLeavesTheSessionOfTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.open()
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(provider), "two"), current)
	asked := w.land(a, landing.Asked)
	wrote, fail := make(chan struct{}), make(chan struct{})
	var once sync.Once
	other.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names == "eval:session" {
			once.Do(func() { close(wrote); <-fail; send = func(context.Context) error { return errCut } })
		}
		return send(ctx)
	})
	yes := landing.Decision{Landing: asked.Question.Landing, Sessions: asked.Question.Sessions, Yes: true, Arrival: a}
	first := make(chan error, 1)
	go func() {
		_, err := other.Decide(context.Background(), yes)
		first <- err
	}()
	<-wrote
	second := w.decide(asked, a, true, landing.Landed)
	close(fail)
	if err := <-first; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the first answer: got %v, want unavailable", err)
	}
	if _, err := w.sessions.Find(t.Context(), second.Token); err != nil {
		t.Errorf("the session of the second answer: %v", err)
	}
}

// TestAPendingGrantLandsOnlyWithItsLedgerEntry: otherwise the replica that exchanged the code could store the grant after a
// sign-out.
func TestAPendingGrantLandsOnlyWithItsLedgerEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Pending = []string{w.lose(a)}
	w.tap.failAlone("eval:code") // the claim has other commands beside it
	out, err := w.Land(t.Context(), a)
	if !errors.Is(err, store.ErrUnavailable) || out.Token != "" || out.Pending == "" {
		t.Fatalf("got %q, %v, want unavailable with the grant", out.Result, err)
	}
	w.tap.with(nil)
	<-w.RetriesDone()
	w.wantState(a.Code, "held")
	a.Pending = []string{out.Pending}
	w.signOut(w.land(a, landing.Landed).Token)
	w.refused(a, landing.ErrCodeUsed)
	if live, err := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 0 {
		t.Errorf("got %d sessions, %v, want none", len(live), err)
	}
	w.wantCalls(a.Code, 1)
}

// TestAGrantThatNobodyWasAskedAbout: Redis fails before the question. When the other operator is gone, the browser's memory
// still asks one.
func TestAGrantThatNobodyWasAskedAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(provider), "two"), current)
	a.Known = []string{merchant.OperatorID}
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(w.replica, a)
	w.awaitHeld(1)
	w.tap.cut()
	w.koubei.Release()
	if out := <-done; !errors.Is(out.err, store.ErrUnavailable) {
		t.Fatalf("got %q, %v, want unavailable", out.Result, out.err)
	}
	w.tap.with(nil)
	<-w.RetriesDone()
	w.signOut(current)
	w.land(signedIn(a), landing.Asked)
	w.wantCalls(a.Code, 1)
}
