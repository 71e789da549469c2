// Package metrics is the contract's series, each a method. Label values come from closed lists: nothing that a visitor
// can choose becomes a label.
package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/operator"
)

// Metrics counts what the service does.
type Metrics struct {
	registry  *prometheus.Registry
	landings  *prometheus.CounterVec
	exchanges *prometheus.HistogramVec
	retries   prometheus.Counter
	started   *prometheus.CounterVec
	ended     *prometheus.CounterVec
	verify    *prometheus.CounterVec
	expiry    *prometheus.GaugeVec
	requests  *prometheus.HistogramVec
}

// New returns Metrics with Go's own collectors and the process's beside ours.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		landings: counter("koubei_landings_total", "Arrivals at the callback, by what became of them.", "result"),
		exchanges: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "koubei_exchange_duration_seconds", Help: "Attempts to exchange a code at the gateway.",
			Buckets: []float64{.01, .025, .05, .1, .2, .4, .8, 1.6, 3.2, 6.4},
		}, []string{"outcome"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "koubei_exchange_retries_total", Help: "Attempts that repeated one that had failed.",
		}),
		started: counter("koubei_sessions_started_total", "Sessions begun.", "operator_type"),
		ended:   counter("koubei_sessions_ended_total", "Sessions ended before their time.", "reason"),
		verify:  counter("koubei_verify_total", "Answers of /auth/verify.", "result"),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "koubei_certificate_expiry_seconds", Help: "When a certificate ends, in seconds since 1970.",
		}, []string{"certificate"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Requests answered.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "method", "status"}),
	}
	m.registry.MustRegister(m.landings, m.exchanges, m.retries, m.started, m.ended, m.verify, m.expiry, m.requests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the series in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Landing counts an arrival at the callback; result is one of the contract's words.
func (m *Metrics) Landing(result string) { m.landings.WithLabelValues(result).Inc() }

// Attempt records one attempt at the gateway; retry says that it repeated one that had failed.
func (m *Metrics) Attempt(outcome string, took time.Duration, retry bool) {
	m.exchanges.WithLabelValues(outcome).Observe(took.Seconds())
	if retry {
		m.retries.Inc()
	}
}

// SessionStarted counts a session; an operator type that nobody documents is "other".
func (m *Metrics) SessionStarted(t operator.Type) {
	label := string(t)
	if !t.Known() {
		label = "other"
	}
	m.started.WithLabelValues(label).Inc()
}

// The reasons for which a session ends before its time.
const (
	SignedOut = "signed_out"
	Revoked   = "revoked"
	Replaced  = "replaced"
)

// SessionsEnded counts sessions that ended for a reason.
func (m *Metrics) SessionsEnded(reason string, n int) {
	m.ended.WithLabelValues(reason).Add(float64(n))
}

// Verified counts an answer of /auth/verify: allowed, no_session, forbidden or unavailable.
func (m *Metrics) Verified(result string) { m.verify.WithLabelValues(result).Inc() }

// CertificateExpiry says when a certificate ends.
func (m *Metrics) CertificateExpiry(name string, at time.Time) {
	m.expiry.WithLabelValues(name).Set(float64(at.Unix()))
}

// methods are those that become a label as they are.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodPatch}

// Request records an answered request. Route is a pattern, never a path.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	if !slices.Contains(methods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

// WatchPool exports the state of a Redis client's connection pool.
func (m *Metrics) WatchPool(stats func() *redis.PoolStats) {
	gauge := func(name, help string, value func(*redis.PoolStats) uint32) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "redis_pool_" + name, Help: help},
			func() float64 { return float64(value(stats())) }))
	}
	counter := func(name, help string, value func(*redis.PoolStats) uint32) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "redis_pool_" + name, Help: help},
			func() float64 { return float64(value(stats())) }))
	}
	gauge("connections", "Connections open.", func(s *redis.PoolStats) uint32 { return s.TotalConns })
	gauge("idle_connections", "Connections not in use.", func(s *redis.PoolStats) uint32 { return s.IdleConns })
	counter("timeouts_total", "Waits for a connection that ended without one.", func(s *redis.PoolStats) uint32 { return s.Timeouts })
	counter("misses_total", "Times a connection had to be opened.", func(s *redis.PoolStats) uint32 { return s.Misses })
}
