package landing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/koubeisim"
)

// TestTheLedger checks the table in doc.go. A row's name is the state and the result of a second landing.
func TestTheLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, row := range []struct {
		name string
		walk func(*world)
	}{
		{"none: claimed, then open, then landed", noneIsClaimed},
		{"open: the same browser waits and gets the same token", openSameBrowserWaits},
		{"open: another browser waits and gets used", openOtherBrowserWaits},
		{"open: patience ends", openPatienceEnds},
		{"open: the replica died, and its lease runs out", openReplicaDied},
		{"landed: the session's own browser gets the same token", landedOwnSession},
		{"landed: an arrival of the claim gets the same token", landedArrival},
		{"landed: anyone else gets used", landedStranger},
		{"landed: absent never equals absent", landedAbsent},
		{"landed: not beside another operator", landedBesideAnother},
		{"landed: the session has ended", landedSessionEnded},
		{"landed: the session no longer holds the partner", landedPartnerGone},
		{"landed: the ledger lost, the session holds the code", landedLedgerLost},
		{"held: the same browser is asked again", heldAskedAgain},
		{"held: landed once the other session is gone", heldOtherGone},
		{"held: anyone else gets used", heldStranger},
		{"declined: the person said no", declinedByPerson},
		{"declined: the operator was revoked during the question", declinedByRevocation},
		{"refused: the same verdict without a call", refusedVerdicts},
		{"refused: an unknown verdict of a newer version counts as used", refusedUnknown},
		{"held: a grant of a newer version stays for a newer replica", heldUnreadable},
		{"none: released after a failure that says nothing about the code", releasedAfterFailure},
	} {
		t.Run(row.name, func(t *testing.T) {
			outer := w.t
			w.t = t
			defer func() { w.t = outer }()
			w.must(w.redis.Client.FlushDB(t.Context()).Err()) // each row uses the same browsers
			row.walk(w)
		})
	}
}

func noneIsClaimed(w *world) {
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.Hold)
	done := w.background(w.replica, arrival(code, "one"))
	w.awaitHeld(1)
	w.wantState(code, "open")
	w.wantLife(code, 2*time.Second+15*time.Second+5*2*time.Second+time.Second)
	w.koubei.Release()
	out := <-done
	if out.err != nil || out.Result != landing.Landed {
		w.t.Fatalf("got %q, %v", out.Result, out.err)
	}
	w.wantState(code, "landed")
	w.wantLife(code, 24*time.Hour)
	w.wantCalls(code, 1)
	if strings.Contains(w.log.String(), "WARN") {
		w.t.Errorf("got a warning of a landing that met no trouble: %s", w.log)
	}
	for _, key := range w.redis.Client.Keys(w.t.Context(), "*").Val() {
		value := w.redis.Client.Get(w.t.Context(), key).Val()
		for what, secret := range map[string]string{"code": code, "token": string(out.Token), "arrival": `"one"`} {
			if strings.Contains(key+value, secret) {
				w.t.Errorf("%s holds the %s in clear", key, what)
			}
		}
	}
}

func openSameBrowserWaits(w *world) {
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.Hold)
	first := w.background(w.replica, arrival(code, "one", "two"))
	w.awaitHeld(1)
	second := w.background(w.open(), arrival(code, "two", "three"))
	w.koubei.Release()
	a, b := <-first, <-second
	if a.Result != landing.Landed || b.Result != landing.Replayed || a.Token == "" || a.Token != b.Token {
		w.t.Errorf("got %q %v and %q %v, want landed and replayed with one token", a.Result, a.err, b.Result, b.err)
	}
	w.wantCalls(code, 1)
}

func openOtherBrowserWaits(w *world) {
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.Hold)
	first := w.background(w.replica, arrival(code, "one"))
	w.awaitHeld(1)
	second := w.background(w.replica, arrival(code, "thief"))
	w.koubei.Release()
	if a := <-first; a.err != nil {
		w.t.Errorf("the first: %v", a.err)
	}
	if b := <-second; !errors.Is(b.err, landing.ErrCodeUsed) || b.Token != "" {
		w.t.Errorf("the other: got %q, %v, want used", b.Result, b.err)
	}
	w.wantCalls(code, 1)
}

