package soak_test

import (
	"flag"
	"slices"
	"testing"
	"time"
)

var (
	duration = flag.Duration("soak.duration", 10*time.Second, "how long to go on")

	// In go test other packages use the processors, too, and the test must not fail because the machine is busy.
	redisTimeout = flag.Duration("soak.redis-timeout", 10*time.Second, "the service's REDIS_TIMEOUT; make soak has the service's own default")
)

// TestSoak takes ten seconds in go test and ten minutes in make soak.
func TestSoak(t *testing.T) {
	w := newWorld(t)
	w.start("GOMAXPROCS=2", "REDIS_TIMEOUT="+redisTimeout.String(), "SHUTDOWN_TIMEOUT=2m") // longer than a landing with that
	c := newVisitors(w)
	c.capacity(16, time.Second) // warm up: buffers, connections, pages
	most := c.capacity(16, min(10*time.Second, *duration/4))
	half := most / 2
	t.Logf("capacity: %.0f visits and %.0f requests a second; from now on %.0f visits", most, most*perVisit, half)

	c.mu.Lock()
	c.slow = 0
	c.mu.Unlock()
	var samples []figures
	before, beforeVisits, began := c.requests.Load(), c.visits.Load(), time.Now()
	c.steady(half, *duration, max(250*time.Millisecond, *duration/200), func() {
		f, err := w.figures()
		if err != nil {
			t.Error(err)
			return
		}
		samples = append(samples, f)
	})
	took := time.Since(began).Seconds()
	t.Logf("%s: %d visits, %d requests, %.0f requests a second, %d failed; the longest request, a %s, took %s", *duration,
		c.visits.Load()-beforeVisits, c.requests.Load()-before, float64(c.requests.Load()-before)/took, len(c.failed), c.what, c.slow.Round(time.Millisecond))
	for i, err := range c.failed {
		if i < 5 {
			t.Error(err)
		}
	}
	if len(c.failed) > 0 {
		t.Errorf("%d visits failed, want none", len(c.failed))
	}
	flat(t, samples)
}

// flat compares the second quarter of the samples with the last. In the first quarter, buffers and pools still grow.
func flat(t *testing.T, samples []figures) {
	t.Helper()
	if len(samples) < 8 {
		t.Fatalf("%d samples", len(samples))
	}
	quarter := len(samples) / 4
	early, late := samples[quarter:2*quarter], samples[3*quarter:]
	for _, what := range []struct {
		name   string
		of     func(figures) float64
		unit   float64
		spread float64 // normal variation
	}{
		{"resident memory, MiB", func(f figures) float64 { return f.resident }, 1 << 20, 8 << 20},
		{"heap at the next collection, MiB", func(f figures) float64 { return f.heap }, 1 << 20, 8 << 20},
		{"goroutines", func(f figures) float64 { return f.goroutines }, 1, 100},
		{"open files", func(f figures) float64 { return f.files }, 1, 100},
	} {
		first, last := median(early, what.of), median(late, what.of)
		t.Logf("%s: %.1f, at the end %.1f", what.name, first/what.unit, last/what.unit)
		if last > first*1.1+what.spread {
			t.Errorf("%s grew from %.1f to %.1f", what.name, first/what.unit, last/what.unit)
		}
	}
	t.Logf("processor: %.2f cores", (samples[len(samples)-1].cpu-samples[0].cpu)/duration.Seconds())
}

func median(samples []figures, of func(figures) float64) float64 {
	var all []float64
	for _, f := range samples {
		all = append(all, of(f))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
