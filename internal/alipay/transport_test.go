package alipay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
)

func file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// genuine returns a success that the gateway of the vectors signed.
func genuine(t *testing.T) string {
	t.Helper()
	var vectors []struct{ Name, Body string }
	if err := json.Unmarshal([]byte(file(t, "responses.json")), &vectors); err != nil {
		t.Fatal(err)
	}
	if vectors[0].Name != "success_provider" {
		t.Fatalf("got %s first", vectors[0].Name)
	}
	return vectors[0].Body
}

func newClient(t *testing.T, gateway string, timeout time.Duration, onAttempt func(alipay.Attempt)) *alipay.Client {
	t.Helper()
	own, err := alipay.ParsePrivateKey(file(t, "keys/app_private_pkcs1.b64"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := alipay.ParsePublicKey(file(t, "keys/alipay_public.b64"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	c, err := alipay.New(alipay.Config{
		AppID: "2021000000000001", GatewayURL: u, PrivateKey: own, PublicKey: theirs, OnAttempt: onAttempt,
		Timeout: timeout, MaxConns: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// sends responds with a body and headers, which are names and values in turn.
func sends(b []byte, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = w.Write(b)
	}
}

// sendsStatus responds with a status other than 200, a redirect's address and a body.
func sendsStatus(code int, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		_, _ = w.Write(body)
	}
}

// sendsEndlessly writes a body until the client closes the connection.
func sendsEndlessly(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte(" "), 32<<10)); err != nil {
			return
		}
	}
}

// truncated announces more than next sends.
func truncated(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4000")
		next(w, r)
	}
}

// resets closes the connection without a response.
func resets(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hangs sends nothing until the client gives up.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// transportRow is what a gateway does, and the outcome of the attempt.
type transportRow struct {
	name     string
	handler  http.HandlerFunc
	want     error
	outcome  alipay.Outcome
	noHeader bool // the client gets no header, and so no trace id
}

// Failures between client and gateway, over real HTTP.
func TestTransport(t *testing.T) {
	t.Parallel()
	body := []byte(genuine(t))
	noise := make([]byte, 70<<10) // gzip cannot make it smaller
	rand.NewChaCha8([32]byte{}).Read(noise)
	padded := func(size int) []byte { return append(bytes.Repeat([]byte(" "), size-len(body)), body...) }
	for _, tt := range []transportRow{
		{name: "genuine", handler: sends(body), outcome: alipay.OutcomeSuccess},
		{name: "gzip, unrequested", handler: sends(zipped(t, body), "Content-Encoding", "gzip"), outcome: alipay.OutcomeSuccess},
		{name: "x-gzip", handler: sends(zipped(t, body), "Content-Encoding", "X-GZIP"), outcome: alipay.OutcomeSuccess},
		{name: "identity", handler: sends(body, "Content-Encoding", "identity"), outcome: alipay.OutcomeSuccess},
		{name: "64 KiB", handler: sends(padded(64 << 10)), outcome: alipay.OutcomeSuccess},
		{name: "more than 64 KiB", handler: sends(padded(64<<10 + 1)), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "endless", handler: sendsEndlessly, want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "announced as 1 PiB", handler: sends(body, "Content-Length", "1125899906842624"), want: alipay.ErrUnavailable, outcome: alipay.OutcomeLost},
		{name: "gzip of more than 64 KiB", handler: sends(zipped(t, noise), "Content-Encoding", "gzip"), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "not gzip", handler: sends(body, "Content-Encoding", "gzip"), want: alipay.ErrUnavailable, outcome: alipay.OutcomeLost},
		{name: "gzip bomb", handler: sends(zipped(t, padded(8<<20)), "Content-Encoding", "gzip"), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "truncated gzip", handler: sends(zipped(t, body)[:200], "Content-Encoding", "gzip"), want: alipay.ErrUnavailable, outcome: alipay.OutcomeLost},
		{name: "brotli", handler: sends(body, "Content-Encoding", "br"), want: alipay.ErrUnavailable, outcome: alipay.OutcomeLost},
		{name: "truncated", handler: truncated(sends(body)), want: alipay.ErrUnavailable, outcome: alipay.OutcomeLost},
		{name: "reset", handler: resets, want: alipay.ErrUnavailable, outcome: alipay.OutcomeLost, noHeader: true},
		{name: "slow", handler: hangs, want: alipay.ErrUnavailable, outcome: alipay.OutcomeTimeout, noHeader: true},
		{name: "301", handler: sendsStatus(301, body), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "302", handler: sendsStatus(302, body), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "307", handler: sendsStatus(307, body), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "500", handler: sendsStatus(500, body), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "500, truncated", handler: truncated(sendsStatus(500, body)), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "HTML", handler: sends([]byte("<html>sorry</html>")), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
		{name: "empty", handler: sends(nil), want: alipay.ErrUnavailable, outcome: alipay.OutcomeNotGateway},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkTransport(t, tt)
		})
	}
}

// checkTransport makes one attempt at a gateway that behaves like the row.
func checkTransport(t *testing.T, tt transportRow) {
	t.Helper()
	var elsewhere atomic.Int32
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/gateway.do" {
			elsewhere.Add(1)
		}
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client has left
		w.Header().Set("trace_id", strings.Repeat("~", 65))
		tt.handler(w, r)
	}))
	defer gateway.Close()
	timeout := time.Minute
	if tt.outcome == alipay.OutcomeTimeout {
		timeout = 100 * time.Millisecond
	}
	var first alipay.Attempt
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := newClient(t, gateway.URL+"/gateway.do", timeout, func(a alipay.Attempt) {
		first = a
		cancel() // one attempt is enough
	})
	_, err := c.Exchange(ctx, "4b203fe6c11548bcabd8da5bb087aX42")
	if tt.want == nil && err != nil || !errors.Is(err, tt.want) || first.Outcome != tt.outcome {
		t.Errorf("got %v, first %s, want %v, %s", err, first.Outcome, tt.want, tt.outcome)
	}
	wantTraceID := strings.Repeat("~", 64)
	if tt.noHeader {
		wantTraceID = ""
	}
	if first.TraceID != wantTraceID {
		t.Errorf("trace id of the attempt: got %q", first.TraceID)
	}
	if e, ok := errors.AsType[*alipay.Error](err); ok && (e.TraceID != wantTraceID || slices.Contains(e.Unwrap(), nil)) {
		t.Errorf("got %+v, want its trace id, and no nil in Unwrap", e)
	}
	if elsewhere.Load() != 0 {
		t.Error("followed a redirect")
	}
}

// A row is a response, and how many connections five calls take. The client has one at a time, so it has closed the others.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   int32
	}{
		{"a success", http.StatusOK, genuine(t), 1},
		{"an error page", http.StatusBadGateway, strings.Repeat("x", 4<<10), 1},
		{"a long error page, not read", http.StatusBadGateway, strings.Repeat("x", 1<<20), 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			gateway := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			gateway.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			gateway.Start()
			defer gateway.Close()
			c := newClient(t, gateway.URL, time.Minute, nil)
			for range 5 {
				_, _ = c.Probe(t.Context())
			}
			if n := connections.Load(); n != tt.want {
				t.Errorf("got %d connections, want %d", n, tt.want)
			}
		})
	}
}

// A gateway with an unknown TLS certificate gets no request.
func TestUnknownTLSCertificate(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	gateway := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	gateway.Config.ErrorLog = log.New(io.Discard, "", 0) // it would log the failed handshakes
	gateway.StartTLS()
	defer gateway.Close()
	_, err := newClient(t, gateway.URL, time.Minute, nil).Probe(t.Context()) // one call, no retries
	if !errors.Is(err, alipay.ErrUnavailable) || calls.Load() != 0 {
		t.Errorf("got %v after %d calls", err, calls.Load())
	}
}
