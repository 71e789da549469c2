package metrics

import (
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"koubei-landing/internal/operator"
)

// definition is one metric: what the service exports, and what docs/metrics.md says about it.
type definition struct {
	name    string
	kind    kind
	labels  []label
	buckets []float64 // of a histogram, in seconds
	meaning string    // also the HELP line of /metrics
	action  string
}

type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// label is one label of a metric. Its values come from a closed list. values lists them; if it is empty, other describes them.
type label struct {
	name   string
	values []string
	other  string
}

// The reasons for which a session ends before it expires.
const (
	SignedOut = "signed_out"
	Revoked   = "revoked"
	Replaced  = "replaced"
)

// otherValue is the label for values that are not on the list.
const otherValue = "other"

var (
	operatorTypes = []string{
		string(operator.Provider), string(operator.ProviderStaff), string(operator.Merchant), string(operator.MerchantStaff), string(operator.Sales), otherValue,
	}
	methods = []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodPatch, otherValue,
	}
)

var (
	landings = definition{
		name: "koubei_landings_total", kind: counter,
		labels:  []label{{name: "result", other: "`landed`, `replayed`, `arrived`, `asked`, or the `code` of a [problem](troubleshooting.md#by-the-code-member)"}},
		meaning: "Landings by result, including those after a \"yes\" to the question. arrived is the redirect of the arrival check; the landing follows.",
		action:  "Watch the share of results other than `landed`, `replayed`, `arrived` and `asked`. Look up the result in troubleshooting.md.",
	}
	exchanges = definition{
		name: "koubei_exchange_duration_seconds", kind: histogram,
		labels:  []label{{name: "outcome", other: "`success`, or how the attempt failed"}},
		buckets: []float64{.01, .025, .05, .1, .2, .4, .8, 1.6, 3.2, 6.4},
		meaning: "Duration of each attempt to exchange a code at the Alipay gateway.",
		action:  "If it rises towards `ALIPAY_ATTEMPT_TIMEOUT`, check the network to the gateway and Alipay's status.",
	}
	retries = definition{
		name: "koubei_exchange_retries_total", kind: counter,
		meaning: "Attempts at the gateway that repeated a failed attempt.",
		action:  "A few are normal. Many mean that the gateway is busy or the network to it loses packets.",
	}
	started = definition{
		name: "koubei_sessions_started_total", kind: counter,
		labels:  []label{{name: "operator_type", values: operatorTypes}},
		meaning: "Sessions started, by operator type.",
		action:  "`other` is a type that Koubei has not documented. To allow it, name it in the proxy's `?type=`.",
	}
	ended = definition{
		name: "koubei_sessions_ended_total", kind: counter,
		labels:  []label{{name: "reason", values: []string{SignedOut, Revoked, Replaced}}},
		meaning: "Sessions ended before they expired, by reason. Sessions that expire are not counted.",
		action:  "Many `replaced` mean that several people share a browser.",
	}
	verified = definition{
		name: "koubei_verify_total", kind: counter,
		labels:  []label{{name: "result", values: []string{"allowed", "no_session", "forbidden", "unavailable"}}},
		meaning: "Responses of /auth/verify by result.",
		action:  "`unavailable` means that Redis did not answer: see `store_unavailable` in troubleshooting.md.",
	}
	certificateExpiry = definition{
		name: "koubei_certificate_expiry_seconds", kind: gauge,
		labels:  []label{{name: "certificate", other: "`app`, `alipay`, `intermediate` or `root`"}},
		meaning: "When a certificate expires, in seconds since 1970. Exported in certificate mode only. If several certificates have one name, the earliest expiry is exported.",
		action:  "Renew the certificate in Alipay's console 30 days before: see operations.md.",
	}
	requests = definition{
		name: "http_request_duration_seconds", kind: histogram,
		labels: []label{
			{name: "route", other: "the route's pattern, or `other`"},
			{name: "method", values: methods},
			{name: "status", other: "the HTTP status"},
		},
		buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		meaning: "Duration of requests on both listeners.",
		action:  "Look at the slow or failing route, then at the log lines of that route.",
	}
	ready = definition{
		name: "koubei_ready", kind: gauge,
		labels:  []label{{name: "check", other: "`serving`, `redis`, `redis_writes`, and `cache` if SESSION_CACHE_TTL is set"}},
		meaning: "1 while a readiness check succeeds, else 0. The replica is ready while serving and redis are 1.",
		action:  "Ask `/readyz` of that replica for the cause. The log has it too.",
	}
	buildInfo = definition{
		name: "koubei_build_info", kind: gauge,
		labels:  []label{{name: "version", other: "as `server version` prints it"}, {name: "revision", other: "the commit"}, {name: "goversion", other: "Go's version"}},
		meaning: "Always 1. The labels name the program that runs.",
		action:  "Use it to see which versions run during an upgrade.",
	}
	logDropped = definition{
		name: "koubei_log_lines_dropped_total", kind: counter,
		meaning: "Log lines dropped because the log did not accept them in time.",
		action:  "Check what reads the log: a stopped log driver, a full disk, a paused terminal.",
	}
	poolConnections = definition{
		name: "redis_pool_connections", kind: gauge,
		meaning: "Open connections to Redis.",
		action:  "Compare with `pool_size` in `REDIS_URL` (64 for each node).",
	}
	poolIdle = definition{
		name: "redis_pool_idle_connections", kind: gauge,
		meaning: "Connections to Redis that are not in use.",
		action:  "None for a long time means that the pool is too small or that Redis is slow.",
	}
	poolTimeouts = definition{
		name: "redis_pool_timeouts_total", kind: counter,
		meaning: "Commands that got no connection to Redis in time.",
		action:  "Check Redis's latency first. If Redis is fast, raise `pool_size` in `REDIS_URL`.",
	}
	poolMisses = definition{
		name: "redis_pool_misses_total", kind: counter,
		meaning: "Commands that had to open a connection to Redis.",
		action:  "If it grows steadily, something closes connections: Redis's `timeout`, or a firewall.",
	}
)

// definitions are all metrics, in the order of docs/metrics.md.
var definitions = []definition{
	landings, exchanges, retries, started, ended, verified, certificateExpiry, requests, ready, buildInfo, logDropped,
	poolConnections, poolIdle, poolTimeouts, poolMisses,
}

func (d definition) labelNames() []string {
	var names []string
	for _, l := range d.labels {
		names = append(names, l.name)
	}
	return names
}

// counterVec returns the metric. Each value of a closed list begins at zero, so that increase() sees the first event.
func (d definition) counterVec() *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.meaning}, d.labelNames())
	if len(d.labels) == 1 {
		for _, value := range d.labels[0].values {
			vec.WithLabelValues(value)
		}
	}
	return vec
}

func (d definition) gaugeVec() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.name, Help: d.meaning}, d.labelNames())
}

func (d definition) histogramVec() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.name, Help: d.meaning, Buckets: d.buckets}, d.labelNames())
}

// reading returns the metric whose value is read at each scrape.
func (d definition) reading(value func() float64) prometheus.Collector {
	if d.kind == counter {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: d.name, Help: d.meaning}, value)
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: d.name, Help: d.meaning}, value)
}

// listed returns a value of a closed list, other for one that is not on it.
func listed(values []string, value string) string {
	if slices.Contains(values, value) {
		return value
	}
	return otherValue
}
