package metrics_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/metrics"
	"koubei-landing/internal/operator"
)

// scrape returns the samples in Prometheus's format whose names have this prefix.
func scrape(t *testing.T, m *metrics.Metrics, prefix string) map[string]string {
	t.Helper()
	s := httptest.NewServer(m.Handler())
	defer s.Close()
	res, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("got %d, %v", res.StatusCode, err)
	}
	samples := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if at := strings.LastIndexByte(line, ' '); strings.HasPrefix(line, prefix) {
			samples[line[:at]] = strings.TrimSpace(line[at+1:])
		}
	}
	return samples
}

// wantSamples compares all samples, so that a stranger's value cannot add a series.
func wantSamples(t *testing.T, got, want map[string]string) {
	t.Helper()
	for sample, value := range want {
		if got[sample] != value {
			t.Errorf("%s: got %q, want %s", sample, got[sample], value)
		}
	}
	for sample := range got {
		if _, ok := want[sample]; !ok {
			t.Errorf("got %s, which is in no list", sample)
		}
	}
}

func TestAnUnknownOperatorTypeIsOther(t *testing.T) {
	m := metrics.New()
	for _, typ := range []operator.Type{"PROVIDER", "PROVIDER_STAFF", "MER", "MER_STAFF", "SALES", "SALES", "SYSTEM", "provider", "", `"} 1`} {
		m.SessionStarted(typ)
	}
	wantSamples(t, scrape(t, m, "koubei_sessions_started_total"), map[string]string{
		`koubei_sessions_started_total{operator_type="PROVIDER"}`:       "1",
		`koubei_sessions_started_total{operator_type="PROVIDER_STAFF"}`: "1",
		`koubei_sessions_started_total{operator_type="MER"}`:            "1",
		`koubei_sessions_started_total{operator_type="MER_STAFF"}`:      "1",
		`koubei_sessions_started_total{operator_type="SALES"}`:          "2",
		`koubei_sessions_started_total{operator_type="other"}`:          "4",
	})
}

func TestUnknownMethodIsOther(t *testing.T) {
	m := metrics.New()
	want := map[string]string{`http_request_duration_seconds_count{method="other",route="/auth/verify",status="200"}`: "5"}
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"} {
		m.Request("/auth/verify", method, http.StatusOK, time.Millisecond)
		want[`http_request_duration_seconds_count{method="`+method+`",route="/auth/verify",status="200"}`] = "1"
	}
	for _, method := range []string{"BREW", "get", "PROPFIND", "", "M-SEARCH"} {
		m.Request("/auth/verify", method, http.StatusOK, time.Millisecond)
	}
	wantSamples(t, scrape(t, m, "http_request_duration_seconds_count"), want)
}
