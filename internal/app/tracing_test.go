package app_test

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

func TestOneTraceFromCallbackToGateway(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	w := testworld.New(t, func(c *app.Config) { c.Tracing = provider })
	code := w.Koubei.Issue(testworld.Provider)
	b := w.Browser()
	b.Land(w.Landing(code))
	var callback, exchange, redis *tracetest.SpanStub
	for _, s := range spans.GetSpans() {
		if text := fmt.Sprint(s.Name, s.Attributes, s.Events, s.Status); strings.Contains(text, code) || strings.Contains(text, b.Cookie(w.Public, "koubei_session")) {
			t.Errorf("span %s holds the code or the token: %s", s.Name, text)
		}
		switch s.Name {
		case "koubei.member.data.oauth.query":
			exchange = &s
		case "GET /koubei/callback":
			callback = &s // the last: the first was the hop
		case "eval":
			redis = &s
		}
	}
	if callback == nil || exchange == nil || redis == nil {
		t.Fatalf("got %d spans, want the callback, the exchange and Redis among them", len(spans.GetSpans()))
	}
	for _, s := range []*tracetest.SpanStub{exchange, redis} {
		if s.SpanContext.TraceID() != callback.SpanContext.TraceID() {
			t.Errorf("%s is in another trace", s.Name)
		}
	}
	if text := fmt.Sprint(exchange.Attributes); !strings.Contains(text, "alipay.trace_id") || !strings.Contains(text, "success") {
		t.Errorf("got %s", text)
	}
}