func openPatienceEnds(w *world) {
	code := w.koubei.Issue(provider)
	w.claimedBy(code, "somebody", time.Minute, "one")
	r := w.open(func(s *settings) { s.timeout = 200 * time.Millisecond })
	if out := <-w.background(r, arrival(code, "one")); !errors.Is(out.err, landing.ErrInProgress) {
		w.t.Errorf("got %q, %v, want in progress", out.Result, out.err)
	}
	w.wantState(code, "open")
	w.wantCalls(code, 0)
}

func openReplicaDied(w *world) {
	code := w.koubei.Issue(provider)
	w.claimedBy(code, "a replica that died", 150*time.Millisecond, "one")
	w.land(arrival(code, "two"), landing.Landed)
	w.wantCalls(code, 1)
}

func landedOwnSession(w *world) {
	code := w.koubei.Issue(provider)
	first := w.land(arrival(code, "one"), landing.Landed)
	again := w.land(signedIn(arrival(code), first.Token), landing.Replayed)
	if again.Token != first.Token || again.Entry.PartnerID != provider.PartnerID {
		w.t.Error("got another token or entry")
	}
	w.wantCalls(code, 1)
}

func landedArrival(w *world) {
	code := w.koubei.Issue(provider)
	first := w.land(arrival(code, "one", "two"), landing.Landed)
	for _, browser := range []string{"one", "two"} {
		if again := w.land(arrival(code, "fresh", browser), landing.Replayed); again.Token != first.Token {
			w.t.Errorf("%s: got another token", browser)
		}
	}
	w.wantCalls(code, 1)
}

func landedStranger(w *world) {
	code := w.koubei.Issue(provider)
	w.land(arrival(code, "one"), landing.Landed)
	other := w.land(arrival(w.koubei.Issue(merchant), "thief"), landing.Landed)
	w.refused(arrival(code, "thief"), landing.ErrCodeUsed)
	w.refused(signedIn(arrival(code, "thief"), other.Token), landing.ErrCodeUsed)
	w.refused(arrival(code, ""), landing.ErrCodeUsed)
	// The matching arrival is the fifth. A claim is bound to four, and no more are checked.
	w.refused(arrival(code, "a", "b", "c", "d", "one"), landing.ErrCodeUsed)
	w.wantCalls(code, 1)
}

func landedAbsent(w *world) {
	code := w.koubei.Issue(provider)
	out := w.land(arrival(code), landing.Landed)
	w.refused(arrival(code), landing.ErrCodeUsed)
	w.land(signedIn(arrival(code), out.Token), landing.Replayed)
}

func landedBesideAnother(w *world) {
	code := w.koubei.Issue(provider)
	w.land(arrival(code, "here"), landing.Landed)
	other := w.land(arrival(w.koubei.Issue(merchant), "elsewhere"), landing.Landed)
	w.refused(signedIn(arrival(code, "here"), other.Token), landing.ErrCodeUsed)
}

func landedSessionEnded(w *world) {
	code := w.koubei.Issue(provider)
	out := w.land(arrival(code, "one"), landing.Landed)
	w.signOut(out.Token)
	w.refused(signedIn(arrival(code, "one"), out.Token), landing.ErrCodeUsed)
	w.wantCalls(code, 1)
}

func landedPartnerGone(w *world) {
	code := w.koubei.Issue(provider)
	out := w.land(arrival(code, "one"), landing.Landed)
	for i := range 32 {
		person := provider
		person.PartnerID = fmt.Sprintf("20880000000001%02d", i)
		w.land(signedIn(arrival(w.koubei.Issue(person), "one"), out.Token), landing.Landed)
	}
	w.refused(signedIn(arrival(code, "one"), out.Token), landing.ErrCodeUsed)
	w.wantCalls(code, 1)
}

func landedLedgerLost(w *world) {
	code := w.koubei.Issue(provider)
	out := w.land(arrival(code, "one"), landing.Landed)
	w.must(w.redis.Client.Del(w.t.Context(), w.key(code)).Err())
	w.land(signedIn(arrival(code), out.Token), landing.Replayed)
	w.wantCalls(code, 1)
}

// hold lets a browser that is signed in as the merchant bring a code of the provider.
func (w *world) hold(browsers ...string) (code string, current session.Token, asked landing.Outcome) {
	w.t.Helper()
	current = w.land(arrival(w.koubei.Issue(merchant), browsers...), landing.Landed).Token
	code = w.koubei.Issue(provider)
	asked = w.land(signedIn(arrival(code, browsers...), current), landing.Asked)
	return code, current, asked
}

