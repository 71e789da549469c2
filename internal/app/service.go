package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/metrics"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// exchanges is how many may be under way at once: each is a second of the gateway's and a millisecond of ours.
const exchanges = 64

// service is everything, put together.
type service struct {
	redis    redis.UniversalClient
	handler  *handler.Handler
	lander   *landing.Lander
	sessions *session.Manager
	store    *store.Store
	gateway  *alipay.Client
	patience time.Duration
}

// build puts the service together; nothing is asked of anyone yet.
func build(c Config) (*service, error) {
	m := metrics.New()
	c.Alipay.MaxConns = exchanges
	c.Alipay.Now = c.Now
	c.Alipay.OnAttempt = func(a alipay.Attempt) {
		m.Attempt(string(a.Outcome), a.Duration, a.Retry)
		c.Log.Debug("exchange attempt", slog.String("outcome", string(a.Outcome)),
			slog.Duration("took", a.Duration), slog.String("trace_id", a.TraceID), slog.Bool("retry", a.Retry))
	}
	if c.Tracing != nil {
		c.Alipay.Tracer = c.Tracing.Tracer(tracerName)
	}
	gateway, err := alipay.New(c.Alipay)
	if err != nil {
		return nil, err
	}
	for _, w := range gateway.Warnings() {
		c.Log.Warn(w)
	}
	watchCertificates(m, c.Alipay.Certificates)
	sealer, err := session.NewSealer(c.SealKeys...)
	if err != nil {
		return nil, err
	}
	rdb, err := OpenRedis(c.Redis)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	if err := traceRedis(rdb, c.Tracing); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	m.WatchPool(rdb.PoolStats)
	s := &service{redis: rdb, gateway: gateway}
	s.store = store.New(store.Options{Redis: rdb, Prefix: c.Redis.Prefix, Timeout: c.Redis.Timeout, Replicas: c.Redis.Replicas})
	s.sessions, err = session.New(session.Options{
		Store: s.store, Sealer: sealer, Lifetime: c.SessionLifetime, Idle: c.SessionIdle, CacheTTL: c.SessionCacheTTL, Now: c.Now,
	})
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	s.lander = landing.New(landing.Options{
		AppID: c.Alipay.AppID, Gateway: gateway, Sessions: s.sessions, Store: s.store, Sealer: sealer,
		Limit: rateLimit(c.CallbackRate), Confirm: c.ConfirmSwitch,
		ExchangeTimeout: c.Alipay.Timeout, Concurrency: exchanges,
		OnStarted: m.SessionStarted, OnReplaced: func() { m.SessionsEnded(metrics.Replaced, 1) },
		Log: c.Log, Now: c.Now,
	})
	s.patience = s.lander.Patience()
	assertions, err := newIssuer(c)
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	s.handler, err = handler.New(handler.Options{
		AppID: c.Alipay.AppID, PublicURL: c.PublicURL, CallbackPath: c.CallbackPath, EntryURL: c.EntryURL,
		Targets: c.Targets, FrameAncestors: c.FrameAncestors, CORSOrigins: c.CORSOrigins,
		ArrivalCheck: c.ArrivalCheck, ForwardCode: c.ForwardCode, AdminToken: c.AdminToken,
		MaxRequests: c.MaxRequests, TrustedProxies: c.TrustedProxies,
		Landing: s.lander, Sessions: s.sessions, Cookies: session.NewCookies(c.Cookie), Store: s.store, Metrics: m, Assertions: assertions,
		Log: c.Log, Now: c.Now,
	})
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	return s, nil
}

// newIssuer returns what signs assertions, nil without keys.
func newIssuer(c Config) (*assertion.Issuer, error) {
	if len(c.Assertions.Keys) == 0 {
		return nil, nil
	}
	return assertion.New(assertion.Options{
		Keys: c.Assertions.Keys, Issuer: c.PublicURL.String(), Audiences: c.Assertions.Audiences, TTL: c.Assertions.TTL, Now: c.Now,
	})
}

// watchCertificates exports when each certificate ends; of several of one name, as roots are, the first to end.
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

// serverFor bounds what a client may take its time over.
func serverFor(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    handler.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serverForStrangers bounds a body and the taking of an answer too; patience is how long an answer may be in the making.
// Proxies and operators send no body, are known, and may want a profile that takes its time.
func serverForStrangers(h http.Handler, patience time.Duration, log *slog.Logger) *http.Server {
	s := serverFor(h, log)
	s.ReadTimeout = 20 * time.Second
	s.WriteTimeout = patience + 20*time.Second
	return s
}
