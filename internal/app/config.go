// Package app assembles the service, for the server and the demo. It is the only place that opens Redis and listeners.
package app

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/buildinfo"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
)

// Config holds the parsed settings, in one group for each package that uses them.
type Config struct {
	Web        handler.Config
	Landing    landing.Config
	Alipay     alipay.Config
	Redis      Redis
	Session    session.Config
	Assertions assertion.Config
	Operations Operations

	// Tracing creates spans for requests, Redis commands and exchanges. Nothing is traced if it is nil.
	Tracing trace.TracerProvider

	// Build identifies the program in a metric.
	Build buildinfo.Info

	Log *slog.Logger

	// LogDropped returns how many log lines were dropped. It may be nil.
	LogDropped func() uint64

	Now func() time.Time

	// Listening, if set, is called with the addresses once both listeners are open.
	Listening func(public, internal string)
}

func (c Config) logDropped() uint64 {
	if c.LogDropped == nil {
		return 0
	}
	return c.LogDropped()
}

// Operations says where the service listens and how it shuts down. An address is host:port or unix:/path.
type Operations struct {
	PublicListen   string
	InternalListen string

	ShutdownDelay   time.Duration // not ready, but serving
	ShutdownTimeout time.Duration // after that, finishing the requests in progress
}

// Redis says where sessions and the ledger are stored.
type Redis struct {
	URL      string
	Mode     RedisMode
	Timeout  time.Duration // of one command, including connecting
	Prefix   string        // of every key
	Replicas int           // that must have a write before it counts as done

	// Authorities, if set, replace the system's for the verification of Redis's certificate. Certificate, if set, is the
	// client's own. Both apply to connections to Redis only, and need rediss://.
	Authorities *x509.CertPool
	Certificate *tls.Certificate
}

// RedisMode is the syntax of REDIS_URL and the kind of client.
type RedisMode string

// The modes.
const (
	Single   RedisMode = "single"
	Sentinel RedisMode = "sentinel"
	Cluster  RedisMode = "cluster"
)
