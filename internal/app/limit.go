package app

import (
	"sync"
	"time"

	"github.com/go-chi/httprate"

	"koubei-landing/internal/landing"
)

// rateLimit limits the codes that one client may claim per minute, on this replica. httprate's middleware would count every
// request. A landing is counted before it waits, so concurrent landings cannot exceed the limit together. If the landing
// claims nothing, its count is removed.
func rateLimit(perMinute int) landing.Limit {
	if perMinute == 0 {
		return landing.Limit{Take: func(string) (func(), bool) { return func() {}, true }}
	}
	// This counter allows removing a count: its windows are full minutes.
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
			if window.Equal(minute()) { // for an older window, the counter would reset the current one
				_ = counter.IncrementBy(client, window, -1)
			}
		}, true
	}}
}
