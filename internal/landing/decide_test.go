package landing_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// decide answers a question and checks the result.
func (w *world) decide(asked landing.Outcome, a landing.Arrival, yes bool, want landing.Result) landing.Outcome {
	w.t.Helper()
	out, err := w.answer(asked, a, yes)
	if err != nil || out.Result != want {
		w.t.Fatalf("got %q, %v; want %q", out.Result, err, want)
	}
	return out
}

// notDecided answers a question and checks the error.
func (w *world) notDecided(asked landing.Outcome, a landing.Arrival, yes bool, want error) {
	w.t.Helper()
	if out, err := w.answer(asked, a, yes); !errors.Is(err, want) || out.Token != "" {
		w.t.Errorf("got %q, %v; want %v", out.Result, err, want)
	}
}

func (w *world) answer(asked landing.Outcome, a landing.Arrival, yes bool) (landing.Outcome, error) {
	a.Code = ""
	q := asked.Question
	return w.Decide(w.t.Context(), landing.Decision{Landing: q.Landing, Sessions: q.Sessions, Yes: yes, Arrival: a})
}

func (w *world) ended(token session.Token) bool {
	w.t.Helper()
	_, err := w.sessions.Find(w.t.Context(), token)
	if err != nil && !errors.Is(err, session.ErrNone) {
		w.t.Fatal(err)
	}
	return err != nil
}

// TestAnAnswerEndsOnlyTheSessionsOfItsQuestion: the form names a stranger's session, too.
func TestAnAnswerEndsOnlyTheSessionsOfItsQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := w.land(arrival(w.koubei.Issue(testworld.MerchantStaff), "victim"), landing.Landed)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(provider), "one"), current)
	asked := w.land(a, landing.Asked)
	asked.Question.Sessions += "." + victim.Session.Hash()
	if out := w.decide(asked, a, true, landing.Landed); len(out.Replaced) != 1 {
		t.Errorf("replaced %d sessions, want 1", len(out.Replaced))
	}
	if _, err := w.sessions.Find(t.Context(), victim.Token); err != nil {
		t.Errorf("the stranger's session: %v", err)
	}
}

func TestYesReplacesTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	if q := asked.Question; q.Current.OperatorID != merchant.OperatorID || q.Arriving.ID != provider.OperatorID || q.PartnerID != provider.PartnerID {
		t.Errorf("got a question about %s and %s", q.Current.OperatorID, q.Arriving.ID)
	}
	b := signedIn(arrival("", "one"), current)
	out := w.decide(asked, b, true, landing.Landed)
	if out.Token == current || out.Session.OperatorID != provider.OperatorID || len(out.Session.Entries) != 1 {
		t.Errorf("got %+v, want a fresh token, nothing merged", out.Session)
	}
	if !w.ended(current) {
		t.Error("the old session is still there")
	}
	// The user presses the button again, before and after the response has arrived.
	for _, again := range []landing.Arrival{b, signedIn(arrival("", "one"), out.Token), signedIn(arrival(""), out.Token)} {
		if second := w.decide(asked, again, true, landing.Replayed); second.Token != out.Token {
			t.Error("the second answer: got another token")
		}
	}
	w.notDecided(asked, signedIn(arrival("", "one"), out.Token), false, landing.ErrSwitchExpired)
	w.notDecided(asked, arrival("", "stranger"), true, landing.ErrSwitchExpired)
	if w.replaced.Load() != 1 || w.started.Load() != 2 {
		t.Errorf("got %d replaced and %d started, want 1 and 2", w.replaced.Load(), w.started.Load())
	}
	w.wantCalls(code, 1)
}

func TestNoKeepsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	b := signedIn(arrival("", "one"), current)
	w.tap.fail("eval:code")
	w.notDecided(asked, b, false, store.ErrUnavailable)
	w.tap.with(nil)
	for range 2 { // pressed twice
		if out := w.decide(asked, b, false, landing.Kept); out.Token != current || out.Session.OperatorID != merchant.OperatorID {
			t.Errorf("got %s, want the old session kept", out.Session.OperatorID)
		}
	}
	w.notDecided(asked, b, true, landing.ErrSwitchExpired)
	w.notDecided(asked, arrival("", "stranger"), false, landing.ErrSwitchExpired)
	w.refused(signedIn(arrival(code, "one"), current), landing.ErrCodeUsed)
	if w.ended(current) || w.replaced.Load() != 0 {
		t.Error("the old session has gone")
	}
}

