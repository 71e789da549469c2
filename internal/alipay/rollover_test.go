package alipay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"koubei-landing/internal/pemfile"
)

type downloadVector struct {
	Name     string    `json:"name"`
	SN       string    `json:"requested_sn"`
	Body     string    `json:"body"`
	Roots    string    `json:"roots"`
	Now      time.Time `json:"now"`
	Expected string    `json:"expected"`
}

func TestDownloadVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadVectors[[]downloadVector](t, "certs/downloads.json") {
		t.Run(v.Name, func(t *testing.T) {
			cfg := certificateMode(t, testConfig(t))
			cfg.Now = func() time.Time { return v.Now }
			c := newTestClient(t, cfg)
			chain, err := c.readCertificate(response{status: 200, contentType: "text/html;charset=utf-8", body: []byte(v.Body)}, v.SN)
			if v.Expected == "trusted" {
				if err != nil || len(chain) != 2 || describe("", chain[0]).SN != v.SN {
					t.Errorf("got %v, %v", chain, err)
				}
				return
			}
			if !errors.Is(err, ErrUntrusted) || chain != nil {
				t.Errorf("got %v, %v, want untrusted", chain, err)
			}
		})
	}
}

// TestEncryptedDownload: a gateway that encrypts responses may encrypt the certificate, too.
func TestEncryptedDownload(t *testing.T) {
	t.Parallel()
	v := vectorNamed(t, "certs/downloads.json", "good_chain", func(v downloadVector) string { return v.Name })
	var envelope map[string]json.RawMessage
	if err := json.Unmarshal([]byte(v.Body), &envelope); err != nil {
		t.Fatal(err)
	}
	cfg := certificateMode(t, testConfig(t))
	cfg.Now = func() time.Time { return v.Now }
	cfg.EncryptKey = []byte("0123456789abcdef")
	c := newTestClient(t, cfg)
	body := `{"` + downloadNode + `":"` + encrypt(c.block, envelope[downloadNode]) + `"}`
	chain, err := c.readCertificate(response{status: 200, contentType: "text/html;charset=utf-8", body: []byte(body)}, v.SN)
	if err != nil || len(chain) != 2 {
		t.Errorf("got %d certificates, %v, want 2", len(chain), err)
	}
}

// A row is the gateway's response to a download, and the result of the exchange that waits for it. In each case the advice
// says where to get the certificate.
func TestFailedDownloads(t *testing.T) {
	t.Parallel()
	node := func(fields string) string {
		return `{"alipay_open_app_alipaycert_download_response":{` + fields + `}}`
	}
	good := vectorNamed(t, "certs/downloads.json", "good_chain", func(v downloadVector) string { return v.Name }).Body
	for _, tt := range []struct {
		name     string
		status   int
		body     string
		want     error
		attempts int // to download it
	}{
		{"an error page with the certificate", 500, good, ErrUnavailable, maxAttempts},
		{"success under error_response", 200, strings.Replace(good, downloadNode, errorNode, 1), ErrUntrusted, 1},
		{"busy", 200, node(`"code":"20000","msg":"m","sub_code":"isp.unknow-error"`), ErrUnavailable, maxAttempts},
		{"too many calls", 200, node(`"code":"40005","msg":"m","sub_code":"isv.app-call-limited"`), ErrUnavailable, maxAttempts},
		{"not the gateway", 200, "<html>", ErrUnavailable, maxAttempts},
		{"neither UTF-8 nor GBK", 200, "{\xff\xff}", ErrUntrusted, 1},
		{"two nodes", 200, strings.Replace(good, "{", `{"error_response":{},`, 1), ErrUntrusted, 1},
		{"refused", 200, node(`"code":"40006","msg":"m","sub_code":"isv.insufficient-isv-permissions"`), ErrUntrusted, 1},
		{"unknown there", 200, node(`"code":"40004","msg":"m","sub_code":"CERT_NOT_EXIST"`), ErrUntrusted, 1},
		{"refused under error_response", 200, `{"error_response":{"code":"40002","msg":"m"}}`, ErrUntrusted, 1},
		{"no certificate", 200, node(`"code":"10000","msg":"m","alipay_cert_content":null`), ErrUntrusted, 1},
		{"not base64", 200, node(`"code":"10000","msg":"m","alipay_cert_content":"*"`), ErrUntrusted, 1},
		{"not base64 after the certificate", 200, strings.Replace(good, `"}}`, `*"}}`, 1), ErrUntrusted, 1},
		{"encrypted", 200, `{"alipay_open_app_alipaycert_download_response":"AAAA"}`, ErrUntrusted, 1},
		{"not as documented", 200, node(`"code":10000`), ErrUntrusted, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newRollOver(t)
				g.download = func(int) (*http.Response, error) {
					resp, err := answering(tt.body)(nil)
					resp.StatusCode = tt.status
					return resp, err
				}
				c := newTestClient(t, certificateMode(t, testConfig(t)))
				c.transport = g
				_, err := c.Exchange(t.Context(), testCode)
				if !errors.Is(err, tt.want) || g.exchanges != 1 || len(g.downloads) != tt.attempts {
					t.Errorf("got %v after %d exchanges and %d downloads, want %v, 1 and %d", err, g.exchanges, len(g.downloads), tt.want, tt.attempts)
				}
				if advice := asError(err).Advice(); !strings.Contains(advice, "into ALIPAY_CERT_FILE") {
					t.Errorf("advice: got %q", advice)
				}
				if !asError(err).missingCert || !strings.Contains(err.Error(), downloadMethod) {
					t.Errorf("got %+v, want an error about the missing certificate", asError(err))
				}
			})
		})
	}
}

