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

// collector receives spans, as an OpenTelemetry collector does.
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

// allJSON fails the test on a line that is no JSON: somebody else's words, past the log.
func allJSON(t *testing.T, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
}

// Spans go to the collector that the standard variables name, also the last ones, and nothing but JSON to the log: neither
// go-redis's words on a Redis that is away, nor OpenTelemetry's on a collector that refuses.
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

func TestTracingSettings(t *testing.T) {
	for _, row := range []struct {
		name, variable, value, wrong string
	}{
		{"by gRPC", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL is"},
		{"to somebody else", "OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER is"},
		{"to nobody", "OTEL_TRACES_EXPORTER", "none", ""},
		{"disabled", "OTEL_SDK_DISABLED", "true", ""},
	} {
		env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", row.variable: row.value}
		provider, err := tracing(t.Context(), func(name string) string { return env[name] }, nil)
		if provider != nil || (err != nil) != (row.wrong != "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: got %v, %v, want %q and no spans", row.name, provider, err, row.wrong)
		}
	}
}