func heldAskedAgain(w *world) {
	code, current, asked := w.hold("one")
	w.wantState(code, "held")
	w.wantLife(code, 24*time.Hour)
	writes := w.tap.count("eval:code")
	defer func() {
		if n := writes.Load(); n != 3 {
			w.t.Errorf("got %d writes of the ledger, want the attempt of each landing to claim the code", n)
		}
	}()
	for range 2 {
		again := w.land(signedIn(arrival(code, "one"), current), landing.Asked)
		if again.Question.Landing != asked.Question.Landing || again.Question.Sessions != asked.Question.Sessions {
			w.t.Error("got another question")
		}
	}
	// The browser does not show its arrival, but the session in the question.
	w.land(signedIn(arrival(code), current), landing.Asked)
	w.wantCalls(code, 1)
}

func heldOtherGone(w *world) {
	code, current, _ := w.hold("one")
	w.signOut(current)
	if out := w.land(signedIn(arrival(code, "one"), current), landing.Landed); out.Session.OperatorID != provider.OperatorID {
		w.t.Errorf("got %s", out.Session.OperatorID)
	}
	w.wantState(code, "landed")
	w.wantCalls(code, 1)
}

func heldStranger(w *world) {
	code, _, _ := w.hold("one")
	w.refused(arrival(code, "thief"), landing.ErrCodeUsed)
	w.refused(arrival(code), landing.ErrCodeUsed)
	other := w.land(arrival(w.koubei.Issue(provider), "another thief"), landing.Landed)
	w.refused(signedIn(arrival(code, "another thief"), other.Token), landing.ErrCodeUsed)
	w.wantState(code, "held")
}

func declinedByPerson(w *world) {
	code, current, asked := w.hold("one")
	w.decide(asked, signedIn(arrival("", "one"), current), false, landing.Kept)
	w.wantState(code, "declined")
	w.refused(signedIn(arrival(code, "one"), current), landing.ErrCodeUsed)
	w.signOut(current)
	w.refused(arrival(code, "one"), landing.ErrCodeUsed)
	w.wantCalls(code, 1)
}

func declinedByRevocation(w *world) {
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(w.replica, arrival(code, "one"))
	w.awaitHeld(1)
	_, err := w.open().sessions.Revoke(w.t.Context(), provider.OperatorID)
	w.must(err)
	w.koubei.Release()
	if out := <-done; !errors.Is(out.err, landing.ErrCodeUsed) || out.Token != "" {
		w.t.Errorf("got %q, %v, want used", out.Result, out.err)
	}
	w.wantState(code, "declined")
	w.refused(arrival(code, "one"), landing.ErrCodeUsed)
	w.wantCalls(code, 1)
	w.must(w.redis.Client.Del(w.t.Context(), w.store.Key("revoked", provider.OperatorID)).Err())
}

func refusedVerdicts(w *world) {
	for _, tt := range []struct {
		fault  koubeisim.Fault
		want   error
		stored string // other versions read it
		life   time.Duration
	}{
		{koubeisim.InvalidParameter, alipay.ErrInvalidParameter, "invalid_parameter", 10 * time.Minute},
		{koubeisim.NotExist, alipay.ErrCodeNotExist, "code_not_exist", time.Minute},
		{koubeisim.Expired, alipay.ErrCodeExpired, "code_expired", 10 * time.Minute},
		{koubeisim.AccessDenied, alipay.ErrAccessNotAllowed, "access_not_allowed", 10 * time.Minute},
	} {
		code := w.koubei.Issue(provider)
		w.koubei.Next(tt.fault)
		w.refused(arrival(code, "one"), tt.want)
		w.wantState(code, "refused")
		if got := w.record(code).Verdict; got != tt.stored {
			w.t.Errorf("got the verdict %q in the ledger, want %q", got, tt.stored)
		}
		w.wantLife(code, tt.life)
		w.refused(arrival(code, "one"), tt.want)
		w.refused(arrival(code, "another"), tt.want)
		w.wantCalls(code, 1)
		w.must(w.redis.Client.Del(w.t.Context(), w.key(code)).Err()) // the question has expired
		w.land(arrival(code, "one"), landing.Landed)
	}
}

func refusedUnknown(w *world) {
	w.must(w.redis.Client.Set(w.t.Context(), w.key("code"), `{"state":"refused","verdict":"something_new"}`, time.Minute).Err())
	w.refused(arrival("code", "one"), landing.ErrCodeUsed)
}