// TestAnAnswerGoesOnWithoutItsBrowser: the browser leaves during the first write.
func TestAnAnswerGoesOnWithoutItsBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	ctx, leave := context.WithCancel(t.Context())
	w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if strings.Contains(names, "eval") {
			leave()
		}
		return send(ctx)
	})
	out, err := w.Decide(ctx, landing.Decision{
		Landing: asked.Question.Landing, Sessions: asked.Question.Sessions, Yes: true, Arrival: signedIn(arrival("", "one"), current),
	})
	if err != nil || out.Result != landing.Landed || ctx.Err() == nil {
		t.Errorf("got %q, %v, want landed", out.Result, err)
	}
	w.wantState(code, "landed")
}

// TestNoKeepsTheSessionOfTheQuestion: the arriving operator has signed in in another tab, and that cookie comes first.
func TestNoKeepsTheSessionOfTheQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, current, asked := w.hold("one")
	own := w.land(arrival(w.koubei.Issue(second), "two"), landing.Landed).Token
	if out := w.decide(asked, signedIn(arrival("", "one"), own, current), false, landing.Kept); out.Token != current {
		t.Errorf("got the session of %s, want the one that the question names", out.Session.OperatorID)
	}
}

func TestConcurrentAnswersMakeOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, current, asked := w.hold("one")
	b := signedIn(arrival("", "one"), current)
	const clicks = 6
	tokens := make(chan session.Token, clicks)
	for range clicks {
		go func() {
			out, err := w.answer(asked, b, true)
			if err != nil {
				t.Error(err)
			}
			tokens <- out.Token
		}()
	}
	first := <-tokens
	for range clicks - 1 {
		if token := <-tokens; token != first {
			t.Error("got two tokens")
		}
	}
	live, err := w.sessions.List(t.Context(), provider.OperatorID)
	w.must(err)
	if len(live) != 1 || w.started.Load() != 2 || w.replaced.Load() != 1 {
		t.Errorf("got %d sessions, %d started, %d replaced, want 1, 2 and 1", len(live), w.started.Load(), w.replaced.Load())
	}
}

// TestAnswersThatJoinEachOtherMakeOneSession: three answers to one question. The third joins the session of the second, and
// then the code lands with that of the first.
func TestAnswersThatJoinEachOtherMakeOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, current, asked := w.hold("one")
	yes := landing.Decision{
		Landing: asked.Question.Landing, Sessions: asked.Question.Sessions, Yes: true, Arrival: signedIn(arrival("", "one"), current),
	}
	tokens, proceed := make(chan session.Token, 3), [3]chan struct{}{}
	for i := range proceed {
		r, arrived := w.open(func(s *settings) { s.redis = 10 * time.Second }), make(chan struct{}) // it waits for the test
		proceed[i] = make(chan struct{})
		r.tap.before("eval:code", func() { close(arrived); <-proceed[i] })
		go func() {
			out, err := r.Decide(context.Background(), yes)
			if err != nil {
				t.Error(err)
			}
			tokens <- out.Token
		}()
		<-arrived // it is about to settle the code
	}
	close(proceed[0])
	first := <-tokens
	close(proceed[1])
	close(proceed[2])
	if second, third := <-tokens, <-tokens; second != first || third != first {
		t.Error("got several tokens")
	}
	live, err := w.sessions.List(t.Context(), provider.OperatorID)
	w.must(err)
	if len(live) != 1 || w.replaced.Load() != 1 {
		t.Errorf("got %d sessions, %d replaced, want one of each", len(live), w.replaced.Load())
	}
}

// TestASecondYesLeavesTheBrowsersSession: it has joined a session that the browser had, and then the code lands with that of
// the first one.
func TestASecondYesLeavesTheBrowsersSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.open(func(s *settings) { s.redis = 10 * time.Second }) // it waits for the test
	a := arrival(w.koubei.Issue(provider), "one")
	a.Known = []string{merchant.OperatorID}
	asked := w.land(a, landing.Asked)
	own := w.land(arrival(w.koubei.Issue(provider), "two"), landing.Landed).Token
	joined, proceed := make(chan struct{}), make(chan struct{})
	other.tap.before("eval:code", func() { close(joined); <-proceed })
	second := make(chan ended, 1)
	go func() {
		out, err := other.Decide(context.Background(), landing.Decision{Landing: asked.Question.Landing, Yes: true, Arrival: signedIn(a, own)})
		second <- ended{out, err}
	}()
	select {
	case <-joined:
	case out := <-second:
		t.Fatalf("got %q, %v before the outcome is written", out.Result, out.err)
	}
	first := w.decide(asked, a, true, landing.Landed)
	close(proceed)
	if out := <-second; out.err != nil || out.Token != first.Token {
		t.Errorf("got %q, %v, want the session of the first answer", out.Result, out.err)
	}
	if w.ended(own) {
		t.Error("the browser's session has ended")
	}
}

func TestAnotherSessionDuringQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	staff := merchant
	staff.OperatorID = "2088000000000042"
	w.signOut(current)
	other := w.land(arrival(w.koubei.Issue(staff), "one"), landing.Landed)
	b := signedIn(arrival("", "one"), other.Token)
	w.notDecided(asked, b, true, landing.ErrSwitchStale)
	w.notDecided(asked, b, false, landing.ErrSwitchStale)
	if w.ended(other.Token) {
		t.Error("a session ended without a question about it")
	}
	// The user is asked again, about the session that is live now.
	again := w.land(signedIn(arrival(code, "one"), other.Token), landing.Asked)
	if again.Question.Current.OperatorID != staff.OperatorID {
		t.Errorf("asked about %s", again.Question.Current.OperatorID)
	}
	w.decide(again, b, true, landing.Landed)
	w.wantCalls(code, 1)
}

func TestSeveralSessionsAreReplacedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	staff := merchant
	staff.OperatorID = "2088000000000042"
	one := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	tossed := w.land(arrival(w.koubei.Issue(staff), "two"), landing.Landed).Token
	code := w.koubei.Issue(provider)
	b := signedIn(arrival(code, "one"), one, tossed)
	asked := w.land(b, landing.Asked)
	w.decide(asked, b, true, landing.Landed)
	if !w.ended(one) || !w.ended(tossed) {
		t.Error("a session of another operator is left")
	}
}

func TestAQuestionEndsAfterAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	b := signedIn(arrival(code, "one"), current)
	w.clock.Turn(14 * time.Minute)
	w.land(b, landing.Asked)
	w.clock.Turn(time.Minute)
	w.notDecided(asked, b, true, landing.ErrSwitchExpired)
	w.notDecided(asked, b, false, landing.ErrSwitchExpired)
	w.refused(b, landing.ErrCodeUsed)
	if w.ended(current) {
		t.Error("the old session has gone")
	}
}

// TestGrantExpiresBeforeRevocation: the time in a cookie and the time for an answer add up to at most RevocationWindow.
func TestGrantExpiresBeforeRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	code := w.koubei.Issue(provider)
	a := signedIn(arrival(code, "one"), current)
	a.Pending = []string{w.lose(a)}
	_, err := w.sessions.Revoke(t.Context(), provider.OperatorID)
	w.must(err)
	w.clock.Turn(4 * time.Minute)
	asked := w.land(a, landing.Asked)
	// Redis drops the revocation in real time. Here the test deletes it when the clock says so.
	w.clock.Turn(11*time.Minute + time.Second)
	w.must(w.redis.Client.Del(t.Context(), w.store.Key("revoked", provider.OperatorID)).Err())
	w.notDecided(asked, a, true, landing.ErrSwitchExpired)
	if live, _ := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 0 {
		t.Error("a revoked operator has a session")
	}
}

func TestRevocationInvalidatesHeldGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	_, err := w.open().sessions.Revoke(t.Context(), provider.OperatorID)
	w.must(err)
	b := signedIn(arrival(code, "one"), current)
	w.notDecided(asked, b, true, landing.ErrSwitchExpired)
	w.refused(b, landing.ErrCodeUsed)
	if live, _ := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 0 {
		t.Error("a revoked operator has a session")
	}
	if w.ended(current) {
		t.Error("the session of the other operator has gone")
	}
	// Koubei confirms the operator again.
	w.signOut(current)
	w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed)
}

func TestDecideWithoutRedisConsumesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, current, asked := w.hold("one")
	b := signedIn(arrival("", "one"), current)
	for _, yes := range []bool{true, false} {
		w.tap.cut()
		w.notDecided(asked, b, yes, store.ErrUnavailable)
		w.tap.with(nil)
	}
	for _, failing := range []string{"eval:operator", "eval:session"} {
		w.tap.fail(failing)
		w.notDecided(asked, b, true, store.ErrUnavailable)
		w.tap.with(nil)
		if w.ended(current) {
			t.Fatalf("%s failed, and the old session has gone", failing)
		}
	}
	w.decide(asked, b, true, landing.Landed)
	if !w.ended(current) {
		t.Error("the old session is still there")
	}
}

func TestOldSessionEndedDuringQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, b := range [][]string{{"one"}, {"two", "three"}} {
		_, current, asked := w.hold(b...)
		w.signOut(current)
		w.decide(asked, signedIn(arrival("", b...), current), true, landing.Landed)
	}
	_, current, asked := w.hold("four")
	w.signOut(current)
	if out := w.decide(asked, signedIn(arrival("", "four"), current), false, landing.Kept); out.Session.OperatorID != "" {
		t.Errorf("no: got %s, want no session", out.Session.OperatorID)
	}
}

func TestArrivingOperatorSignedInDuringQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	w.signOut(current)
	other := provider
	other.PartnerID = "2088000000000001"
	own := w.land(arrival(w.koubei.Issue(other), "one"), landing.Landed)
	out := w.decide(asked, signedIn(arrival("", "one"), own.Token), true, landing.Landed)
	if out.Token != own.Token || len(out.Session.Entries) != 2 {
		t.Errorf("got %d entries, want the partner added to the operator's own session", len(out.Session.Entries))
	}
	w.wantCalls(code, 1)
}

func TestSecondLandingDuringQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, current, first := w.hold("one")
	other := provider
	other.PartnerID = "2088000000000001"
	b := signedIn(arrival(w.koubei.Issue(other), "one"), current)
	second := w.land(b, landing.Asked)
	landed := w.decide(second, b, true, landing.Landed)
	b.Tokens = []session.Token{landed.Token}
	out := w.decide(first, b, true, landing.Landed)
	if out.Token != landed.Token || len(out.Session.Entries) != 2 {
		t.Errorf("got %d entries, want both partners in one session", len(out.Session.Entries))
	}
}

func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	b := signedIn(arrival("", "one"), current)
	for name, forge := range map[string]func(*landing.Question){
		"another landing":  func(q *landing.Question) { q.Landing = strings.Repeat("A", 43) },
		"no landing":       func(q *landing.Question) { q.Landing = "" },
		"another session":  func(q *landing.Question) { q.Sessions = strings.Repeat("A", 43) },
		"no session":       func(q *landing.Question) { q.Sessions = "" },
		"dots for session": func(q *landing.Question) { q.Sessions = "..." },
	} {
		forged := asked
		forge(&forged.Question)
		for _, yes := range []bool{true, false} {
			if out, err := w.answer(forged, b, yes); err == nil || out.Token != "" {
				t.Errorf("%s: got %q, want an error", name, out.Result)
			}
		}
	}
	// An attacker who knows everything in the form, because the creator of the link knows the code.
	w.notDecided(asked, arrival("", "stranger"), true, landing.ErrSwitchExpired)
	w.notDecided(asked, arrival("", "stranger"), false, landing.ErrSwitchExpired)
	w.wantState(code, "held")
	if w.ended(current) {
		t.Error("the old session has gone")
	}
	w.decide(asked, b, true, landing.Landed)
}

// TestDecideWithoutOneRead: the read of the session or of the ledger fails. Nothing is decided.
func TestDecideWithoutOneRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	b := signedIn(arrival("", "one"), current)
	for failing := range 2 {
		reads := 0
		w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
			if names == "get" {
				reads++
				if reads == failing+1 {
					return errCut
				}
			}
			return send(ctx)
		})
		w.notDecided(asked, b, true, store.ErrUnavailable)
		w.tap.with(nil)
		w.wantState(code, "held")
	}
	w.decide(asked, b, true, landing.Landed)
}

// TestDecideAfterSealKeysWereReplaced: a grant that does not open becomes no session, and the old session stays.
func TestDecideAfterSealKeysWereReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, current, asked := w.hold("one")
	w.replica = w.open(func(s *settings) { s.keys = [][]byte{sealKey('b')} })
	w.notDecided(asked, signedIn(arrival("", "one"), current), true, landing.ErrSwitchExpired)
	w.wantState(code, "held")
	if w.ended(current) {
		t.Error("the old session has gone")
	}
	w.signOut(current)
	w.refused(arrival(code, "one"), landing.ErrCodeUsed) // and does not ask
}

func TestSessionIsReplacedWithoutConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.confirm = false })
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	out := w.land(signedIn(arrival(w.koubei.Issue(provider), "one"), current), landing.Landed)
	if out.Token == current || !w.ended(current) || w.replaced.Load() != 1 {
		t.Errorf("got the old session alive: %v, %d replaced", !w.ended(current), w.replaced.Load())
	}
}