// rollOver is a gateway that signs with a certificate that the client does not have, and offers it for download.
type rollOver struct {
	mu        sync.Mutex
	exchanges int
	downloads []string // the biz_content of each
	body      string   // of the response to an exchange
	download  func(n int) (*http.Response, error)
	slow      time.Duration // how long a download takes
}

func (g *rollOver) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	isExchange := r.URL.Query().Get("method") == queryMethod
	if !isExchange {
		select {
		case <-time.After(g.slow):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if isExchange {
		g.exchanges++
		return answering(g.body)(r)
	}
	g.downloads = append(g.downloads, string(body))
	return g.download(len(g.downloads))
}

func vectorNamed[T any](t *testing.T, file, name string, nameOf func(T) string) T {
	t.Helper()
	vectors := loadVectors[[]T](t, file)
	i := slices.IndexFunc(vectors, func(v T) bool { return nameOf(v) == name })
	if i < 0 {
		t.Fatalf("no vector %s", name)
	}
	return vectors[i]
}

func newRollOver(t *testing.T) *rollOver {
	unknown := vectorNamed(t, "responses.json", "cert_unknown_sn", func(v responseVector) string { return v.Name })
	good := vectorNamed(t, "certs/downloads.json", "good_chain", func(v downloadVector) string { return v.Name })
	return &rollOver{
		body:     unknown.Body,
		download: func(int) (*http.Response, error) { return answering(good.Body)(nil) },
	}
}

func TestUnknownCertificateIsDownloadedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRollOver(t)
		g.slow = time.Second
		c := newTestClient(t, certificateMode(t, testConfig(t)))
		c.transport = g
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := c.Exchange(t.Context(), testCode); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if _, err := c.Exchange(t.Context(), testCode); err != nil {
			t.Errorf("later: got %v", err)
		}
		if len(g.downloads) != 1 || g.exchanges != 9 {
			t.Fatalf("got %d downloads, %d exchanges, want 1 and 9", len(g.downloads), g.exchanges)
		}
		if got, want := formValues(t, g.downloads[0]).Get("biz_content"), `{"alipay_cert_sn":"8d84ef51979f048cf4bae6d5c931645d"}`; got != want {
			t.Errorf("biz_content: got %s, want %s", got, want)
		}
	})
}

// One canceled caller does not stop the download for the others.
func TestDownloadOutlivesItsFirstCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRollOver(t)
		g.slow = time.Second
		c := newTestClient(t, certificateMode(t, testConfig(t)))
		c.transport = g
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Exchange(ctx, testCode); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("canceled: got %v", err)
			}
		})
		<-time.After(100 * time.Millisecond)
		wg.Go(func() {
			if _, err := c.Exchange(t.Context(), testCode); err != nil {
				t.Errorf("not canceled: got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		if len(g.downloads) != 1 {
			t.Errorf("got %d downloads, want 1", len(g.downloads))
		}
	})
}

