package app

import (
	"context"
	"net/http"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracerName is the instrumentation scope of the service's own spans.
const tracerName = "koubei-landing"

// parent says what a request's span does with the trace that the request names.
type parent int

const (
	continued parent = iota // the span belongs to that trace, which a proxy has begun
	linked                  // the span begins a new trace with a link to that one, because any client may name one
)

// traced creates a span for every request. Without a provider it costs nothing. The span has a path and no query, because a
// query may contain a code.
func traced(next http.Handler, provider trace.TracerProvider, p parent) http.Handler {
	if provider == nil {
		return next
	}
	return otelhttp.NewHandler(next, "request", otelhttp.WithTracerProvider(provider),
		otelhttp.WithPropagators(propagation.TraceContext{}), otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return p == linked }))
}

// untraced returns a context whose Redis commands have no spans. Background work belongs to no request, and each command
// would be a trace of its own.
func untraced(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
}

// traceRedis creates a span for every command with the command's name, but without keys and values.
func traceRedis(rdb redis.UniversalClient, provider trace.TracerProvider) {
	if provider == nil {
		return
	}
	// It fails for kinds of clients that OpenRedis does not return.
	_ = redisotel.InstrumentTracing(rdb, redisotel.WithTracerProvider(provider), redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false))
}
