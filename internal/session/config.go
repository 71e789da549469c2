package session

import "time"

// Config holds the settings of sessions. NewSealer reads SealKeys, NewCookies reads Cookie, and New reads the rest.
type Config struct {
	SealKeys [][]byte      // the first seals, all open
	Lifetime time.Duration // of an entry, from its own landing
	Idle     time.Duration // from the last read; 0 turns it off

	// CacheTTL is how long the process caches a session after a read; 0 turns the cache off. The cache works only while
	// Watch runs.
	CacheTTL time.Duration

	Cookie CookieOptions
}
