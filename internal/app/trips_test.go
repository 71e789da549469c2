package app_test

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// TestRoundTrips counts what requests cost Redis. A check is one read and writes nothing, a cached check costs nothing, and a
// landing takes three round trips: the claim, the session with what belongs to it, and the outcome.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	const n = 20
	w := testworld.New(t)
	cached := w.Replica(func(c *app.Config) { c.Session.CacheTTL = time.Hour })
	b := w.Browser()
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	verify := func(s *testworld.Service) {
		r, err := http.NewRequest(http.MethodGet, s.Internal+"/auth/verify", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: "koubei_session", Value: b.Cookie(w.Public, "koubei_session")})
		if a := b.Do(r); a.StatusCode != http.StatusOK {
			t.Fatalf("the check answered %s", a.Status)
		}
	}
	land := func() {
		fresh := w.Browser()
		fresh.Get(w.Landing("")) // the arrival cookie
		if a := fresh.Land(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusSeeOther {
			t.Fatalf("the landing answered %s", a.Status)
		}
	}
	for name, c := range map[string]struct {
		request      func()
		trips, reads float64
		writes       bool
	}{
		"check":         {func() { verify(w.Service) }, 1, 1, false},
		"check, cached": {func() { verify(cached) }, 0, 0, false},
		"landing":       {land, 3, -1, true},
	} {
		c.request() // opens connections, fills the cache
		testworld.Eventually(t, time.Minute, name, func() error {
			before := redisBooks(t, w.Redis)
			for range n {
				c.request()
			}
			after := redisBooks(t, w.Redis)
			each := func(names ...string) (sum float64) {
				for _, name := range names {
					sum += (after[name] - before[name]) / n
				}
				return sum
			}
			// The heartbeats of the cache and the question for these numbers are round trips too, and the probes of readiness:
			// a read and a script with the only GETDEL. Each replica's read may be counted without its script, which is a
			// twentieth of a read.
			probes := each("cmdstat_getdel")
			trips := each("total_reads_processed") - each("cmdstat_publish", "cmdstat_info") - 2*probes
			reads, writes := each("cmdstat_get")-probes, -6*probes+each("cmdstat_set", "cmdstat_eval", "cmdstat_del", "cmdstat_getdel", "cmdstat_zadd", "cmdstat_pexpire")
			if trips > c.trips+0.5 || trips < c.trips-0.5 || c.reads >= 0 && math.Abs(reads-c.reads) > 0.11 || (writes > 0.01) != c.writes {
				return fmt.Errorf("got %.2f round trips, %.2f reads and %.2f writes, want %+v", trips, reads, writes, c)
			}
			return nil
		})
	}
}

// redisBooks returns the counters of INFO.
func redisBooks(t *testing.T, r *testworld.Redis) map[string]float64 {
	t.Helper()
	text, err := r.Client.Info(t.Context(), "stats", "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	books := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			books[name] = n
		}
	}
	return books
}
