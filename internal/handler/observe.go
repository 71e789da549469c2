package handler

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// requestLog is the log line of one request while it is being written.
type requestLog struct {
	id    string
	level slog.Level
	attrs []slog.Attr
}

type requestLogKey struct{}

func requestID(ctx context.Context) string {
	if line, ok := ctx.Value(requestLogKey{}).(*requestLog); ok {
		return line.id
	}
	return ""
}

// annotate adds to the log line of a request, and raises its level.
func annotate(ctx context.Context, level slog.Level, attrs ...slog.Attr) {
	if line, ok := ctx.Value(requestLogKey{}).(*requestLog); ok {
		line.level = max(line.level, level)
		line.attrs = append(line.attrs, attrs...)
	}
}

// recorder remembers the status that was written.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// observe gives every answer a request id, and every request one log line and one observation: by its route, never by
// its address, whose query may hold a code. A panic is a 500 and is logged with its stack.
func (h *Handler) observe(route func(*http.Request) string, fail failFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			line := &requestLog{id: strings.ToLower(rand.Text()[:20])}
			w.Header().Set("X-Request-Id", line.id)
			rec := &recorder{ResponseWriter: w}
			r = r.WithContext(context.WithValue(r.Context(), requestLogKey{}, line))
			defer func() { h.record(r, rec, line, route(r), time.Since(start)) }()
			defer recoverPanic(rec, r, fail)
			next.ServeHTTP(rec, r)
		})
	}
}

func (h *Handler) record(r *http.Request, rec *recorder, line *requestLog, route string, took time.Duration) {
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetName(r.Method + " " + route)
		span.SetAttributes(attribute.String("http.route", route), attribute.String("request_id", line.id))
	}
	h.Metrics.Request(route, r.Method, max(rec.status, http.StatusOK), took)
	if !h.Log.Enabled(r.Context(), line.level) {
		return
	}
	attrs := append([]slog.Attr{
		slog.String("method", r.Method), slog.String("route", route), slog.Int("status", rec.status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("request_id", line.id),
	}, line.attrs...)
	h.Log.LogAttrs(r.Context(), line.level, "request", attrs...)
}

func recoverPanic(rec *recorder, r *http.Request, fail failFunc) {
	switch cause := recover(); cause {
	case nil:
	case http.ErrAbortHandler:
		panic(cause)
	default:
		annotate(r.Context(), slog.LevelError, slog.String("stack", string(debug.Stack())))
		if rec.status == 0 {
			fail(rec, r, fmt.Errorf("panic: %v", cause))
		}
	}
}
