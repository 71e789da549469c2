package landing_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

func from(client string, a landing.Arrival) landing.Arrival {
	a.Client = client
	return a
}

// TestOneClientLeavesSlotsForOthers: a client that holds the maximum of slots waits for its own slots, and other clients do
// not wait.
func TestOneClientLeavesSlotsForOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.concurrency, s.timeout = 4, 10*time.Second })
	var greedy []<-chan ended
	for i := range 6 {
		w.koubei.Next(koubeisim.Hold)
		greedy = append(greedy, w.background(w.replica, from("192.0.2.66", arrival(w.koubei.Issue(provider), fmt.Sprint("greedy", i)))))
	}
	w.awaitHeld(3)
	w.koubei.Next(koubeisim.Hold)
	other := w.background(w.replica, from("192.0.2.1", arrival(w.koubei.Issue(merchant), "other")))
	w.awaitHeld(4) // within its 5 seconds, so the other client did not wait for the three
	w.koubei.Release()
	if out := <-other; out.err != nil {
		t.Errorf("the other client: %v", out.err)
	}
	for _, done := range greedy {
		testworld.Eventually(t, 10*time.Second, "the greedy client lands in its turn", func() error {
			w.koubei.Release()
			select {
			case out := <-done:
				if out.err != nil {
					t.Errorf("the greedy client: %v", out.err)
				}
				return nil
			default:
				return errors.New("waiting")
			}
		})
	}
}

// TestRateLimitIsCheckedBeforeWaiting: while all slots are taken, a landing over the limit is refused at once, and a
// landing whose code is known is not limited and needs no slot.
func TestRateLimitIsCheckedBeforeWaiting(t *testing.T) {
	t.Parallel()
	limited := landing.Limit{Take: func(client string) (func(), bool) { return func() {}, client != "limited" }}
	w := newWorld(t, func(s *settings) { s.concurrency, s.timeout, s.limit = 1, 10*time.Second, limited })
	known := w.koubei.Issue(provider)
	w.land(arrival(known, "known"), landing.Landed)
	w.koubei.Next(koubeisim.Hold)
	busy := w.background(w.replica, arrival(w.koubei.Issue(provider), "busy"))
	w.awaitHeld(1)
	began := time.Now()
	code := w.koubei.Issue(merchant)
	w.refused(from("limited", arrival(code, "one")), landing.ErrRateLimited)
	w.land(from("limited", arrival(known, "known")), landing.Replayed)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	w.wantCalls(code, 0)
	w.koubei.Release()
	<-busy
}

// TestWaitingLandingsAreDrained: landings that wait make no claim, and landings that have claimed continue.
func TestWaitingLandingsAreDrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.concurrency, s.timeout = 1, 10*time.Second })
	w.koubei.Next(koubeisim.Hold)
	first := w.koubei.Issue(provider)
	claimed := w.background(w.replica, arrival(first, "one"))
	w.awaitHeld(1)
	waiting := w.koubei.Issue(merchant)
	forSlot := w.background(w.replica, arrival(waiting, "two"))
	forCode := w.background(w.replica, arrival(first, "one"))
	w.EndBy(time.Now().Add(w.lease - time.Millisecond))
	w.Drain()
	for name, done := range map[string]<-chan ended{"for a slot": forSlot, "for a code": forCode} {
		if out := <-done; !errors.Is(out.err, landing.ErrDraining) {
			t.Errorf("waiting %s: got %q, %v, want draining", name, out.Result, out.err)
		}
	}
	w.koubei.Release()
	if out := <-claimed; out.err != nil || out.Result != landing.Landed {
		t.Errorf("claimed before: got %q, %v, want landed", out.Result, out.err)
	}
	w.refused(arrival(waiting, "two"), landing.ErrDraining) // its lease would outlast the shutdown
	w.wantCalls(waiting, 0)

	w.replica = w.open()
	w.EndBy(time.Now().Add(w.lease + time.Minute))
	w.Drain()
	w.land(arrival(waiting, "two"), landing.Landed)
	<-w.RetriesDone()
}

