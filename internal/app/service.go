package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/metrics"
	"koubei-landing/internal/readiness"
	"koubei-landing/internal/session"
)

// exchanges is the maximum number of concurrent exchanges. Each takes about a second at the gateway and a millisecond of
// this machine's CPU.
const exchanges = 64

// service is what the process runs until the shutdown.
type service struct {
	redis     redis.UniversalClient
	handler   *handler.Handler
	lander    *landing.Lander
	sessions  *session.Manager
	readiness *readiness.Checker
}

// build assembles the service. It sends nothing to Redis or to the gateway.
func build(c Config) (*service, error) {
	m := metrics.New()
	m.Build(c.Build)
	m.WatchLog(c.logDropped)
	gateway, err := newGateway(c, m)
	if err != nil {
		return nil, err
	}
	watchCertificates(m, c.Alipay.Certificates)
	b, err := openBackend(c)
	if err != nil {
		return nil, err
	}
	m.WatchPool(b.redis.PoolStats)
	lander := landing.New(landing.Options{
		Config: c.Landing, Limit: rateLimit(c.Landing.Rate),
		AppID: c.Alipay.AppID, Gateway: gateway, Sessions: b.sessions, Store: b.store, Sealer: b.sealer,
		ExchangeTimeout: c.Alipay.Timeout, Concurrency: exchanges,
		OnStarted: m.SessionStarted, OnReplaced: func() { m.SessionsEnded(metrics.Replaced, 1) },
		Log: c.Log, Now: c.Now,
	})
	assertions, err := newIssuer(c)
	if err != nil {
		return nil, errors.Join(err, b.redis.Close())
	}
	ready := newReadiness(c, b, m)
	cookies := session.NewCookies(c.Session.Cookie)
	h, err := handler.New(handler.Options{
		Config: c.Web, AppID: c.Alipay.AppID,
		Landing: lander, Sessions: b.sessions, Cookies: cookies, Memory: newMemory(c, cookies, b.sealer), Readiness: ready,
		Metrics: m, Assertions: assertions,
		Log: c.Log, Now: c.Now,
	})
	if err != nil {
		return nil, errors.Join(err, b.redis.Close())
	}
	return &service{redis: b.redis, handler: h, lander: lander, sessions: b.sessions, readiness: ready}, nil
}

// newMemory returns the browsers' memory of operators. It is off if CONFIRM_OPERATOR_SWITCH is off.
func newMemory(c Config, cookies session.Cookies, sealer *session.Sealer) *session.Memory {
	o := session.MemoryOptions{Cookies: cookies, Sealer: sealer, AppID: c.Alipay.AppID, Now: c.Now}
	if c.Landing.Confirm {
		o.Life = c.Landing.Memory
	}
	return session.NewMemory(o)
}

// newGateway returns the gateway's client, and logs its warnings.
func newGateway(c Config, m *metrics.Metrics) (*alipay.Client, error) {
	o := c.Alipay
	o.MaxConns = exchanges
	o.Now = c.Now
	o.OnAttempt = func(a alipay.Attempt) {
		m.Attempt(string(a.Outcome), a.Duration)
		if a.Retry {
			m.Retry()
		}
		c.Log.Debug("exchange attempt", slog.String("outcome", string(a.Outcome)),
			slog.Duration("took", a.Duration), slog.String("trace_id", a.TraceID), slog.Bool("retry", a.Retry))
	}
	if c.Tracing != nil {
		o.Tracer = c.Tracing.Tracer(tracerName)
	}
	gateway, err := alipay.New(o)
	if err != nil {
		return nil, err
	}
	for _, w := range gateway.Warnings() {
		c.Log.Warn("questionable setting", slog.Any("settings", w.Settings), slog.String("problem", w.Problem), slog.String("fix", w.Fix))
	}
	return gateway, nil
}

// newIssuer returns the issuer of assertions, or nil without keys.
func newIssuer(c Config) (*assertion.Issuer, error) {
	if len(c.Assertions.Keys) == 0 {
		return nil, nil
	}
	return assertion.New(assertion.Options{
		Config: c.Assertions, Issuer: c.Web.PublicURL.String(), Now: c.Now,
	})
}

// watchCertificates exports when each certificate expires. If several have one name, as roots do, it exports the earliest
// expiry.
func watchCertificates(m *metrics.Metrics, certs *alipay.Certificates) {
	if certs == nil {
		return
	}
	ends := map[string]time.Time{}
	for _, cert := range certs.List() {
		if end, ok := ends[cert.Name]; !ok || cert.NotAfter.Before(end) {
			ends[cert.Name] = cert.NotAfter
			m.CertificateExpiry(cert.Name, cert.NotAfter)
		}
	}
}

// serverFor returns a server that limits how long a client may take to send its headers.
func serverFor(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    handler.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// sendBuffer is the size of a public connection's send buffer: several pages. By default the system lets it grow to
// megabytes. A client that pipelines requests and reads nothing would then keep the service busy until the buffer is full.
const sendBuffer = 64 << 10

// publicServerFor also limits how long a client may take to fetch a response, and how many responses may wait for it. The
// internal listener has no such limits, because a profile takes its time. Package handler limits the bodies.
func publicServerFor(h http.Handler, log *slog.Logger) *http.Server {
	s := serverFor(h, log)
	s.WriteTimeout = handler.FetchTimeout
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if c, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
			_ = c.SetWriteBuffer(sendBuffer)
		}
		return ctx
	}
	return s
}
