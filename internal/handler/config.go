package handler

import (
	"net/netip"
)

// Config holds the settings of both listeners' HTTP.
type Config struct {
	Targets

	// EntryURL is the page at Koubei that leads to the service. Every page that says "enter again from Koubei" links to it.
	EntryURL string

	FrameAncestors []string // origins that may show the pages in an iframe
	CORSOrigins    []string // origins whose pages may read /session and sign out

	ArrivalCheck bool
	ForwardCode  bool   // /auth/verify returns the code
	AdminToken   string // without it there are no /admin and /debug/pprof routes

	MaxRequests    int // concurrent requests on the public listener
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