// TestAWaitingLandingLooksForSessionsNowAndThen: it reads the ledger at every poll, and the arrivals' sessions at one of twenty.
func TestAWaitingLandingLooksForSessionsNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	waiting := w.open()
	a := arrival(w.koubei.Issue(provider), "one", "two")
	w.koubei.Next(koubeisim.SpendThenHold)
	first := w.background(w.replica, a)
	w.awaitHeld(1)
	var ledger, sessions atomic.Int64
	waiting.tap.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		switch names {
		case "get":
			ledger.Add(1)
		case "get get":
			sessions.Add(1)
		}
		return send(ctx)
	})
	second := w.background(waiting, a)
	testworld.Eventually(t, time.Minute, "it has read the sessions twice", func() error {
		if n := sessions.Load(); n < 2 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	if polls, looks := ledger.Load(), sessions.Load(); looks*15 > polls {
		t.Errorf("got %d lookups in %d polls, want one of twenty", looks, polls)
	}
	w.koubei.Release()
	<-first
	<-second
}

func TestSixtyFourWaitForOneCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.concurrency = 2 })
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.Hold)
	first := w.background(w.replica, arrival(code, "one"))
	w.awaitHeld(1)
	results := make(chan error, 200)
	bring := func(ctx context.Context, n int) {
		for range n {
			go func() {
				_, err := w.Land(ctx, arrival(code, "one"))
				results <- err
			}()
		}
	}
	leaving, leave := context.WithCancel(t.Context())
	bring(leaving, 70)
	for range 6 {
		if err := <-results; !errors.Is(err, landing.ErrOverloaded) {
			t.Errorf("got %v, want overloaded for those above 64", err)
		}
	}
	leave()
	for range 64 {
		<-results
	}
	gets := w.tap.count("get")
	bring(t.Context(), 64) // in the places of those that left
	testworld.Eventually(t, 10*time.Second, "each has polled again: it is counted once, not at every poll", func() error {
		if n := gets.Load(); n < 64*4 {
			return fmt.Errorf("got %d reads", n)
		}
		return nil
	})
	// They wait for one code and do not block other landings, although there are only two gateway slots.
	w.land(arrival(w.koubei.Issue(merchant), "another"), landing.Landed)
	w.koubei.Release()
	if out := <-first; out.Result != landing.Landed {
		t.Errorf("the first: got %q, %v", out.Result, out.err)
	}
	for range 64 {
		if err := <-results; err != nil {
			t.Errorf("one that waited: %v", err)
		}
	}
	w.wantCalls(code, 1)
}

// refusedAtOnce reports whether a landing did not wait. The error of a landing that has waited wraps ErrOverloaded.
func refusedAtOnce(err error) bool {
	return err == landing.ErrOverloaded //nolint:errorlint // see above
}

// refill starts another landing for each that was refused because a probe had taken the last slot.
func refill(results chan error, begin func(int)) {
	for n := len(results); n > 0; n-- {
		if err := <-results; refusedAtOnce(err) {
			begin(0) // the code does not matter, because none is claimed
		} else {
			results <- err
		}
	}
}

