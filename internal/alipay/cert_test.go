package alipay

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
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
	"testing"
	"testing/synctest"
	"time"
)

type snVector struct {
	File    string `json:"file"`
	SN      string `json:"sn"`
	Issuer  string `json:"issuer"`
	Differs bool   `json:"differs"`
	Escaped string `json:"sn_rfc2253_escaped"`
}

func TestSNVectors(t *testing.T) {
	var vectors map[string]json.RawMessage
	if err := json.Unmarshal(vectorFile(t, "certs/sns.json"), &vectors); err != nil {
		t.Fatal(err)
	}
	var rows []snVector
	if err := json.Unmarshal(vectors["issuer_name_forms"], &rows); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app_cert_sn", "alipay_cert_sn", "alipay_next_cert_sn", "leading_zero"} {
		var row snVector
		if err := json.Unmarshal(vectors[name], &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		ders, err := pemBlocks(vectorFile(t, "certs/"+row.File))
		if err != nil {
			t.Fatal(err)
		}
		want := row.SN
		if row.Differs {
			want = row.Escaped // Java's spelling: the gateway is Java
		}
		if got, err := certificateSN(ders[0]); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", row.File, got, err, want)
		}
		parsed, err := parseTBS(ders[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := distinguishedName(parsed.Issuer.FullBytes); err != nil || got != row.Issuer {
			t.Errorf("%s: got issuer %s, %v, want %s", row.File, got, err, row.Issuer)
		}
	}
	for _, name := range []string{"alipay_root_cert_sn", "alipay_root_bundle_crlf"} {
		var row snVector
		if err := json.Unmarshal(vectors[name], &row); err != nil {
			t.Fatal(err)
		}
		ders, err := pemBlocks(vectorFile(t, "certs/"+row.File))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := rootSN(ders); err != nil || got != row.SN {
			t.Errorf("%s: got %s, %v, want %s", row.File, got, err, row.SN)
		}
	}
}

func TestCertificatesTellAboutThemselves(t *testing.T) {
	certs := vectorCertificates(t, "certs/alipay_cert_chain.crt")
	if certs.AppSN() != "b894794efffbdedceea2d3e1dce6670a" || certs.AlipaySN() != "e99fb9d1935b9cafb4ede943f117c2ea" {
		t.Errorf("SNs: got %s, %s", certs.AppSN(), certs.AlipaySN())
	}
	var names []string
	for _, cert := range certs.List() {
		names = append(names, cert.Name)
		if cert.Subject == "" || !validSN(cert.SN) || !cert.NotAfter.After(cert.NotBefore) {
			t.Errorf("got %+v", cert)
		}
	}
	// The SM2 root is one that Go can't read.
	if want := []string{"app", "alipay", "intermediate", "root", "root", "root"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if first := certs.List()[0]; first.KeyBits != 2048 {
		t.Errorf("key size: got %d", first.KeyBits)
	}
}

func TestOrderInTheAlipayFileDoesNotMatter(t *testing.T) {
	certs := vectorCertificates(t, "certs/alipay_next_chain_reversed.crt")
	if got, want := certs.AlipaySN(), "8d84ef51979f048cf4bae6d5c931645d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseCertificatesRefuses(t *testing.T) {
	app, alipay, root := vectorFile(t, "certs/app_cert.crt"), vectorFile(t, "certs/alipay_cert_chain.crt"), vectorFile(t, "certs/alipay_root_bundle.crt")
	tests := []struct {
		name              string
		app, alipay, root []byte
		want              []string
	}{
		{"nothing", nil, nil, nil, []string{"app certificate", "alipay certificate", "root certificates"}},
		{"keys for certificates", vectorFile(t, "keys/app_public.pem"), alipay, root, []string{"app certificate: no certificate"}},
		{"rogue chain", app, vectorFile(t, "certs/alipay_rogue_chain.crt"), root, []string{"does not lead to a root"}},
		{"rogue chain that brings its root", app, vectorFile(t, "certs/alipay_rogue_chain_with_root.crt"), root, []string{"does not lead to a root"}},
		{"leaf alone", app, vectorFile(t, "certs/alipay_cert_leaf_only.crt"), root, []string{"does not lead to a root"}},
		{"damaged", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), alipay, root, []string{"can't be read"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			certs, err := ParseCertificates(tt.app, tt.alipay, tt.root)
			if err == nil || certs != nil {
				t.Fatalf("got %v, %v", certs, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

type downloadVector struct {
	Name     string    `json:"name"`
	SN       string    `json:"requested_sn"`
	Body     string    `json:"body"`
	Roots    string    `json:"roots"`
	Now      time.Time `json:"now"`
	Expected string    `json:"expected"`
}

func TestDownloadVectors(t *testing.T) {
	for _, v := range loadVectors[[]downloadVector](t, "certs/downloads.json") {
		t.Run(v.Name, func(t *testing.T) {
			cfg := certificateMode(t, testConfig(t))
			cfg.Now = func() time.Time { return v.Now }
			c := newTestClient(t, cfg)
			chain, err := c.readCertificate(answer{status: 200, contentType: "text/html;charset=utf-8", body: []byte(v.Body)}, v.SN)
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

// rollOver is a gateway that signs with a certificate we don't have, and hands it out.
type rollOver struct {
	mu        sync.Mutex
	exchanges int
	downloads []string // the biz_content of each
	answer    string   // to an exchange
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
		return answering(g.answer)(r)
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
		answer:   unknown.Body,
		download: func(int) (*http.Response, error) { return answering(good.Body)(nil) },
	}
}

func TestUnknownCertificateIsFetchedOnce(t *testing.T) {
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
		if len(g.downloads) != 1 || g.exchanges != 8 {
			t.Fatalf("got %d downloads, %d exchanges, want 1 and 8", len(g.downloads), g.exchanges)
		}
		if got, want := formValues(t, g.downloads[0]).Get("biz_content"), `{"alipay_cert_sn":"8d84ef51979f048cf4bae6d5c931645d"}`; got != want {
			t.Errorf("biz_content: got %s, want %s", got, want)
		}
	})
}

// One who leaves doesn't spoil it for those who wait for the same certificate.
func TestDownloadOutlivesTheOneWhoBeganIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRollOver(t)
		g.slow = time.Second
		c := newTestClient(t, certificateMode(t, testConfig(t)))
		c.transport = g
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Exchange(ctx, testCode); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("who left: got %v", err)
			}
		})
		<-time.After(100 * time.Millisecond)
		wg.Go(func() {
			if _, err := c.Exchange(t.Context(), testCode); err != nil {
				t.Errorf("who stayed: got %v", err)
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

func TestRefusedCertificateIsNotFetchedAgainForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRollOver(t)
		cfg := certificateMode(t, testConfig(t))
		began := time.Now()
		cfg.Now = func() time.Time { return testNow.Add(time.Since(began)) }
		c := newTestClient(t, cfg)
		c.transport = g
		good := g.download
		g.download = func(int) (*http.Response, error) {
			return answering(`{"alipay_open_app_alipaycert_download_response":{"code":"40004","msg":"x"}}`)(nil)
		}
		for range 3 {
			if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, ErrUntrusted) {
				t.Errorf("got %v, want untrusted", err)
			}
		}
		if len(g.downloads) != 1 {
			t.Errorf("got %d downloads, want 1", len(g.downloads))
		}
		g.download = good
		<-time.After(refusedFor)
		if _, err := c.Exchange(t.Context(), testCode); err != nil {
			t.Errorf("after a while: got %v", err)
		}
	})
}

// A code that was exchanged must not be spent again because a certificate is missing.
func TestLostDownloadIsTriedAgainButTheExchangeIsNot(t *testing.T) {
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

// SNs are not signed, so a forger can name a new one in every answer.
func TestDownloadsOfInventedCertificatesAreBounded(t *testing.T) {
	g := newRollOver(t)
	original := g.answer
	g.download = func(int) (*http.Response, error) { return answering(`{"error_response":{"code":"40004"}}`)(nil) }
	c := newTestClient(t, certificateMode(t, testConfig(t)))
	c.transport = g
	for i := range 100 {
		g.answer = strings.Replace(original, "8d84ef51979f048cf4bae6d5c931645d", strings.Repeat("0", 29)+big.NewInt(int64(100+i)).String(), 1)
		if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, ErrUntrusted) {
			t.Fatalf("got %v", err)
		}
	}
	if len(g.downloads) != maxRefused {
		t.Errorf("got %d downloads, want %d", len(g.downloads), maxRefused)
	}
	if len(c.trust.refused) > maxRefused {
		t.Errorf("got %d remembered", len(c.trust.refused))
	}
}

func TestMalformedSNsAreNotFetched(t *testing.T) {
	g := newRollOver(t)
	original := g.answer
	c := newTestClient(t, certificateMode(t, testConfig(t)))
	c.transport = g
	for _, sn := range []string{"", "x", strings.Repeat("A", 32), strings.Repeat("0", 33), `00000000000000000000000000000\n`} {
		g.answer = strings.Replace(original, "8d84ef51979f048cf4bae6d5c931645d", sn, 1)
		if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%q: got %v", sn, err)
		}
	}
	if len(g.downloads) != 0 {
		t.Errorf("got %d downloads", len(g.downloads))
	}
}

// ca makes certificates without CA flags, as the sandbox's intermediate is.
type ca struct {
	t      *testing.T
	key    *rsa.PrivateKey
	serial int64
}

func (a *ca) issue(subject, issuer string) *x509.Certificate {
	a.t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: subject},
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour),
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, a.key.Public(), a.key)
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

// Every ISV has a certificate under Alipay's root and the key to it. It must be good neither as Alipay's, nor to issue one.
func TestAnApplicationCertificateIsNotAlipays(t *testing.T) {
	a := &ca{t: t, key: privateKey(t, "keys/other_private_pkcs1.pem")} // one key for all: names and flags alone are tried
	root, middle := a.issue("root", "root"), a.issue("middle", "root")
	alipay, isv := a.issue("alipay", "middle"), a.issue("isv", "middle")
	certs, err := ParseCertificates(pemOf(isv), pemOf(alipay, middle), pemOf(root))
	if err != nil {
		t.Fatal(err)
	}
	forged := a.issue("alipay", "isv")
	renewed := a.issue("alipay", "middle")
	tests := []struct {
		name string
		leaf *x509.Certificate
		file []byte
		want bool
	}{
		{"renewed", renewed, pemOf(renewed, middle), true},
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

func TestCertificateDates(t *testing.T) {
	v := vectorNamed(t, "responses.json", "cert_success_sn_first", func(v responseVector) string { return v.Name })
	after := time.Date(2100, 2, 1, 0, 0, 0, 0, time.UTC)
	now := testNow
	cfg := v.config(t)
	cfg.Now = func() time.Time { return now }
	c := newTestClient(t, cfg)
	if len(c.Warnings()) != 0 {
		t.Errorf("warnings: got %q", c.Warnings())
	}
	now = after
	if _, err := c.read(t.Context(), v.answer(t)); !errors.Is(err, ErrUntrusted) {
		t.Errorf("signed with an expired certificate: got %v", err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired app certificate: got %v", err)
	}
	now = time.Date(2099, 12, 20, 0, 0, 0, 0, time.UTC)
	if ws := newTestClient(t, cfg).Warnings(); len(ws) == 0 || !strings.Contains(ws[0], "expires on 2099-12-31") {
		t.Errorf("warnings shortly before: got %q", ws)
	}
	cfg.Certificates, now = vectorCertificates(t, "certs/alipay_expired_chain.crt"), testNow
	if ws := newTestClient(t, cfg).Warnings(); len(ws) != 1 || !strings.Contains(ws[0], "the alipay certificate expired") {
		t.Errorf("warnings with an expired certificate of Alipay's: got %q", ws)
	}
}

func TestDistinguishedNameOfOddParts(t *testing.T) {
	name := pkix.RDNSequence{
		{{Type: []int{0, 9, 2342, 19200300, 100, 1, 25}, Value: "example"}},
		{{Type: []int{2, 5, 4, 10}, Value: " a=b#c "}, {Type: []int{2, 5, 4, 11}, Value: "x"}},
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := distinguishedName(der)
	if want := `OU=x+O=\ a\=b\#c\ ,DC=example`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
