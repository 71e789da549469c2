package handler

import (
	"net/netip"
)

// Config is the settings of the two listeners' HTTP. The composition root hands it to New as it was parsed.
type Config struct {
	Targets

	// EntryURL is the page at Koubei that leads here. It is shown on every page that says "enter again from Koubei".
	EntryURL string

	FrameAncestors []string // origins that may show the pages in an iframe
	CORSOrigins    []string // origins whose pages may read /session and sign out

	ArrivalCheck bool
	ForwardCode  bool   // /auth/verify tells the code
	AdminToken   string // without it there are no /admin and /debug/pprof routes

	MaxRequests    int // requests in work at a time on the public listener
	TrustedProxies []netip.Prefix
	AccessLog      AccessLog
}

// AccessLog says which requests have a line in the log besides landings and failed requests.
type AccessLog string

// The values of ACCESS_LOG.
const (
	AccessAll    AccessLog = "all"
	AccessPublic AccessLog = "public" // those of the public listener; also when empty
	AccessOff    AccessLog = "off"
)
