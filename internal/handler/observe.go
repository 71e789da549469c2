package handler

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// answer is the answer to one request while it is being written: its id, its status, and what the request's log line is
// going to say. Every handler writes to one.
type answer struct {
	http.ResponseWriter
	id     string
	status int
	level  slog.Level
	attrs  []slog.Attr
	ready  func() // called before the response is written; nil for none
}

// whenReady has ready called as soon as the response that w writes is complete and its writing begins.
func whenReady(w http.ResponseWriter, ready func()) {
	if a, ok := w.(*answer); ok {
		a.ready = ready
	}
}

// requestID returns the id of the request that w answers.
func requestID(w http.ResponseWriter) string {
	if a, ok := w.(*answer); ok {
		return a.id
	}
	return ""
}

// annotate adds to the log line of the request that w answers, and raises its level.
func annotate(w http.ResponseWriter, level slog.Level, attrs ...slog.Attr) {
	if a, ok := w.(*answer); ok {
		a.level = max(a.level, level)
		a.attrs = append(a.attrs, attrs...)
	}
}

// WriteHeader remembers the status.
func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(b)
}

func (a *answer) begin(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	if a.ready != nil {
		a.ready()
	}
}

// Unwrap lets http.ResponseController reach what is below.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// observe gives every answer a request id, and every request one log line and one observation: by its route, never by
// its address, whose query may hold a code. A panic is a 500 and is logged with its stack.
func (h *Handler) observe(route func(*http.Request) string, fail failFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			a := &answer{ResponseWriter: w, id: strings.ToLower(rand.Text()[:20])}
			w.Header().Set("X-Request-Id", a.id)
			defer func() { h.record(r, a, route(r), time.Since(start)) }()
			defer recoverPanic(a, r, fail)
			next.ServeHTTP(a, r)
		})
	}
}

// probes are the routes that each replica is asked for every few seconds. While they succeed, their lines would hide the
// others.
var probes = []string{"/healthz", "/readyz", "/metrics"}

func (h *Handler) record(r *http.Request, a *answer, route string, took time.Duration) {
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetName(r.Method + " " + route)
		span.SetAttributes(attribute.String("http.route", route), attribute.String("request_id", a.id))
	}
	status := max(a.status, http.StatusOK) // what net/http says where a handler says nothing
	h.Metrics.Request(route, r.Method, status, took)
	level := a.level
	if level == slog.LevelInfo && status == http.StatusOK && slices.Contains(probes, route) {
		level = slog.LevelDebug
	}
	if !h.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := append([]slog.Attr{
		slog.String("method", r.Method), slog.String("route", route), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("request_id", a.id),
	}, a.attrs...)
	h.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

func recoverPanic(a *answer, r *http.Request, fail failFunc) {
	switch cause := recover(); cause {
	case nil:
	case http.ErrAbortHandler:
		panic(cause)
	default:
		annotate(a, slog.LevelError, slog.String("stack", string(debug.Stack())))
		if a.status == 0 {
			fail(a, r, fmt.Errorf("panic: %v", cause))
		}
	}
}