// A row is the response to a download, and how long the client does not download the certificate again.
func TestRefusedCertificateIsNotDownloadedAgainForAWhile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       error
		wait       time.Duration
	}{
		{"refused", `{"alipay_open_app_alipaycert_download_response":{"code":"40004","msg":"x"}}`, ErrUntrusted, refusedFor},
		{"lost", "<html>", ErrUnavailable, lostFor},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRollOver(t)
			cfg := certificateMode(t, testConfig(t))
			began := time.Now()
			cfg.Now = func() time.Time { return testNow.Add(time.Since(began)) }
			c := newTestClient(t, cfg)
			c.transport = g
			good := g.download
			g.download = func(int) (*http.Response, error) { return answering(tt.body)(nil) }
			exchange := func() {
				if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, tt.want) {
					t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
				}
			}
			exchange()
			refused, downloads := time.Now(), len(g.downloads)
			exchange()
			<-time.After(tt.wait - time.Since(refused) - 1)
			exchange()
			if len(g.downloads) != downloads {
				t.Errorf("%s: got %d downloads, want %d", tt.name, len(g.downloads), downloads)
			}
			g.download = good
			<-time.After(1)
			if _, err := c.Exchange(t.Context(), testCode); err != nil {
				t.Errorf("%s: after a while: got %v", tt.name, err)
			}
		})
	}
}

// What is known about a certificate takes no time: a response that arrives at the last moment counts.
func TestKnownCertificatesTakeNoTime(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	own := vectorNamed(t, "responses.json", "cert_success_sn_first", func(v responseVector) string { return v.Name })
	c := newTestClient(t, own.config(t))
	g := newRollOver(t)
	g.download = func(int) (*http.Response, error) { return answering(`{"error_response":{"code":"40004"}}`)(nil) }
	c.transport = g
	other := response{status: 200, contentType: own.ContentType, body: []byte(g.body)}
	if _, err := c.read(t.Context(), other); !errors.Is(err, ErrUntrusted) {
		t.Fatalf("another certificate: got %v", err)
	}
	for range 10 {
		if _, err := c.read(ended, own.response(t)); err != nil {
			t.Errorf("the configured certificate: got %v", err)
		}
		if _, err := c.read(ended, other); !errors.Is(err, ErrUntrusted) {
			t.Errorf("the refused certificate: got %v", err)
		}
	}
}

// A download without a response ends with the exchange that began it.
func TestADownloadEndsWithItsExchange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRollOver(t)
		c := newTestClient(t, certificateMode(t, testConfig(t)))
		var downloads atomic.Int32
		c.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Get("method") == queryMethod {
				return g.RoundTrip(r)
			}
			downloads.Add(1)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
		began := downloads.Load()
		<-time.After(time.Hour)
		if n := downloads.Load(); n != began || n != 2 {
			t.Errorf("got %d downloads during the exchange and %d later, want 2 and none", began, n-began)
		}
	})
}

// A code that was exchanged must not be sent again because a certificate is missing.
func TestDownloadIsRetriedButNotTheExchange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRollOver(t)
		good := g.download
		g.download = func(n int) (*http.Response, error) {
			if n < 3 {
				return nil, io.ErrUnexpectedEOF
			}
			return good(n)
		}
		c := newTestClient(t, certificateMode(t, testConfig(t)))
		c.transport = g
		if _, err := c.Exchange(t.Context(), testCode); err != nil || g.exchanges != 1 || len(g.downloads) != 3 {
			t.Errorf("got %v after %d exchanges and %d downloads", err, g.exchanges, len(g.downloads))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g := newRollOver(t)
		g.download = func(int) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
		c := newTestClient(t, certificateMode(t, testConfig(t)))
		c.transport = g
		if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, ErrUnavailable) || g.exchanges != 1 {
			t.Errorf("got %v after %d exchanges", err, g.exchanges)
		}
	})
}