func TestAThousandWaitForTheGateway(t *testing.T) {
	t.Parallel()
	const most = 1024
	// A long Redis timeout: on a busy machine, landings whose read times out would not wait, and the queue would not fill.
	w := newWorld(t, func(s *settings) { s.concurrency, s.timeout, s.redis = 1, 30*time.Second, 10*time.Second })
	w.koubei.Next(koubeisim.Hold)
	first := w.background(w.replica, arrival(w.koubei.Issue(provider), "one"))
	w.awaitHeld(1)
	ctx, stop := context.WithCancel(t.Context())
	results := make(chan error, most)
	looks := w.tap.count("get")
	begin := func(i int) {
		go func() {
			_, err := w.Land(ctx, arrival(fmt.Sprintf("code%d", i), "one"))
			results <- err
		}()
	}
	for i := range most {
		begin(i)
		for i%32 == 31 && looks.Load() < int64(i) { // no more concurrent reads than Redis can answer in time
			runtime.Gosched()
		}
	}
	// All of them wait for a slot. One more is refused at once, without waiting.
	testworld.Eventually(t, 10*time.Second, "the queue is full", func() error {
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := w.Land(short, arrival("one more", "one")); !refusedAtOnce(err) {
			refill(results, begin)
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
	// A landing that the ledger can answer needs no slot.
	known := w.koubei.Issue(provider)
	w.must(w.redis.Client.Set(t.Context(), w.key(known), `{"state":"refused","verdict":"code_expired"}`, time.Minute).Err())
	w.refused(arrival(known, "one"), alipay.ErrCodeExpired)
	stop()
	turnedAway := 0
	for range most {
		if err := <-results; refusedAtOnce(err) {
			turnedAway++
		}
	}
	if turnedAway > 0 {
		t.Errorf("got %d of %d turned away, want them to wait", turnedAway, most)
	}
	w.koubei.Release()
	if out := <-first; out.err != nil {
		t.Error(out.err)
	}
	if n := len(w.koubei.Calls()); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
}

// TestALandingCountsOnce: one that waits for a slot counts, and one that waits for another landing of its code does not.
func TestALandingCountsOnce(t *testing.T) {
	t.Parallel()
	var counted atomic.Int64
	w := newWorld(t, func(s *settings) {
		s.concurrency = 1
		s.limit = landing.Limit{Take: func(string) (func(), bool) { counted.Add(1); return func() { counted.Add(-1) }, true }}
	})
	code := w.koubei.Issue(provider)
	w.koubei.Next(koubeisim.Hold)
	first := w.background(w.replica, arrival(code, "one"))
	w.awaitHeld(1)
	reads := w.tap.count("get")
	want := func(what string, landings int64, read int64) {
		testworld.Eventually(t, 10*time.Second, what, func() error {
			if n, looks := counted.Load(), reads.Load(); n != landings || looks < read {
				return fmt.Errorf("got %d counted, want %d, after %d looks at the ledger", n, landings, looks)
			}
			return nil
		})
	}
	same := w.background(w.replica, arrival(code, "another"))
	want("one waits for the code", 1, 3)
	slot := w.background(w.replica, arrival(w.koubei.Issue(merchant), "another"))
	want("one waits for a slot", 2, 4)
	w.koubei.Release()
	if out := <-same; !errors.Is(out.err, landing.ErrCodeUsed) {
		t.Errorf("the same code: got %q, %v, want used", out.Result, out.err)
	}
	for _, done := range []<-chan ended{first, slot} {
		if out := <-done; out.err != nil {
			t.Error(out.err)
		}
	}
	want("both have landed", 2, 0)
}

func TestRateLimitCountsClaimsOnly(t *testing.T) {
	t.Parallel()
	taken := 0
	var given int
	full := false
	w := newWorld(t, func(s *settings) {
		s.limit = landing.Limit{Take: func(client string) (func(), bool) {
			if client != "192.0.2.1" {
				t.Errorf("got client %q", client)
			}
			if full {
				return nil, false
			}
			taken++
			return func() { given++ }, true
		}}
	})
	code := w.koubei.Issue(provider)
	out := w.land(arrival(code, "one"), landing.Landed)
	w.land(arrival(code, "one"), landing.Replayed)
	w.land(signedIn(arrival(code, "one"), out.Token), landing.Replayed)
	w.refused(arrival(code, "thief"), landing.ErrCodeUsed)
	if taken-given != 1 {
		t.Errorf("got %d counted, want 1", taken-given)
	}
	full = true
	w.land(arrival(code, "one"), landing.Replayed)
	w.refused(arrival(code, "thief"), landing.ErrCodeUsed)
	fresh := w.koubei.Issue(provider)
	w.refused(arrival(fresh, "one"), landing.ErrRateLimited)
	w.wantCalls(fresh, 0)
	w.wantState(fresh, "")
}

// TestWaitingLandingsAreCountedWhileTheyWait checks that the count goes down when they stop waiting.
func TestWaitingLandingsAreCountedWhileTheyWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.concurrency, s.timeout, s.redis = 1, 20*time.Second, 10*time.Second })
	w.koubei.Next(koubeisim.Hold)
	busy := w.background(w.replica, arrival(w.koubei.Issue(provider), "busy"))
	w.awaitHeld(1)
	const rounds, each = 12, 100 // more than may wait at once
	for round := range rounds {
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		reads := w.tap.count("get")
		for i := range each {
			all.Go(func() { _, _ = w.Land(ctx, arrival(fmt.Sprintf("code-%d-%d", round, i), "one")) })
		}
		testworld.Eventually(t, 10*time.Second, "all wait", func() error {
			if n := reads.Load(); n < each {
				return fmt.Errorf("%d have read the ledger", n)
			}
			return nil
		})
		leave()
		all.Wait()
	}
	w.tap.with(nil)
	last := w.background(w.replica, arrival(w.koubei.Issue(merchant), "last"))
	select {
	case out := <-last:
		t.Errorf("got %q, %v, want it to wait", out.Result, out.err)
	case <-time.After(100 * time.Millisecond):
	}
	w.koubei.Release()
	<-busy
	if out := <-last; out.err != nil {
		t.Errorf("got %v, want landed", out.err)
	}
}
