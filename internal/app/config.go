// Package app puts the service together, for the server and the demo alike. It is the only place that opens Redis and
// listeners.
package app

import (
	"crypto"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/session"
)

// Config is all that the service is told, parsed.
type Config struct {
	PublicListen   string
	InternalListen string

	PublicURL    *url.URL
	CallbackPath string
	EntryURL     string

	Alipay alipay.Config
	Redis  Redis

	SealKeys        [][]byte
	SessionLifetime time.Duration
	SessionIdle     time.Duration
	SessionCacheTTL time.Duration
	Cookie          session.CookieOptions

	Targets        handler.Targets
	FrameAncestors []string
	CORSOrigins    []string
	ArrivalCheck   bool
	ConfirmSwitch  bool
	ForwardCode    bool
	AdminToken     string

	Assertions Assertions

	CallbackRate   int // landings a minute and client; 0 turns the limit off
	TrustedProxies []netip.Prefix
	MaxRequests    int

	ShutdownDelay   time.Duration
	ShutdownTimeout time.Duration

	// Tracing makes spans of requests, Redis commands and exchanges; nil where nothing is traced.
	Tracing trace.TracerProvider

	Log *slog.Logger
	Now func() time.Time

	// Listening, when set, is told the addresses as soon as both listeners stand.
	Listening func(public, internal string)
}

// Assertions say how identities are signed; without keys they are not.
type Assertions struct {
	Keys      []crypto.Signer
	Audiences []string
	TTL       time.Duration
}

// Redis says where sessions and the ledger are kept.
type Redis struct {
	URL      string
	Mode     RedisMode
	Timeout  time.Duration
	Prefix   string
	Replicas int
}

// RedisMode says how REDIS_URL is to be read.
type RedisMode string

// The modes.
const (
	Single   RedisMode = "single"
	Sentinel RedisMode = "sentinel"
	Cluster  RedisMode = "cluster"
)
