package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// collector receives spans like an OpenTelemetry collector.
type collector struct {
	mu     sync.Mutex
	status int
	bodies []byte
	paths  []string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	raw, _ := io.ReadAll(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies, c.paths = append(c.bodies, raw...), append(c.paths, r.URL.Path)
	w.WriteHeader(c.status)
}

func (c *collector) got() (string, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.bodies), c.paths
}

func get(t *testing.T, address string) {
	t.Helper()
	a, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
}

// allJSON fails the test if a line is not JSON, because a library has bypassed the log.
func allJSON(t *testing.T, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
}

// All spans, including the last ones, reach the collector that the standard variables name. The log has only JSON lines, also
// when Redis is unreachable and when the collector refuses the spans.
func TestTracesGoToTheCollector(t *testing.T) {
	for name, status := range map[string]int{"takes spans": http.StatusOK, "refuses": http.StatusBadRequest} {
		c := &collector{status: status}
		at := httptest.NewServer(c)
		t.Cleanup(at.Close)
		// The exporter reads the process's own environment.
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", at.URL)
		env, _ := good(t)
		env["OTEL_EXPORTER_OTLP_ENDPOINT"] = at.URL
		s := startServing(t, env)
		get(t, s.address("internal")+"/readyz")
		if code := s.end(); code != 0 {
			t.Errorf("%s: got exit code %d", name, code)
		}
		spans, paths := c.got()
		if len(paths) == 0 || paths[0] != "/v1/traces" || !strings.Contains(spans, "GET /readyz") || strings.Contains(spans, "GET GET") || !strings.Contains(spans, "koubei-landing") {
			t.Errorf("%s: the collector got %q at %q, want the span of /readyz at /v1/traces", name, spans, paths)
		}
		if strings.Contains(spans, "eval") {
			t.Errorf("%s: the collector got spans of background work: %q", name, spans)
		}
		if said := strings.Contains(s.log.String(), `"msg":"tracing failed"`); said != (status != http.StatusOK) {
			t.Errorf("%s: the log says %s", name, &s.log)
		}
		if !strings.Contains(s.log.String(), "connection refused") {
			t.Errorf("%s: the log says nothing of Redis", name)
		}
		allJSON(t, s.log.String())
	}
}

// The problems of OpenTelemetry's variables are listed with all others.
func TestTracingSettings(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, variable, value string
		problem, on           bool
	}{
		{"plain", "", "", false, true},
		{"gRPC", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", true, true},
		{"gRPC for traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", true, true},
		{"another exporter", "OTEL_TRACES_EXPORTER", "zipkin", true, true},
		{"an endpoint without scheme", "OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", true, true},
		{"no endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", true, true},
		{"headers", "OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=d%20e", false, true},
		{"a header without value", "OTEL_EXPORTER_OTLP_HEADERS", "a=b,c", true, true},
		{"a header badly escaped", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=%zz", true, true},
		{"no exporter", "OTEL_TRACES_EXPORTER", "none", false, false},
		{"disabled", "OTEL_SDK_DISABLED", "true", false, false},
	} {
		env, _ := good(t)
		env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
		env[row.variable] = row.value
		got := parseWith(t, env)
		if n := concerning(got.problems, row.variable); len(got.problems) != n || (n == 1) != row.problem {
			t.Errorf("%s: got %v, want a problem %v", row.name, got.problems, row.problem)
		}
		if on := tracingOn(newEnvironment(environ(env)).get); on != row.on {
			t.Errorf("%s: tracing is on %v, want %v", row.name, on, row.on)
		}
	}
}

// The exporter reads the variables of the process. The log quotes none of their wrong values.
func TestTracingQuotesNoVariable(t *testing.T) {
	collector := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(collector.Close)
	env, _ := good(t)
	env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.URL
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_EXPORTER_OTLP_HEADERS": marked + ",a=%zz" + marked + ",(" + marked + ")=b",
		"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": marked, "OTEL_EXPORTER_OTLP_CERTIFICATE": "/" + marked, "OTEL_EXPORTER_OTLP_CLIENT_KEY": marked, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": marked,
	} {
		t.Setenv(name, value)
	}
	s := startServing(t, env)
	s.end()
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", marked)
	refused := runWith(t.Context(), env, "serve")
	if log := s.log.String() + refused.stderr; refused.code != exitUsage || strings.Contains(log, marked[:8]) || !strings.Contains(log, "opentelemetry: ") {
		t.Errorf("got exit code %d and %s", refused.code, log)
	}
}
