package handler

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"koubei-landing/internal/metrics"
)

// responseRecorder writes the response to one request. It holds the request id, the status, and the attributes of the
// request's log line. Every handler writes to one.
type responseRecorder struct {
	http.ResponseWriter
	id     string // empty until something asks for it
	status int
	level  slog.Level
	attrs  []slog.Attr
	ready  func() // called before the response is written; nil for none
}

// whenReady has ready called as soon as the response that w writes is complete and its writing begins.
func whenReady(w http.ResponseWriter, ready func()) {
	w.(*responseRecorder).ready = ready
}

// requestID returns the id of the request that w responds to. The first call makes the id and adds it to the response's
// headers.
func requestID(w http.ResponseWriter) string {
	rec := w.(*responseRecorder)
	if rec.id == "" {
		rec.id = strings.ToLower(rand.Text()[:20])
		rec.Header().Set("X-Request-Id", rec.id)
	}
	return rec.id
}

// annotate adds attributes to the log line of the request that w responds to, and raises its level.
func annotate(w http.ResponseWriter, level slog.Level, attrs ...slog.Attr) {
	rec := w.(*responseRecorder)
	rec.level = max(rec.level, level)
	rec.attrs = append(rec.attrs, attrs...)
}

// WriteHeader notes the status.
func (rec *responseRecorder) WriteHeader(status int) {
	rec.begin(status)
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *responseRecorder) Write(b []byte) (int, error) {
	rec.begin(http.StatusOK)
	return rec.ResponseWriter.Write(b)
}

func (rec *responseRecorder) begin(status int) {
	if rec.status != 0 {
		return
	}
	rec.status = status
	if rec.ready != nil {
		rec.ready()
	}
}

// Unwrap gives http.ResponseController access to the writer below.
func (rec *responseRecorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// listener is what observe needs to know about a listener.
type listener struct {
	route  func(*http.Request) string
	fail   failFunc
	logged bool // every request has a log line, not only failed ones
	bare   bool // a response has a request id only if it is an error or has a log line
}

// observe gives every response a request id, unless the listener is bare, and records every request by its route. It never
// records the address, whose query may hold a code. A panic becomes a 500, and the log line has its stack.
func (h *Handler) observe(l listener) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			rec := &responseRecorder{ResponseWriter: w}
			if !l.bare || l.logged {
				requestID(rec)
			}
			defer func() { h.record(r, rec, l, time.Since(start)) }()
			defer recoverPanic(rec, r, l.fail)
			next.ServeHTTP(rec, r)
		})
	}
}

func (h *Handler) record(r *http.Request, rec *responseRecorder, l listener, took time.Duration) {
	route := l.route(r)
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetName(metrics.Method(r.Method) + " " + route)
		span.SetAttributes(attribute.String("http.route", route))
		if rec.id != "" { // an allowed check has none
			span.SetAttributes(attribute.String("request_id", rec.id))
		}
	}
	status := max(rec.status, http.StatusOK) // net/http sends 200 for a handler that sets none
	h.Metrics.Request(route, r.Method, status, took)
	failed := status >= http.StatusBadRequest || rec.level > slog.LevelInfo
	if !l.logged && !failed || !h.Log.Enabled(r.Context(), rec.level) {
		return
	}
	attrs := append([]slog.Attr{
		slog.String("method", shortMethod(r.Method)), slog.String("route", route), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("request_id", requestID(rec)),
	}, rec.attrs...)
	h.Log.LogAttrs(r.Context(), rec.level, "request", attrs...)
}

// shortMethod returns a method as it was sent, up to the length of the longest registered one. Clients may send any.
func shortMethod(method string) string {
	const longest = len("UPDATEREDIRECTREF")
	if len(method) > longest {
		return method[:longest] + "…"
	}
	return method
}

func recoverPanic(rec *responseRecorder, r *http.Request, fail failFunc) {
	switch cause := recover(); cause {
	case nil:
	case http.ErrAbortHandler:
		panic(cause)
	default:
		annotate(rec, slog.LevelError, slog.String("stack", string(debug.Stack())))
		if rec.status == 0 {
			fail(rec, r, fmt.Errorf("panic: %v", cause))
		}
	}
}
