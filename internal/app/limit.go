package app

import (
	"time"

	"github.com/go-chi/httprate"

	"koubei-landing/internal/landing"
)

// rateLimit bounds the codes that one client claims in a minute, on this replica. httprate's middleware would count
// every request; here only a claim counts, so its sliding window is asked first and told after.
func rateLimit(perMinute int) landing.Limit {
	if perMinute == 0 {
		return landing.Limit{Allows: func(string) bool { return true }, Count: func(string) {}}
	}
	// A counter of our own aligns its windows to the full minute, which Count can then name.
	limiter := httprate.NewRateLimiter(perMinute, time.Minute, httprate.WithLimitCounter(httprate.NewLocalLimitCounter(time.Minute)))
	return landing.Limit{
		Allows: func(client string) bool {
			_, rate, err := limiter.Status(client)
			return err != nil || rate+1 <= float64(perMinute) // the counter is in memory and never fails
		},
		Count: func(client string) {
			_ = limiter.Counter().Increment(client, time.Now().UTC().Truncate(time.Minute))
		},
	}
}