// SNs are not signed, so a forger can name a new one in every response.
func TestDownloadsOfInventedCertificatesAreBounded(t *testing.T) {
	t.Parallel()
	g := newRollOver(t)
	original := g.body
	g.download = func(int) (*http.Response, error) { return answering(`{"error_response":{"code":"40004"}}`)(nil) }
	c := newTestClient(t, certificateMode(t, testConfig(t)))
	c.transport = g
	for i := range 100 {
		g.body = strings.Replace(original, "8d84ef51979f048cf4bae6d5c931645d", strings.Repeat("0", 29)+big.NewInt(int64(100+i)).String(), 1)
		if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, ErrUntrusted) {
			t.Fatalf("got %v", err)
		} else if advice := asError(err).Advice(); !strings.Contains(advice, "into ALIPAY_CERT_FILE") {
			t.Fatalf("advice: got %q", advice)
		}
	}
	if len(g.downloads) != maxRefused {
		t.Errorf("got %d downloads, want %d", len(g.downloads), maxRefused)
	}
	if len(c.trust.refused) > maxRefused {
		t.Errorf("got %d refused SNs in memory", len(c.trust.refused))
	}
}

func TestMalformedSNsAreNotDownloaded(t *testing.T) {
	t.Parallel()
	g := newRollOver(t)
	original := g.body
	c := newTestClient(t, certificateMode(t, testConfig(t)))
	c.transport = g
	for _, sn := range []string{"", "x", strings.Repeat("A", 32), strings.Repeat("0", 33), `00000000000000000000000000000\n`} {
		g.body = strings.Replace(original, "8d84ef51979f048cf4bae6d5c931645d", sn, 1)
		if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%q: got %v", sn, err)
		}
	}
	if len(g.downloads) != 0 {
		t.Errorf("got %d downloads", len(g.downloads))
	}
}

// authority issues certificates without CA flags, like the intermediate of the sandbox. It has one key for all of them, so
// only names tell them apart.
type authority struct {
	t      *testing.T
	key    *rsa.PrivateKey
	serial int64
}

func newAuthority(t *testing.T) *authority {
	return &authority{t: t, key: privateKey(t, "keys/other_private_pkcs1.pem")}
}

func (a *authority) issue(subject, issuer string) *x509.Certificate {
	a.t.Helper()
	return a.issueFor(a.key.Public(), subject, issuer)
}

// issueEC issues a certificate for an EC key.
func (a *authority) issueEC(subject, issuer string) *x509.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.issueFor(key.Public(), subject, issuer)
}

func (a *authority) issueFor(key any, subject, issuer string) *x509.Certificate {
	a.t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: subject},
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour),
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

func pemOf(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, cert := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return b
}

// Every ISV has a certificate under Alipay's root with its key. The client must accept it neither as Alipay's certificate
// nor as the issuer of one.
func TestApplicationCertificateIsNotAlipays(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	root, middle := a.issue("root", "root"), a.issue("middle", "root")
	alipay, isv := a.issue("alipay", "middle"), a.issue("isv", "middle")
	certs, err := ParseCertificates(pemfile.File{Data: pemOf(isv)}, pemfile.File{Data: pemOf(alipay, middle)}, pemfile.File{Data: pemOf(root)})
	if err != nil {
		t.Fatal(err)
	}
	forged := a.issue("alipay", "isv")
	renewedEC := a.issueEC("alipay", "middle")
	renewed := a.issue("alipay", "middle")
	tests := []struct {
		name string
		leaf *x509.Certificate
		file []byte
		want bool
	}{
		{"renewed", renewed, pemOf(renewed, middle), true},
		{"renewed with an EC key, which read refuses", renewedEC, pemOf(renewedEC, middle), true},
		{"an ISV's own", isv, pemOf(isv, middle), false},
		{"issued by an ISV's own", forged, pemOf(forged, isv, middle), false},
		{"the intermediate", middle, pemOf(middle), false},
		{"the root", root, pemOf(root), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sn := describe("", tt.leaf).SN
			_, err := certs.verified(base64.StdEncoding.EncodeToString(tt.file), sn)
			if tt.want && err != nil || !tt.want && !errors.Is(err, ErrUntrusted) {
				t.Errorf("got %v, want trusted %t", err, tt.want)
			}
		})
	}
}
