// Package metrics exports the service's metrics. definitions.go lists them, and docs/metrics.md is generated from that list.
//
// Label values come from closed lists: what a visitor chooses never becomes a label.
package metrics

import (
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/buildinfo"
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
	verified  *prometheus.CounterVec
	expiry    *prometheus.GaugeVec
	requests  *prometheus.HistogramVec
	ready     *prometheus.GaugeVec
	buildInfo *prometheus.GaugeVec
	observers atomic.Pointer[map[series]prometheus.Observer] // of requests
}

// New returns Metrics, with the collectors of Go and of the process.
func New() *Metrics {
	m := &Metrics{
		registry:  prometheus.NewRegistry(),
		landings:  landings.counterVec(),
		exchanges: exchanges.histogramVec(),
		retries:   prometheus.NewCounter(prometheus.CounterOpts{Name: retries.name, Help: retries.meaning}),
		started:   started.counterVec(),
		ended:     ended.counterVec(),
		verified:  verified.counterVec(),
		expiry:    certificateExpiry.gaugeVec(),
		requests:  requests.histogramVec(),
		ready:     ready.gaugeVec(),
		buildInfo: buildInfo.gaugeVec(),
	}
	m.registry.MustRegister(m.landings, m.exchanges, m.retries, m.started, m.ended, m.verified, m.expiry, m.requests, m.ready, m.buildInfo,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Landing counts a landing, a failed answer to a question, or the redirect of the arrival check, by its result.
// docs/metrics.md lists the results.
func (m *Metrics) Landing(result string) { m.landings.WithLabelValues(result).Inc() }

// Attempt records one attempt at the gateway.
func (m *Metrics) Attempt(outcome string, took time.Duration) {
	m.exchanges.WithLabelValues(outcome).Observe(took.Seconds())
}

// Retry counts an attempt that repeats a failed one.
func (m *Metrics) Retry() { m.retries.Inc() }

// SessionStarted counts a session.
func (m *Metrics) SessionStarted(t operator.Type) {
	m.started.WithLabelValues(listed(operatorTypes, string(t))).Inc()
}

// SessionsEnded counts sessions that ended before they expired.
func (m *Metrics) SessionsEnded(reason string, n int) {
	m.ended.WithLabelValues(reason).Add(float64(n))
}

// Verified counts a response of /auth/verify: allowed, no_session, forbidden or unavailable.
func (m *Metrics) Verified(result string) { m.verified.WithLabelValues(result).Inc() }

// series is one combination of the labels of a request.
type series struct {
	route, method string
	status        int
}

// observer returns the histogram of a series. It keeps each one, because finding it by its labels takes as long as the rest of
// a request's metrics. There are few series, because all labels come from closed lists.
func (m *Metrics) observer(of series) prometheus.Observer {
	known := m.observers.Load()
	if known != nil {
		if o, ok := (*known)[of]; ok {
			return o
		}
	}
	o := m.requests.WithLabelValues(of.route, of.method, strconv.Itoa(of.status))
	more := map[series]prometheus.Observer{of: o}
	if known != nil {
		maps.Copy(more, *known)
	}
	m.observers.CompareAndSwap(known, &more)
	return o
}

// CertificateExpiry sets when a certificate expires.
func (m *Metrics) CertificateExpiry(name string, at time.Time) {
	m.expiry.WithLabelValues(name).Set(float64(at.Unix()))
}

// Request records a request. The route is a pattern, never a path.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	m.observer(series{route, Method(method), status}).Observe(took.Seconds())
}

// Method returns the label for a request's method: itself, or other for an unusual one.
func Method(method string) string { return listed(methods, method) }

// Ready sets whether a readiness check succeeds.
func (m *Metrics) Ready(check string, ok bool) {
	value := 0.0
	if ok {
		value = 1
	}
	m.ready.WithLabelValues(check).Set(value)
}

// Build exports the build of the program.
func (m *Metrics) Build(b buildinfo.Info) {
	m.buildInfo.WithLabelValues(b.Version, b.Revision, b.GoVersion).Set(1)
}

// WatchLog exports how many log lines were dropped.
func (m *Metrics) WatchLog(dropped func() uint64) {
	m.registry.MustRegister(logDropped.reading(func() float64 { return float64(dropped()) }))
}

// WatchPool exports the state of a Redis client's connection pool.
func (m *Metrics) WatchPool(stats func() *redis.PoolStats) {
	watch := func(d definition, value func(*redis.PoolStats) uint32) {
		m.registry.MustRegister(d.reading(func() float64 { return float64(value(stats())) }))
	}
	watch(poolConnections, func(s *redis.PoolStats) uint32 { return s.TotalConns })
	watch(poolIdle, func(s *redis.PoolStats) uint32 { return s.IdleConns })
	watch(poolTimeouts, func(s *redis.PoolStats) uint32 { return s.Timeouts })
	watch(poolMisses, func(s *redis.PoolStats) uint32 { return s.Misses })
}
