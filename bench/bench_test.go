package bench_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"koubei-landing/bench"
	"koubei-landing/internal/testworld"
)

// The rig is started by the first that needs it, and its table printed when all is done.
var (
	rig     *bench.Rig
	failed  error
	once    sync.Once
	matches []*bench.Match
	costs   []bench.Cost
)

func TestMain(m *testing.M) {
	code := m.Run()
	if rig != nil {
		if err := rig.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if len(matches) > 0 {
		fmt.Println()
		bench.Table(os.Stdout, matches)
		fmt.Printf("\n%s\n", bench.CostHeader)
		for _, c := range costs {
			fmt.Println(c)
		}
	}
	os.Exit(code)
}

func started(t testing.TB) *bench.Rig {
	t.Helper()
	once.Do(func() { rig, failed = bench.NewRig(t.Context()) })
	if failed != nil {
		t.Fatal(failed)
	}
	return rig
}

// round is how long each side of a round is driven.
const round = 2 * time.Second

// play plays as many rounds as the benchmark has iterations; -benchtime 7x asks for seven.
func play(b *testing.B, m *bench.Match, once func() error) {
	for b.Loop() {
		if err := once(); err != nil {
			b.Fatal(err)
		}
	}
	matches = append(matches, m)
	rate, cpu := m.Ratios()
	if rate > 0 {
		b.ReportMetric(rate, "x-rate")
	}
	b.ReportMetric(cpu, "x-cpu")
	c, err := rig.Cost(b.Context(), m.Path, 500)
	if err != nil {
		b.Fatal(err)
	}
	costs = append(costs, c)
	b.ReportMetric(c.RoundTrips, "trips/op")
}

// path plays a path whose requests are all alike.
func path(b *testing.B, name string) {
	for _, m := range started(b).Matches() {
		if m.Path.Name == name {
			play(b, m, func() error { return m.Play(b.Context(), bench.Own, round) })
			return
		}
	}
	b.Fatalf("no path is called %s", name)
}

func BenchmarkVerify(b *testing.B)         { path(b, "`/auth/verify`") }
func BenchmarkVerifyCached(b *testing.B)   { path(b, "`/auth/verify`, cached") }
func BenchmarkVerifyAsserted(b *testing.B) { path(b, "`/auth/verify`, assertion") }
func BenchmarkSession(b *testing.B)        { path(b, "`/session`") }
func BenchmarkHop(b *testing.B)            { path(b, "the hop") }

func BenchmarkLanding(b *testing.B) {
	m := started(b).LandingMatch()
	bare, err := bench.NewBare()
	if err != nil {
		b.Fatal(err)
	}
	play(b, m, func() error { return m.PlayLanding(b.Context(), bare, 400) })
}

// What a check costs Redis is no matter of how busy the machine is: one command, at most one round trip, since checks at once
// share one, and nothing written. From memory it costs nothing, as soon as the replica hears what is announced: a moment after its start.
func TestOneCommandForACheck(t *testing.T) {
	r := started(t)
	for _, target := range r.Targets() {
		switch target.Name {
		case "a landing": // counted by TestRoundTripsOfALanding
		case "the hop":
			mustCost(t, r, target, 0)
		case "`/auth/verify`, cached":
			testworld.Eventually(t, 30*time.Second, "checks are answered from memory", func() error { return readsOf(t, r, target, 0) })
		default:
			mustCost(t, r, target, 1)
		}
	}
}

func mustCost(t *testing.T, r *bench.Rig, target bench.Target, reads float64) {
	t.Helper()
	if err := readsOf(t, r, target, reads); err != nil {
		t.Error(err)
	}
}

// readsOf says when a request takes another number of reads, more round trips than reads, or writes.
func readsOf(t *testing.T, r *bench.Rig, target bench.Target, reads float64) error {
	t.Helper()
	c, err := r.Cost(t.Context(), target, 50)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", c)
	if c.Commands["get"] != reads || c.RoundTrips > reads+0.5 || c.Writes() != 0 {
		return fmt.Errorf("%s: got %.2f reads, %.2f round trips and %.2f writes, want %.0f reads, no more trips and nothing written",
			target.Name, c.Commands["get"], c.RoundTrips, c.Writes(), reads)
	}
	return nil
}

// A browser's landing asks Redis three times.
func TestRoundTripsOfALanding(t *testing.T) {
	r := started(t)
	targets := r.Targets()
	c, err := r.Cost(t.Context(), targets[len(targets)-1], 50)
	if err != nil {
		t.Fatal(err)
	}
	// The claim; index, session, mark and the arrival under which two tabs meet in one pipeline; the ledger.
	if c.RoundTrips < 2.5 || c.RoundTrips > 3.5 {
		t.Errorf("got %.2f round trips, want 3: %s", c.RoundTrips, c)
	}
}

// The tools are held to working, not to any speed.
func TestMatches(t *testing.T) {
	r := started(t)
	played := append(r.Matches(), r.LandingMatch())
	bare, err := bench.NewBare()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range played[:len(played)-1] {
		if err := m.Play(t.Context(), bench.Own, 100*time.Millisecond); err != nil {
			t.Error(err)
		}
	}
	if err := played[len(played)-1].PlayLanding(t.Context(), bare, 8); err != nil {
		t.Error(err)
	}
	bench.Table(t.Output(), played)
}

func TestWeights(t *testing.T) {
	r := started(t)
	if landing, gateway, err := r.Latency(t.Context(), 5); err != nil || landing <= gateway {
		t.Errorf("got a landing of %s over %s of the gateway's: %v", landing, gateway, err)
	}
	if _, err := r.IdleConnection(t.Context(), 20); err != nil {
		t.Error(err)
	}
	if g, err := r.Growth(t.Context(), 200); err != nil || g.One == 0 || g.Many == 0 {
		t.Errorf("got %+v: %v", g, err)
	}
}

// Replicas are driven on one Redis, and on a cluster of which each master serves its share.
func TestReplicas(t *testing.T) {
	r := started(t)
	single, err := r.Single()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := r.NewCluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*bench.Backend{single, cluster} {
		rows, err := r.Replicas(t.Context(), b, 2, 100*time.Millisecond)
		if err != nil || len(rows) != 2 {
			t.Errorf("%s: got %q: %v", b.Name, rows, err)
		}
		t.Logf("%s", rows)
	}
}
