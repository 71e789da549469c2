package app

import (
	"sync"
	"time"

	"github.com/go-chi/httprate"

	"koubei-landing/internal/landing"
)

// rateLimit bounds the codes that one client claims in a minute, on this replica. httprate's middleware would count
// every request; here only a claim counts: it is counted before it is tried, so that landings at once don't all slip
// through, and given back where it came to nothing.
func rateLimit(perMinute int) landing.Limit {
	if perMinute == 0 {
		return landing.Limit{Take: func(string) (func(), bool) { return func() {}, true }}
	}
	// A counter of our own aligns its windows to the full minute, which we can then name.
	counter := httprate.NewLocalLimitCounter(time.Minute)
	limiter := httprate.NewRateLimiter(perMinute, time.Minute, httprate.WithLimitCounter(counter))
	var mu sync.Mutex
	minute := func() time.Time { return time.Now().UTC().Truncate(time.Minute) }
	return landing.Limit{Take: func(client string) (func(), bool) {
		mu.Lock()
		defer mu.Unlock()
		// The counter is in memory and never fails.
		if _, rate, err := limiter.Status(client); err == nil && rate+1 > float64(perMinute) {
			return nil, false
		}
		window := minute()
		_ = counter.Increment(client, window)
		return func() {
			mu.Lock()
			defer mu.Unlock()
			if window.Equal(minute()) { // to the counter, an older window would be a new one
				_ = counter.IncrementBy(client, window, -1)
			}
		}, true
	}}
}
