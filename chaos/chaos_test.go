// Package chaos_test runs three replicas as real processes, a real Redis that keeps what it has acknowledged, and a Koubei
// whose gateway fails in a queued order. People land, refresh, double-click, leave and come back, work for several merchants
// and sign out. Meanwhile the test kills and freezes Redis, kills and restarts replicas, and lets thieves try the same links.
//
// The test then counts what must never happen. It counts separately two ways to lose a code that the service cannot prevent,
// and recognizes them by their evidence: see judge.
//
// The seed determines what each person does, the faults of the gateway and the order of the troubles. It does not determine
// which of them happen at the same time.
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

// world holds everything that a run consists of.
type world struct {
	t        *testing.T
	seed     uint64
	koubei   *koubeisim.Koubei
	gateway  *gateway
	redis    *testworld.Redis
	outages  *spans // of Redis
	replicas []*replica
	tally    *tally
	given    testworld.Log // collects the cookies of the browsers, which no log may contain
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
	w.koubei = testworld.NewKoubei(koubeisim.Options{CodeLifetime: time.Hour, SlowFor: 700 * time.Millisecond})
	w.gateway = &gateway{koubei: w.koubei}
	w.queueFaults()
	w.startReplicas(3)
	if err := w.koubei.SetLandingURL(w.replicas[0].public + "/koubei/callback"); err != nil {
		t.Fatal(err)
	}
	return w
}

// random returns the random numbers of one purpose or of one person.
func (w *world) random(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, purpose)) }

// The purposes. People have smaller numbers.
const (
	forTrouble = 1<<40 + iota
	forFaults
	forThieves
)

// queueFaults queues a fault for each call of the gateway, about two calls for each landing. For a call that must succeed, it
// queues a valid response in an unusual spelling.
func (w *world) queueFaults() {
	dice := w.random(forFaults)
	for range 2 * *landings {
		w.koubei.Next(drawFault(dice))
	}
}

func drawFault(dice *rand.Rand) koubeisim.Fault {
	among := func(f ...koubeisim.Fault) koubeisim.Fault { return f[dice.IntN(len(f))] }
	switch n := dice.IntN(100); {
	case n < 12: // the code is not spent and may be tried again
		return among(koubeisim.Busy, koubeisim.BusyUnsigned, koubeisim.SystemError, koubeisim.Limited, koubeisim.Drop,
			koubeisim.Empty, koubeisim.HTML, koubeisim.Status500, koubeisim.Status502)
	case n < 18:
		return among(koubeisim.Slow, koubeisim.SlowBy(100*time.Millisecond), koubeisim.SlowBy(2*time.Second))
	case n < 24: // the code is spent, and the response is late
		return koubeisim.SpendThenSlow
	case n < 26: // verdicts
		return among(koubeisim.Expired, koubeisim.AccessDenied, koubeisim.InvalidParameter, koubeisim.NotExist)
	case n < 28: // the code is spent, and the response is lost
		return among(koubeisim.SpendThenDrop, koubeisim.DropMidway, koubeisim.Truncated, koubeisim.SpendThenBusy)
	}
	return among(koubeisim.Spaced, koubeisim.SignFirst)
}

// span is a period in which something was broken. It has no end while that lasts.
type span struct{ from, to time.Time }

// spans are the periods of one process.
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

// touch reports whether one of the spans overlaps the period between two moments.
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
