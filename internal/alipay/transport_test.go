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

// Failures between client and gateway, over real HTTP.
func TestTransport(t *testing.T) {
	t.Parallel()
	body := []byte(genuine(t))
	send := func(b []byte, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			_, _ = w.Write(b)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = w.Write(body)
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 32<<10)); err != nil {
				return
			}
		}
	}
	cut := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "4000")
			next(w, r)
		}
	}
	noise := make([]byte, 70<<10) // gzip cannot make it smaller
	rand.NewChaCha8([32]byte{}).Read(noise)
	padded := func(size int) []byte { return append(bytes.Repeat([]byte(" "), size-len(body)), body...) }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    error
		outcome alipay.Outcome
	}{
		{"genuine", send(body), nil, alipay.OutcomeSuccess},
		{"gzip, unrequested", send(zipped(t, body), "Content-Encoding", "gzip"), nil, alipay.OutcomeSuccess},
		{"64 KiB", send(padded(64 << 10)), nil, alipay.OutcomeSuccess},
		{"more than 64 KiB", send(padded(64<<10 + 1)), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"endless", endless, alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"x-gzip", send(zipped(t, body), "Content-Encoding", "X-GZIP"), nil, alipay.OutcomeSuccess},
		{"identity", send(body, "Content-Encoding", "identity"), nil, alipay.OutcomeSuccess},
		{"announced as 1 PiB", send(body, "Content-Length", "1125899906842624"), alipay.ErrUnavailable, alipay.OutcomeLost},
		{"gzip of more than 64 KiB", send(zipped(t, noise), "Content-Encoding", "gzip"), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"not gzip", send(body, "Content-Encoding", "gzip"), alipay.ErrUnavailable, alipay.OutcomeLost},
		{"gzip bomb", send(zipped(t, padded(8<<20)), "Content-Encoding", "gzip"), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"cut gzip", send(zipped(t, body)[:200], "Content-Encoding", "gzip"), alipay.ErrUnavailable, alipay.OutcomeLost},
		{"brotli", send(body, "Content-Encoding", "br"), alipay.ErrUnavailable, alipay.OutcomeLost},
		{"truncated", cut(send(body)), alipay.ErrUnavailable, alipay.OutcomeLost},
		{"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, alipay.ErrUnavailable, alipay.OutcomeLost},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, alipay.ErrUnavailable, alipay.OutcomeTimeout},
		{"301", status(301), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"302", status(302), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"307", status(307), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"500", status(500), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"500, truncated", cut(status(500)), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"HTML", send([]byte("<html>sorry</html>")), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
		{"empty", send(nil), alipay.ErrUnavailable, alipay.OutcomeNotGateway},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
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
			answered := tt.outcome != alipay.OutcomeTimeout && tt.name != "reset"
			if want := strings.Repeat("~", 64); answered && first.TraceID != want || !answered && first.TraceID != "" {
				t.Errorf("trace id: got %q", first.TraceID)
			}
			if first.Err != nil && strings.Contains(first.Err.Error(), "trace_id") != answered {
				t.Errorf("got %v, with its trace id: %t", first.Err, answered)
			}
			if elsewhere.Load() != 0 {
				t.Error("followed a redirect")
			}
			checkUnwrap(t, first.Err)
		})
	}
}

// checkUnwrap fails if an error in the tree of err is nil.
func checkUnwrap(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*alipay.Error](err); ok && slices.Contains(e.Unwrap(), nil) {
		t.Errorf("a nil error in %+v", e)
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