// TestANoThatComesLate: another answer was given since this one read the ledger.
func TestANoThatComesLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Known = []string{merchant.OperatorID}
	asked := w.land(a, landing.Asked)
	w.tap.before("eval:code", func() {
		w.must(w.redis.Client.Set(t.Context(), w.key(a.Code), `{"state":"landed","owner":"another"}`, time.Minute).Err())
	})
	no := landing.Decision{Landing: asked.Question.Landing, Arrival: a}
	if out, err := w.Decide(t.Context(), no); !errors.Is(err, landing.ErrSwitchExpired) {
		t.Errorf("got %q, %v, want expired", out.Result, err)
	}
}

// TestAnotherTabsOperatorIsReplacedOnce: the other tab has landed since the request was sent. The session is written once.
func TestAnotherTabsOperatorIsReplacedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.confirm = false })
	other := w.open(func(s *settings) { s.confirm = false })
	w.koubei.Next(koubeisim.Hold)
	done := w.background(other, arrival(w.koubei.Issue(provider), "one"))
	w.awaitHeld(1)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	started := other.tap.count("eval:arrival")
	w.koubei.Release()
	if out := <-done; out.err != nil || out.Result != landing.Landed || !w.ended(current) {
		t.Errorf("got %q, %v, want landed, and the other session ended: %t", out.Result, out.err, w.ended(current))
	}
	if n := started.Load(); n != 1 {
		t.Errorf("got %d sessions started, want 1", n)
	}
}

// TestConcurrentYesAndNo: only the first answer counts.
func TestConcurrentYesAndNo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		code, current, asked := w.hold("one")
		b := signedIn(arrival("", "one"), current)
		no := make(chan error, 1)
		go func() {
			_, err := w.answer(asked, b, false)
			no <- err
		}()
		out, err := w.answer(asked, b, true)
		landed := err == nil
		if refused := <-no; landed == (refused == nil) {
			t.Errorf("got yes %v and no %v, want one of them", err, refused)
		}
		if landed {
			w.signOut(out.Token)
		} else if w.record(code).State != "declined" {
			t.Errorf("got %q", w.record(code).State)
		}
		if live, _ := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 0 {
			t.Errorf("got %d sessions of the provider's left", len(live))
		}
	}
}

func TestOneOperatorTwiceIsNoSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed)
	other := koubeisim.Person{OperatorID: provider.OperatorID, OperatorType: "PROVIDER_STAFF", PartnerID: "2088000000000001"}
	out := w.land(signedIn(arrival(w.koubei.Issue(other), "one"), first.Token), landing.Landed)
	if out.Token != first.Token || len(out.Session.Entries) != 2 {
		t.Errorf("got %d entries, want the token kept and the partner added", len(out.Session.Entries))
	}
}

// unconfirmed is a question whose replica of Redis is frozen after it has got the question. Landings wait for it.
type unconfirmed struct {
	*world
	landing.Arrival
	asked landing.Outcome
	redis *testworld.Redis // the frozen replica
}

func newUnconfirmed(t *testing.T) *unconfirmed {
	t.Helper()
	w := newWorld(t, func(s *settings) { s.replicas = 1 })
	host, port, _ := strings.Cut(w.redis.Addr(), ":")
	u := &unconfirmed{
		world: w, Arrival: arrival(w.koubei.Issue(provider), "one"), redis: testworld.StartRedis(t, "--replicaof", host+" "+port),
	}
	u.Known = []string{merchant.OperatorID}
	testworld.Eventually(t, 30*time.Second, "the replica has the question", func() (err error) {
		u.asked, err = w.Land(t.Context(), u.Arrival)
		return err
	})
	u.redis.Freeze()
	return u
}

// TestAnAnswerWithoutReplicasWritesNoSession: otherwise each repetition would add a session and a retry in the background.
func TestAnAnswerWithoutReplicasWritesNoSession(t *testing.T) {
	t.Parallel()
	w := newUnconfirmed(t)
	for range 3 {
		w.notDecided(w.asked, w.Arrival, true, store.ErrUnavailable)
	}
	if l, err := w.sessions.List(t.Context(), provider.OperatorID); err != nil || len(l) > 0 {
		t.Errorf("got %d sessions, %v, want none", len(l), err)
	}
}

// TestARepeatedAnswerNeedsItsReplica: an answer that failed for lack of replicas does not succeed when it is repeated. A failover
// would bring the question back.
func TestARepeatedAnswerNeedsItsReplica(t *testing.T) {
	t.Parallel()
	w := newUnconfirmed(t)
	for range 2 {
		w.notDecided(w.asked, w.Arrival, false, store.ErrUnavailable)
	}
	w.redis.Thaw()
	testworld.Eventually(t, 30*time.Second, "the replica has the answer", func() error {
		_, err := w.answer(w.asked, w.Arrival, false)
		return err
	})
}
