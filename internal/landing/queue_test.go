package landing_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

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
