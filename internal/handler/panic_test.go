package handler

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/logging"
	"koubei-landing/internal/metrics"
)

// TestAPanicIsLogged: the response to a panic is 500, and its stack is in the log line of the request.
func TestAPanicIsLogged(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.NewWriter(&out)
	here := &url.URL{Scheme: "http", Host: "isv.example"}
	h, err := New(Options{Config: Config{Targets: Targets{PublicURL: here}}, Metrics: metrics.New(), Log: log.Logger(logging.JSON, slog.LevelInfo)})
	if err != nil {
		t.Fatal(err)
	}
	l := listener{route: func(*http.Request) string { return "/panics" }, fail: h.failJSON}
	s := httptest.NewServer(h.observe(l)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a mistake") })))
	a, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	s.Close() // returns when the request has ended
	log.Close(5 * time.Second)
	var line struct{ Level, Msg, Code, Error, Stack string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("want one line: %v: %s", err, out.String())
	}
	if a.StatusCode != http.StatusInternalServerError || line.Level != "ERROR" || line.Msg != "request" || line.Code != "internal" ||
		!strings.Contains(line.Error, "a mistake") || !strings.Contains(line.Stack, "recoverPanic") {
		t.Errorf("got %d and %+v", a.StatusCode, line)
	}
}
