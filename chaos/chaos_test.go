// Package chaos_test stages everything at once: three replicas as real processes, a real Redis that keeps what it has
// acknowledged, a Koubei whose gateway fails in a queued order, and people who land, refresh, click twice, leave and come
// back, work for several merchants and sign out, while Redis is killed and frozen, replicas are killed and rolled, and
// thieves try the same links without having brought the code.
//
// It then counts what must never happen. Two ways to lose a code are nobody's fault, are recognised by their evidence, and
// are counted apart: see judge.
//
// A run is repeated with its seed, as far as a concurrent test can be: who does what, which faults the gateway has and
// which trouble comes next follow from it; what meets what does not.
package chaos_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/history"
	"koubei-landing/koubeisim"
)

var (
	landings = flag.Int("chaos.landings", 200, "how many codes must lead to a session before the test ends")
	seed     = flag.Uint64("chaos.seed", 0, "what a run is repeated with; 0 takes one from the clock")
	atOnce   = flag.Int("chaos.people", 80, "how many people are about at once")
)

// world is all that a run is made of.
type world struct {
	t        *testing.T
	seed     uint64
	koubei   *koubeisim.Koubei
	gateway  *gateway
	redis    *testworld.Redis
	outages  *spans // of Redis
	replicas []*replica
	tally    *tally
	given    testworld.Log // keeps the cookies that browsers were given
	history  *history.History
}

func TestChaos(t *testing.T) {
	began := time.Now()
	w := newWorld(t)
	t.Logf("seed %d: repeat with -chaos.seed=%d -chaos.landings=%d", w.seed, w.seed, *landings)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("failed with -chaos.seed=%d", w.seed)
		}
	})
	ctx, enough := context.WithCancel(t.Context())
	defer enough()

	people := startPeople(ctx, w)
	thieves := startThieves(ctx, w)
	w.trouble(people.enough)
	w.calm()
	<-people.done
	people.finish()
	enough()
	thieves.Wait()

	w.readLogs()
	r := w.judge(people)
	t.Logf("\n%s", r.table(w, time.Since(began)))
	w.checkHistory()
	r.demandZeros(t)
	w.tally.demandZeros(t)
	if got := r.landings; got < *landings {
		t.Errorf("%d landings, want %d", got, *landings)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, seed: *seed, outages: &spans{}, tally: &tally{}, history: &history.History{}}
	if w.seed == 0 {
		w.seed = uint64(time.Now().UnixNano())
	}
	w.redis = testworld.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	w.koubei = testworld.NewKoubei(t, koubeisim.Options{CodeLifetime: time.Hour, SlowFor: 700 * time.Millisecond})
	w.gateway = &gateway{koubei: w.koubei}
	w.queueFaults()
	w.startReplicas(3)
	if err := w.koubei.SetLandingURL(w.replicas[0].public + "/koubei/callback"); err != nil {
		t.Fatal(err)
	}
	return w
}

// random returns the dice of one purpose, or of one person.
func (w *world) random(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, purpose)) }

// The purposes besides people, who are numbered.
const (
	forTrouble = 1<<40 + iota
	forFaults
	forThieves
)

// queueFaults gives the gateway's calls their faults, about two calls for each landing. What the queue needs where a call
// shall go well is an honest answer that is spelled unusually.
func (w *world) queueFaults() {
	dice := w.random(forFaults)
	for range 2 * *landings {
		w.koubei.Next(drawFault(dice))
	}
}

func drawFault(dice *rand.Rand) koubeisim.Fault {
	among := func(f ...koubeisim.Fault) koubeisim.Fault { return f[dice.IntN(len(f))] }
	switch n := dice.IntN(100); {
	case n < 12: // nothing is spent, and the same code may be tried again
		return among(koubeisim.Busy, koubeisim.BusyUnsigned, koubeisim.SystemError, koubeisim.Limited, koubeisim.Drop,
			koubeisim.Empty, koubeisim.HTML, koubeisim.Status500, koubeisim.Status502)
	case n < 18:
		return among(koubeisim.Slow, koubeisim.SlowBy(100*time.Millisecond), koubeisim.SlowBy(2*time.Second))
	case n < 24: // spent, and the answer is under way for a while
		return koubeisim.SpendThenSlow
	case n < 26: // verdicts
		return among(koubeisim.Expired, koubeisim.AccessDenied, koubeisim.InvalidParameter, koubeisim.NotExist)
	case n < 28: // spent, and the answer is lost
		return among(koubeisim.SpendThenDrop, koubeisim.DropMidway, koubeisim.Truncated, koubeisim.SpendThenBusy)
	}
	return among(koubeisim.Spaced, koubeisim.SignFirst)
}

// span is a time in which something was out of order; it has no end while it still is.
type span struct{ from, to time.Time }

// spans are those of one process.
type spans struct {
	mu  sync.Mutex
	all []span
}

func (s *spans) open(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, span{from: at})
}

func (s *spans) close(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[len(s.all)-1].to = at
}

// touch reports whether one of the spans and the time from one moment to another have anything in common.
func (s *spans) touch(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		if !x.from.After(to) && (x.to.IsZero() || !x.to.Before(from)) {
			return true
		}
	}
	return false
}

// began reports whether one of the spans began between two moments.
func (s *spans) began(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		if !x.from.Before(from) && !x.from.After(to) {
			return true
		}
	}
	return false
}

func (s *spans) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// pause waits, as long as ctx allows.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