func heldUnreadable(w *world) {
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	a := arrival(w.koubei.Issue(provider), "one")
	w.land(signedIn(a, current), landing.Asked)
	var e map[string]any
	w.must(json.Unmarshal([]byte(w.redis.Client.Get(w.t.Context(), w.key(a.Code)).Val()), &e))
	sealer, err := session.NewSealer(sealKey('a'))
	w.must(err)
	e["grant"] = sealer.Seal(session.SealHeld, operator.HashCode(w.koubei.AppID(), a.Code), []byte(`["something new"]`))
	raw, err := json.Marshal(e)
	w.must(err)
	w.must(w.redis.Client.Set(w.t.Context(), w.key(a.Code), raw, time.Minute).Err())
	w.signOut(current)
	if out, err := w.Land(w.t.Context(), a); err == nil {
		w.t.Errorf("got %q for %q, want an error", out.Result, out.Session.OperatorID)
	}
	w.wantState(a.Code, "held") // a newer replica can read it
}

func releasedAfterFailure(w *world) {
	for _, tt := range []struct {
		fault koubeisim.Fault
		want  error
	}{
		{koubeisim.InvalidAppID, alipay.ErrRejected},
		{koubeisim.UnsignedExpired, alipay.ErrRejected},
		{koubeisim.Trailing, alipay.ErrUntrusted},
	} {
		code := w.koubei.Issue(provider)
		w.koubei.Next(tt.fault)
		w.refused(arrival(code, "one"), tt.want)
		w.wantState(code, "")
		if strings.Contains(w.log.String(), `"level":"WARN"`) {
			w.t.Error("the log reports a write that did not fail")
		}
		_, _ = w.Land(w.t.Context(), arrival(code, "another"))
		w.wantCalls(code, 2)
	}
}

// TestAQuestionYieldsToAnotherOutcome: when the landing wants to ask, another one has settled the code.
func TestAQuestionYieldsToAnotherOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	asked := signedIn(arrival(w.koubei.Issue(provider), "one"), current)
	w.land(asked, landing.Asked)
	question := w.redis.Client.Get(t.Context(), w.key(asked.Code)).Val()
	for _, row := range []struct {
		name, entry string
		want        landing.Result
		err         error
	}{
		{"declined", `{"state":"declined","owner":"another"}`, "", landing.ErrCodeUsed},
		{"another browser was asked", `{"state":"held","owner":"another","browsers":["another"]}`, "", landing.ErrCodeUsed},
		{"asked by the same browser", question, landing.Asked, nil},
	} {
		w.koubei.Next(koubeisim.SpendThenHold)
		a := signedIn(arrival(w.koubei.Issue(provider), "one"), current)
		done := w.background(w.replica, a)
		w.awaitHeld(1)
		w.must(w.redis.Client.Set(t.Context(), w.key(a.Code), row.entry, time.Minute).Err())
		w.koubei.Release()
		if out := <-done; out.Result != row.want || !errors.Is(out.err, row.err) {
			t.Errorf("%s: got %q, %v, want %q, %v", row.name, out.Result, out.err, row.want, row.err)
		}
	}
}

// TestALandingUsesNoMoreCommandsThanItNeeds counts what only a busy Redis would notice.
func TestALandingUsesNoMoreCommandsThanItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.koubei.Issue(provider)
	token := w.land(arrival(code, "one"), landing.Landed).Token
	reads := w.tap.count("get")
	w.refused(arrival(code, "another"), landing.ErrCodeUsed)
	if n := reads.Load(); n != 1 {
		t.Errorf("a used code: got %d reads, want only that of the arrival, with the claim", n)
	}
	writes := w.tap.count("eval:session")
	w.land(signedIn(arrival(w.koubei.Issue(second), "one"), token), landing.Landed)
	if n := writes.Load(); n != 1 {
		t.Errorf("one more partner: got %d writes of the session, want 1", n)
	}
	writes = w.tap.count("eval:session")
	w.land(arrival(w.koubei.Issue(provider), "one"), landing.Landed)
	if n := writes.Load(); n != 1 {
		t.Errorf("another tab: got %d writes of the session, want 1: the claim finds it", n)
	}
	writes = w.tap.count("eval:code")
	last := arrival(w.koubei.Issue(provider), "two")
	last.Tokens = []session.Token{w.land(last, landing.Landed).Token}
	if n := writes.Load(); n != 2 {
		t.Errorf("a landing: got %d writes of the ledger, want its claim and its outcome", n)
	}
	w.clock.Turn(16 * time.Minute)
	reads = w.tap.count("get")
	w.land(last, landing.Replayed)
	if n := reads.Load(); n != 1 {
		t.Errorf("a replay after more than a quarter of an hour: got %d reads, want only that of the session", n)
	}
	reads = w.tap.count("get")
	<-w.RetriesDone()
	if n := reads.Load(); n != 0 {
		t.Errorf("after the landings: got %d reads in the background, want none", n)
	}
}

