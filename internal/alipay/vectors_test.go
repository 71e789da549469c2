package alipay

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/pemfile"
)

// testNow is within the validity of all certificates of the vectors except the expired ones.
var testNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const testCode = "4b203fe6c11548bcabd8da5bb087aX42"

func vectorFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectorPEM returns the named vector as a file of keys or certificates.
func vectorPEM(t testing.TB, name string) pemfile.File {
	t.Helper()
	return pemfile.File{Name: name, Data: vectorFile(t, name)}
}

func loadVectors[T any](t testing.TB, name string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(vectorFile(t, name), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func privateKey(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	key, err := ParsePrivateKey(string(vectorFile(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(t testing.TB, name string) *rsa.PublicKey {
	t.Helper()
	key, err := ParsePublicKey(string(vectorFile(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func vectorCertificates(t testing.TB, alipay string) *Certificates {
	t.Helper()
	certs, err := ParseCertificates(vectorPEM(t, "certs/app_cert.crt"), vectorPEM(t, alipay), vectorPEM(t, "certs/alipay_root_bundle.crt"))
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

// testConfig returns public key mode with RSA2 and utf-8, which most vectors use.
func testConfig(t testing.TB) Config {
	t.Helper()
	return Config{
		AppID:      "2021000000000001",
		GatewayURL: &url.URL{Scheme: "https", Host: "gateway.example", Path: "/gateway.do"},
		PrivateKey: privateKey(t, "keys/app_private_pkcs8.pem"),
		PublicKey:  publicKey(t, "keys/alipay_public.pem"),
		Now:        func() time.Time { return testNow },
	}
}

// certificateMode returns cfg in certificate mode.
func certificateMode(t testing.TB, cfg Config) Config {
	t.Helper()
	cfg.PublicKey, cfg.Certificates = nil, vectorCertificates(t, "certs/alipay_cert_chain.crt")
	return cfg
}

func newTestClient(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// roundTripper replaces the transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(body string) roundTripper {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode:    http.StatusOK,
			Header:        http.Header{"Content-Type": {"text/html;charset=utf-8"}},
			Body:          io.NopCloser(strings.NewReader(body)),
			ContentLength: int64(len(body)),
		}, nil
	}
}

const successNode = `{"code":"10000","msg":"Success","operator_id":"2088000000000101","operator_type":"PROVIDER","operator_partner_id":"2088000000000202"}`

// signedBy returns a response that holds node, signed with key. It uses crypto/rsa directly, so it does not depend on the
// code under test.
func signedBy(t testing.TB, key *rsa.PrivateKey, node string) string {
	t.Helper()
	h := crypto.SHA256.New()
	h.Write([]byte(node))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return `{"koubei_member_data_oauth_query_response":` + node + `,"sign":"` + base64.StdEncoding.EncodeToString(sig) + `"}`
}
