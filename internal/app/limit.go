package app

import (
	"sync"
	"time"

	"github.com/go-chi/httprate"

	"koubei-landing/internal/landing"
)

// rateLimit bounds the codes that one client claims in a minute, on this replica. httprate's middleware would count every
// request. A landing is counted before it waits for anything, so that landings at once cannot exceed the limit together,
// and gives its count back when it claims nothing.
func rateLimit(perMinute int) landing.Limit {
	if perMinute == 0 {
		return landing.Limit{Take: func(string) (func(), bool) { return func() {}, true }}
	}
	// With a counter of our own, a count can be given back: its windows are full minutes.
	counter := httprate.NewLocalLimitCounter(time.Minute)
	limiter := httprate.NewRateLimiter(perMinute, time.Minute, httprate.WithLimitCounter(counter))
	minute := func() time.Time { return time.Now().UTC().Truncate(time.Minute) }
	var mu sync.Mutex
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
			if window.Equal(minute()) { // the counter takes an older window for a new one, and forgets the current
				_ = counter.IncrementBy(client, window, -1)
			}
		}, true
	}}
}
