package session

import "time"

// Config is the settings of sessions. NewSealer reads SealKeys, NewCookies reads Cookie, and New reads the rest.
type Config struct {
	SealKeys [][]byte      // the first seals, all open
	Lifetime time.Duration // of an entry, since its own landing
	Idle     time.Duration // since the last read; 0 turns it off

	// CacheTTL is how long the process keeps a session that it has read; 0 turns the cache off. Watch must run.
	CacheTTL time.Duration

	Cookie CookieOptions
}
