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

// answer is the response to one request while it is written. It holds the request id, the status, and the attributes of the
// request's log line. Every handler writes to one.
type answer struct {
	http.ResponseWriter
	id     string // empty until something asks for it
	status int
	level  slog.Level
	attrs  []slog.Attr
	ready  func() // called before the response is written; nil for none
}

// whenReady has ready called as soon as the response that w writes is complete and its writing begins.
func whenReady(w http.ResponseWriter, ready func()) {
	w.(*answer).ready = ready
}

// requestID returns the id of the request that w answers. The first call makes the id and adds it to the response's headers.
func requestID(w http.ResponseWriter) string {
	a := w.(*answer)
	if a.id == "" {
		a.id = strings.ToLower(rand.Text()[:20])
		a.Header().Set("X-Request-Id", a.id)
	}
	return a.id
}

// annotate adds attributes to the log line of the request that w answers, and raises its level.
func annotate(w http.ResponseWriter, level slog.Level, attrs ...slog.Attr) {
	a := w.(*answer)
	a.level = max(a.level, level)
	a.attrs = append(a.attrs, attrs...)
}

// WriteHeader notes the status.
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

// Unwrap gives http.ResponseController access to the writer below.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

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
			a := &answer{ResponseWriter: w}
			if !l.bare || l.logged {
				requestID(a)
			}
			defer func() { h.record(r, a, l, time.Since(start)) }()
			defer recoverPanic(a, r, l.fail)
			next.ServeHTTP(a, r)
		})
	}
}

func (h *Handler) record(r *http.Request, a *answer, l listener, took time.Duration) {
	route := l.route(r)
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetName(metrics.Method(r.Method) + " " + route)
		span.SetAttributes(attribute.String("http.route", route))
		if a.id != "" { // an allowed check has none
			span.SetAttributes(attribute.String("request_id", a.id))
		}
	}
	status := max(a.status, http.StatusOK) // net/http sends 200 for a handler that sets none
	h.Metrics.Request(route, r.Method, status, took)
	failed := status >= http.StatusBadRequest || a.level > slog.LevelInfo
	if !l.logged && !failed || !h.Log.Enabled(r.Context(), a.level) {
		return
	}
	attrs := append([]slog.Attr{
		slog.String("method", shortMethod(r.Method)), slog.String("route", route), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("request_id", requestID(a)),
	}, a.attrs...)
	h.Log.LogAttrs(r.Context(), a.level, "request", attrs...)
}

// shortMethod returns a method as it was sent, up to the length of the longest registered one. Clients may send any.
func shortMethod(method string) string {
	const longest = len("UPDATEREDIRECTREF")
	if len(method) > longest {
		return method[:longest] + "…"
	}
	return method
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
