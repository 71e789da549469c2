package alipay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestTLSVersionsAndHTTP2(t *testing.T) {
	t.Parallel()
	body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), successNode)
	for _, tt := range []struct {
		name  string
		max   uint16
		http2 bool
		proto string
	}{
		{"TLS 1.1", tls.VersionTLS11, false, ""},
		{"TLS 1.2", tls.VersionTLS12, false, "HTTP/1.1"},
		{"HTTP/2", tls.VersionTLS13, true, "HTTP/2.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proto := ""
			gateway := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				proto = r.Proto
				_, _ = io.WriteString(w, body)
			}))
			gateway.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tt.max}
			gateway.EnableHTTP2 = tt.http2
			gateway.Config.ErrorLog = log.New(io.Discard, "", 0)
			gateway.StartTLS()
			defer gateway.Close()

			cfg := testConfig(t)
			address, err := url.Parse(gateway.URL)
			if err != nil {
				t.Fatal(err)
			}
			cfg.GatewayURL = address
			c := newTestClient(t, cfg)
			roots := x509.NewCertPool()
			roots.AddCert(gateway.Certificate())
			c.transport.(*http.Transport).TLSClientConfig.RootCAs = roots
			_, err = c.Probe(t.Context()) // one call, no retries
			if proto != tt.proto {
				t.Errorf("got %q, %v, want %q", proto, err, tt.proto)
			}
			if want := map[bool]error{true: ErrUnavailable, false: ErrUntrusted}[tt.proto == ""]; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}