func TestOnlyTheOwnerOfAClaimSettlesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		name  string
		state koubeisim.CodeState
	}{
		{"a session", koubeisim.CodeFresh},
		{"a verdict", koubeisim.CodeUnknown},
	} {
		code := w.koubei.IssueIn(tt.state, provider)
		w.koubei.Next(koubeisim.Hold)
		done := w.background(w.replica, arrival(code, "one"))
		w.awaitHeld(1)
		w.claimedBy(code, "another replica", time.Minute, "two") // as if the lease had ended in the meantime
		w.koubei.Release()
		<-done
		if got := w.record(code); got.State != "open" || got.Owner != "another replica" {
			t.Errorf("%s: got %+v, want the other's claim untouched", tt.name, got)
		}
	}
}

func TestFailureReleasesOwnClaimOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.timeout = 300 * time.Millisecond })
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.Hold)
	done := w.background(w.replica, arrival(code, "one"))
	w.awaitHeld(1)
	w.claimedBy(code, "another replica", time.Minute, "two")
	if out := <-done; out.err == nil {
		t.Errorf("got %q, want a failure after the time-out", out.Result)
	}
	if got := w.record(code); got.Owner != "another replica" {
		t.Errorf("got %+v, want the other's claim untouched", got)
	}
}

func TestOutcomeIsWrittenWithoutClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(w.replica, arrival(code, "one"))
	w.awaitHeld(1)
	w.must(w.redis.Client.FlushAll(t.Context()).Err()) // Redis restarts with empty data
	w.koubei.Release()
	first := <-done
	w.wantState(code, "landed")
	// The response to the browser was lost.
	if again := w.land(arrival(code, "one"), landing.Replayed); again.Token != first.Token {
		t.Error("got another token")
	}
	w.wantCalls(code, 1)
}

func TestQuestionIsHeldWithoutClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(w.replica, signedIn(arrival(code, "one"), current))
	w.awaitHeld(1)
	w.must(w.redis.Client.FlushAll(t.Context()).Err())
	w.koubei.Release()
	if out := <-done; out.Result != landing.Asked {
		t.Fatalf("got %q, %v, want asked", out.Result, out.err)
	}
	w.land(signedIn(arrival(code, "one"), current), landing.Landed) // the other session was lost with Redis's data
	w.wantCalls(code, 1)
}

// TestLostReplyIsDetected repeats every write, as go-redis does after a lost reply.
func TestLostReplyIsDetected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if strings.Contains(names, "eval") {
			if err := send(ctx); err != nil {
				return err
			}
		}
		return send(ctx)
	})
	code := w.koubei.Issue(provider)
	out := w.land(arrival(code, "one"), landing.Landed)
	w.wantState(code, "landed")
	w.land(arrival(code, "one"), landing.Replayed)
	w.wantCalls(code, 1)

	busy := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.InvalidAppID)
	w.refused(arrival(busy, "one"), alipay.ErrRejected)
	w.wantState(busy, "")

	held := w.koubei.Issue(merchant)
	w.land(signedIn(arrival(held, "one"), out.Token), landing.Asked)
	w.wantState(held, "held")
}

// TestCanceledLandingIsReplayed: the browser leaves before Redis replies to the claim.
func TestCanceledLandingIsReplayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.koubei.Issue(provider)
	ctx, leave := context.WithCancel(t.Context())
	w.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		err := send(context.WithoutCancel(ctx))
		if strings.Contains(names, "eval:code") {
			leave()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	})
	_, _ = w.Land(ctx, arrival(code, "one"))
	w.tap.with(nil)
	begun := time.Now()
	w.land(arrival(code, "one"), landing.Replayed)
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("the same browser waited for %s", took)
	}
	w.wantCalls(code, 1)
}

func TestWithoutRedisNoCodeIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.koubei.Issue(provider)
	w.tap.cut()
	w.refused(arrival(code, "one"), store.ErrUnavailable)
	w.tap.with(nil)
	w.wantCalls(code, 0)
	w.land(arrival(code, "one"), landing.Landed)
}
