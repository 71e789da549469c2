package landing_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// lose makes Redis fail between exchange and save, for a replica that never reaches it again. It returns the pending grant
// of the browser.
func (w *world) lose(a landing.Arrival) string {
	w.t.Helper()
	w.koubei.Next(koubeisim.SpendThenHold)
	lost := w.open()
	done := w.background(lost, a)
	w.awaitHeld(1)
	lost.tap.cut()
	w.koubei.Release()
	out := <-done
	if !errors.Is(out.err, store.ErrUnavailable) || out.Pending == "" || out.Token != "" {
		w.t.Fatalf("got %q, %v, pending %q; want unavailable with the grant", out.Result, out.err, out.Pending)
	}
	return out.Pending
}

// sealed returns a pending grant of a code as a replica with the same key would seal it.
func (w *world) sealed(code, grant string) string {
	w.t.Helper()
	sealer, err := session.NewSealer(sealKey('a'))
	w.must(err)
	return sealer.Seal(session.SealPending, operator.HashCode(w.koubei.AppID(), code), []byte(grant))
}

func TestAPendingGrantLandsOnAnotherReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, meanwhile := range map[string]func(code string){
		"Redis intact": func(code string) { w.wantState(code, "open") },
		"Redis empty":  func(string) { w.must(w.redis.Client.FlushAll(t.Context()).Err()) },
	} {
		code := w.koubei.Issue(provider)
		a := arrival(code, "one", "two")
		a.Pending = []string{"junk", w.sealed(a.Code, `{"Grant":{}}`), w.lose(a)} // the second is too old
		meanwhile(code)
		a.Browsers = []string{"new", "two"}
		other := w.open(func(s *settings) {
			s.limit.Take = func(string) (func(), bool) { return nil, false } // it was counted before
		})
		begun := time.Now()
		out, err := other.Land(t.Context(), a)
		if err != nil || out.Result != landing.Landed || out.Session.OperatorID != provider.OperatorID || out.Pending != "" {
			t.Fatalf("%s: got %q, %v", name, out.Result, err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%s: the retry waited for %s", name, took)
		}
		w.wantState(code, "landed")
		w.wantCalls(code, 1)
		// The same cookie again: the same session.
		if again := w.land(a, landing.Replayed); again.Token != out.Token {
			t.Errorf("%s: got another token", name)
		}
		w.signOut(out.Token)
		w.refused(a, landing.ErrCodeUsed)
	}
}

func TestInvalidPendingGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		name string
		bend func(a *landing.Arrival)
	}{
		{"forged", func(a *landing.Arrival) { a.Pending = []string{flip(a.Pending[0])} }},
		{"made up", func(a *landing.Arrival) { a.Pending = []string{strings.Repeat("A", 200)} }},
		{"too old", func(*landing.Arrival) { w.clock.Turn(15 * time.Minute) }},
		{"another browser's", func(a *landing.Arrival) { a.Browsers = []string{"thief"} }},
		{"without an arrival", func(a *landing.Arrival) { a.Browsers = nil }},
		{"of an empty arrival", func(a *landing.Arrival) { a.Browsers = []string{""} }},
		{"in another format", func(a *landing.Arrival) {
			sealer, err := session.NewSealer(sealKey('a'))
			w.must(err)
			grant, err := sealer.Open(session.SealPending, operator.HashCode(w.koubei.AppID(), a.Code), a.Pending[0])
			w.must(err)
			a.Pending = []string{w.sealed(a.Code, strings.Replace(string(grant), `"Owner":"`, `"Owner":0,"Was":"`, 1))}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := w.koubei.Issue(provider)
			a := arrival(code, "one")
			a.Pending = []string{w.lose(a)}
			w.must(w.redis.Client.FlushAll(t.Context()).Err())
			tt.bend(&a)
			out, err := w.Land(t.Context(), a)
			// The grant is ignored: the gateway gets the code and replies that it was used.
			if err == nil || out.Token != "" || !errors.Is(err, alipay.ErrCodeNotExist) && !errors.Is(err, alipay.ErrCodeExpired) {
				t.Errorf("got %q, %v, want the gateway's refusal", out.Result, err)
			}
			if live, _ := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 0 {
				t.Errorf("got %d sessions, want none", len(live))
			}
		})
	}
}

