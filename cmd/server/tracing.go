package main

import (
	"context"
	"log/slog"
	"net/url"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"koubei-landing/internal/setting"
)

// tracingOn reports whether the standard variables of OpenTelemetry name an OTLP endpoint and do not turn tracing off.
func tracingOn(getenv func(string) string) bool {
	return (getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "") &&
		!strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") && getenv("OTEL_TRACES_EXPORTER") != "none"
}

// checkTracing adds the problems of OpenTelemetry's variables, if tracing is on. The exporter reads the variables itself: it
// would ignore a wrong value and quote it in the log.
func (p *parser) checkTracing(getenv func(string) string) {
	if !tracingOn(getenv) {
		return
	}
	check := func(name string, valid func(string) bool, fix string) {
		if value := getenv(name); value != "" && !valid(value) {
			p.invalid(name, value, fix)
		}
	}
	check("OTEL_TRACES_EXPORTER", func(v string) bool { return v == "otlp" }, "use otlp or none")
	for _, traces := range []string{"", "TRACES_"} {
		check("OTEL_EXPORTER_OTLP_"+traces+"PROTOCOL", func(v string) bool { return v == "http/protobuf" }, "use http/protobuf, usually on port 4318: the service supports no other protocol")
		check("OTEL_EXPORTER_OTLP_"+traces+"ENDPOINT", isHTTP, "use an address such as http://collector.example:4318")
		check("OTEL_EXPORTER_OTLP_"+traces+"HEADERS", isHeaders, "use name=value pairs separated by commas, the values percent-encoded")
	}
}

func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func isHeaders(list string) bool {
	for pair := range strings.SplitSeq(list, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); !ok || err != nil || strings.TrimSpace(name) == "" {
			return false
		}
	}
	return true
}

// tracing returns the provider that sends spans to the OTLP endpoint, and nil if tracing is off. It fails with
// setting.Problems.
func tracing(ctx context.Context, getenv func(string) string, log *slog.Logger) (*trace.TracerProvider, error) {
	if !tracingOn(getenv) {
		return nil, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing failed", "error", err) }))
	otel.SetLogger(logr.FromSlogHandler(messagesOnly{log.Handler()}))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, setting.Problems{setting.Bad("OTEL_EXPORTER_OTLP_ENDPOINT", "can't be used", "check it and the other OTEL_EXPORTER_OTLP variables")}
	}
	named, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "koubei-landing")), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, setting.Problems{setting.Bad("OTEL_RESOURCE_ATTRIBUTES", "can't be used", "use key=value pairs separated by commas, the values percent-encoded")}
	}
	return trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(named)), nil
}

// messagesOnly drops the attributes of OpenTelemetry's own log lines: they quote the values of variables.
type messagesOnly struct{ slog.Handler }

// Handle implements slog.Handler.
func (h messagesOnly) Handle(ctx context.Context, r slog.Record) error {
	return h.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, "opentelemetry: "+r.Message, r.PC))
}

// WithAttrs implements slog.Handler.
func (h messagesOnly) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h messagesOnly) WithGroup(string) slog.Handler { return h }
