package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

func TestOneTraceFromCallbackToGateway(t *testing.T) {
	t.Parallel()
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
	for _, want := range []string{"http.route", "/koubei/callback", "request_id"} {
		if text := fmt.Sprint(callback.Attributes); !strings.Contains(text, want) {
			t.Errorf("the callback has no %s: %s", want, text)
		}
	}
	if text := fmt.Sprint(exchange.Attributes); !strings.Contains(text, "alipay.trace_id") || !strings.Contains(text, "success") {
		t.Errorf("got %s", text)
	}
}

// TestOnlyProxiesContinueATrace: a browser's trace is linked, because a stranger could choose its id and its sampling.
func TestOnlyProxiesContinueATrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	w := testworld.New(t, func(c *app.Config) { c.Tracing = provider })
	const id = "0af7651916cd43dd8448eb211c80319c"
	for address, continued := range map[string]bool{w.Public + "/signin": false, w.Internal + "/auth/verify": true} {
		spans.Reset()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Traceparent", "00-"+id+"-b7ad6b7169203331-01")
		w.Program().Do(r)
		testworld.Eventually(t, 30*time.Second, "the span", func() error {
			for _, s := range spans.GetSpans() {
				if s.Name != "GET "+r.URL.Path {
					continue
				}
				linked := slices.ContainsFunc(s.Links, func(l trace.Link) bool { return l.SpanContext.TraceID().String() == id })
				if got := s.SpanContext.TraceID().String() == id; got != continued || linked == continued {
					t.Errorf("%s: continued %t, linked %t; want continued %t", address, got, linked, continued)
				}
				return nil
			}
			return errors.New("none")
		})
	}
}