func flip(s string) string {
	b := []byte(s)
	if b[len(b)/2] ^= 1; b[len(b)/2] == s[len(b)/2] {
		panic("not flipped")
	}
	return string(b)
}

func TestAPendingGrantIsBoundToItsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	sealed := w.lose(a)
	other := arrival(w.koubei.Issue(merchant), "one")
	other.Pending = []string{sealed}
	if out := w.land(other, landing.Landed); out.Session.OperatorID != merchant.OperatorID {
		t.Errorf("got %s by a grant of another code", out.Session.OperatorID)
	}
	// A value that was sealed for another purpose is not a grant.
	sealer, err := session.NewSealer(sealKey('a'))
	w.must(err)
	code := w.koubei.IssueIn(koubeisim.CodeUnknown, provider)
	forged := arrival(code, "one")
	forged.Pending = []string{sealer.Seal(session.SealHeld, operator.HashCode(w.koubei.AppID(), code), []byte(`{}`))}
	w.refused(forged, alipay.ErrCodeNotExist)
}

func TestSealKeysRotatedBeforeRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Pending = []string{w.lose(a)}
	w.must(w.redis.Client.FlushAll(t.Context()).Err())
	dropped := w.open(func(s *settings) { s.keys = [][]byte{sealKey('b')} })
	if _, err := dropped.Land(t.Context(), a); !errors.Is(err, alipay.ErrCodeNotExist) {
		t.Errorf("the old key dropped: got %v, want the gateway's refusal", err)
	}
	rotated := w.open(func(s *settings) { s.keys = [][]byte{sealKey('b'), sealKey('a')} })
	if out, err := rotated.Land(t.Context(), a); err != nil || out.Result != landing.Landed {
		t.Errorf("the old key second: got %q, %v", out.Result, err)
	}
	w.wantCalls(a.Code, 2)
}

func TestPendingGrantReplacesRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	sealed := w.lose(a)
	w.must(w.redis.Client.FlushAll(t.Context()).Err())
	// Another user with the same link causes the gateway to reply that the code was used.
	w.refused(arrival(a.Code, "thief"), alipay.ErrCodeNotExist)
	w.wantState(a.Code, "refused")
	a.Pending = []string{sealed}
	w.land(a, landing.Landed)
}

func TestAPendingGrantWaitsForAStrangersClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Pending = []string{w.lose(a)}
	w.claimedBy(a.Code, "somebody else", time.Minute, "thief")
	w.replica = w.open(func(s *settings) { s.timeout = 200 * time.Millisecond })
	w.refused(a, landing.ErrInProgress)
	if got := w.record(a.Code).Owner; got != "somebody else" {
		t.Errorf("got the claim of %q, want it left alone", got)
	}
	w.must(w.redis.Client.Del(t.Context(), w.key(a.Code)).Err()) // its lease has ended
	w.land(a, landing.Landed)
	w.wantCalls(a.Code, 1)
}

// TestAPendingGrantWaitsForASlot checks that it does not poll Redis while it waits.
func TestAPendingGrantWaitsForASlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.concurrency = 1 })
	a := arrival(w.koubei.Issue(provider), "one")
	a.Pending = []string{w.lose(a)}
	w.koubei.Next(koubeisim.Hold)
	busy := w.background(w.replica, arrival(w.koubei.Issue(merchant), "two"))
	w.awaitHeld(1)
	reads := w.tap.count("get")
	waiting := w.background(w.replica, a)
	testworld.Eventually(t, 30*time.Second, "the landing waits", func() error {
		if reads.Load() == 0 {
			return errors.New("it has not read the ledger yet")
		}
		return nil
	})
	select {
	case out := <-waiting:
		t.Fatalf("got %q, %v while there was no slot", out.Result, out.err)
	case <-time.After(200 * time.Millisecond):
	}
	if n := reads.Load(); n > 4 {
		t.Errorf("read the ledger %d times while it waited, want at most 4", n)
	}
	w.koubei.Release()
	if out := <-waiting; out.err != nil || out.Result != landing.Landed {
		t.Errorf("got %q, %v, want landed", out.Result, out.err)
	}
	<-busy
	w.land(arrival(w.koubei.Issue(provider), "three"), landing.Landed) // the slot is free again
}

func TestHeldAndDeclinedPrecedePendingGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	current := w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed).Token
	a := signedIn(arrival(w.koubei.Issue(provider), "one"), current)
	a.Pending = []string{w.lose(a)}
	asked := w.land(a, landing.Asked)
	w.wantState(a.Code, "held")
	w.land(a, landing.Asked)
	w.decide(asked, a, false, landing.Kept)
	w.refused(a, landing.ErrCodeUsed)
	w.signOut(current)
	w.refused(a, landing.ErrCodeUsed)
	w.wantState(a.Code, "declined")
	w.wantCalls(a.Code, 1)
}

func TestRevocationInvalidatesPendingGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Pending = []string{w.lose(a)}
	_, err := w.open().sessions.Revoke(t.Context(), provider.OperatorID)
	w.must(err)
	for range 2 {
		w.refused(a, landing.ErrCodeUsed)
	}
	w.wantState(a.Code, "declined")
	if live, _ := w.sessions.List(t.Context(), provider.OperatorID); len(live) != 0 {
		t.Error("a revoked operator has a session")
	}
}

func TestParallelRetriesOfAPendingGrantMakeOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.open()
	for name, flush := range map[string]bool{"Redis intact": false, "Redis empty": true} {
		a := arrival(w.koubei.Issue(provider), "one")
		a.Pending = []string{w.lose(a)}
		if flush {
			w.must(w.redis.Client.FlushAll(t.Context()).Err())
		}
		var all []<-chan ended
		for i := range 8 {
			all = append(all, w.background([]*replica{w.replica, other}[i%2], a))
		}
		first := <-all[0]
		for _, done := range all[1:] {
			if out := <-done; out.err != nil || out.Token != first.Token {
				t.Errorf("%s: got %q, %v, want one token for all", name, out.Result, out.err)
			}
		}
		live, err := w.sessions.List(t.Context(), provider.OperatorID)
		w.must(err)
		if len(live) != 1 {
			t.Errorf("%s: got %d sessions, want 1", name, len(live))
		}
		w.wantCalls(a.Code, 1)
		w.signOut(first.Token)
	}
}

// TestRedisLostAgain: Redis is unavailable again when the pending grant is retried.
func TestRedisLostAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := arrival(w.koubei.Issue(provider), "one")
	a.Pending = []string{w.lose(a)}
	w.tap.cut()
	if out, err := w.Land(t.Context(), a); !errors.Is(err, store.ErrUnavailable) || out.Pending != "" {
		t.Errorf("before the claim: got %v, want the same cookie kept", err)
	}
	w.tap.fail("eval:operator")
	out, err := w.Land(t.Context(), a)
	if !errors.Is(err, store.ErrUnavailable) || out.Pending == "" {
		t.Fatalf("after the claim: got %v, want the grant once more", err)
	}
	w.tap.with(nil)
	a.Pending = []string{out.Pending}
	w.land(a, landing.Landed)
	w.wantCalls(a.Code, 1)
}

func TestABrowserWithoutAnArrivalGetsNoPendingGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.koubei.Next(koubeisim.SpendThenHold)
	done := w.background(w.replica, arrival(w.koubei.Issue(provider)))
	w.awaitHeld(1)
	w.tap.cut()
	w.koubei.Release()
	if out := <-done; out.Pending != "" || !errors.Is(out.err, store.ErrUnavailable) {
		t.Errorf("got %q, %v: nothing to bind it to", out.Pending, out.err)
	}
}
