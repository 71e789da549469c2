package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// The browser resolves these names to loopback. Each is a separate site, except the sibling.
const (
	koubeiHost   = "koubei.test"    // frames the service
	isvHost      = "isv.test"       // is the service
	strangerHost = "stranger.test"  // frames the service without permission
	siblingHost  = "pages.isv.test" // belongs to the service's site
	probeHost    = "probe.test"     // shows which cookies a browser sends to a third party
)

var siteHosts = []string{koubeiHost, isvHost, strangerHost, siblingHost, probeHost}

// authority returns the certificate authority of these tests. The browsers accept it by the hash of its key.
var authority = sync.OnceValues(newAuthority)

// siteFlags make a browser resolve the sites' names and accept their authority.
func siteFlags() []chromedp.ExecAllocatorOption {
	var rules []string
	for _, host := range siteHosts {
		rules = append(rules, "MAP "+host+" 127.0.0.1")
	}
	_, pin := authority()
	return []chromedp.ExecAllocatorOption{chromedp.Flag("host-resolver-rules", strings.Join(rules, ",")),
		chromedp.Flag("ignore-certificate-errors-spki-list", pin)}
}

// newAuthority returns the sites' certificate with its chain, and the pin of the authority's key.
func newAuthority() (tls.Certificate, string) {
	caKey, key := newKey(), newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "koubei-landing e2e"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: isvHost}, DNSNames: siteHosts,
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		panic(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		panic(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&caKey.PublicKey)
	if err != nil {
		panic(err)
	}
	pin := sha256.Sum256(public)
	return tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: key}, base64.StdEncoding.EncodeToString(pin[:])
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// sites serves Koubei's portal, the service and a stranger's pages. Each is a separate site behind one TLS proxy.
type sites struct {
	*testworld.World
	t    *testing.T
	port string

	portal, service http.Handler

	mu     sync.Mutex
	pages  map[string]string // by host and path
	visits []*visit
	gates  []chan struct{} // the next visits wait until these are closed, one for each visit
}

// visit is one request to the callback and its result.
type visit struct {
	query, dest, purpose string
	cookies              int
	status               int    // 0 until the response
	ancestors            string // the sites that may frame the response
	left                 bool   // the browser left before the response
}

// startSites starts all sites. The service is configured for https and with the changes.
func startSites(t *testing.T, changes ...func(*app.Config)) *sites {
	t.Helper()
	s := &sites{t: t, pages: map[string]string{}}
	server := httptest.NewUnstartedServer(s)
	_, s.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	here, err := url.Parse(s.origin(isvHost))
	if err != nil {
		t.Fatal(err)
	}
	s.World = testworld.New(t, append([]func(*app.Config){func(c *app.Config) {
		c.Web.PublicURL = here
		c.Session.Cookie.Secure = true
		c.Alipay.Timeout, c.Alipay.AttemptTimeout = patience, patience // a test may delay a response for so long
	}}, changes...)...)
	if err := s.Koubei.SetLandingURL(s.origin(isvHost) + s.Config.Web.CallbackPath); err != nil {
		t.Fatal(err)
	}
	behind, err := url.Parse(s.Public)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	s.service = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ModifyResponse: s.answered,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "the proxy of the test: "+err.Error(), http.StatusBadGateway)
		},
	}
	s.portal = s.Koubei.Portal()
	certificate, _ := authority()
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // browsers open connections in advance and drop them
	server.StartTLS()
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return s
}

// origin returns the origin of a site.
func (s *sites) origin(host string) string { return "https://" + net.JoinHostPort(host, s.port) }

// at returns an address of a site.
func (s *sites) at(host, path string) string { return s.origin(host) + path }

func (s *sites) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.Host)
	s.mu.Lock()
	page, ok := s.pages[host+r.URL.Path]
	s.mu.Unlock()
	switch {
	case ok:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	case host == koubeiHost:
		r.Host = "localhost" // the only host name that the portal accepts
		s.portal.ServeHTTP(w, r)
	case host == isvHost:
		s.toService(w, r)
	case host == probeHost:
		probe(w, r)
	default:
		http.NotFound(w, r)
	}
}

// page adds a page to a site and returns its address.
func (s *sites) page(host, path, body string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[host+path] = `<!doctype html><title>` + host + `</title><link rel="icon" href="data:,">` + body
	return s.at(host, path)
}

// linking adds a page with a link and more HTML.
func (s *sites) linking(host, path, link, more string) string {
	return s.page(host, path, fmt.Sprintf(`%s<p><a id="enter" href="%s">enter</a></p>`, more, html.EscapeString(link)))
}

// framing adds a page that shows an address in a frame.
func (s *sites) framing(host, path, address string) string {
	return s.page(host, path, fmt.Sprintf(`<iframe id="isv" width="1000" height="800" src="%s"></iframe>`, html.EscapeString(address)))
}

type visitKey struct{}

func (s *sites) toService(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != s.Config.Web.CallbackPath {
		s.service.ServeHTTP(w, r)
		return
	}
	v := &visit{query: r.URL.RawQuery, dest: r.Header.Get("Sec-Fetch-Dest"), purpose: r.Header.Get("Sec-Purpose"), cookies: len(r.Cookies())}
	select {
	case <-s.visited(v):
	case <-r.Context().Done():
	}
	s.service.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	s.mu.Lock()
	defer s.mu.Unlock()
	v.left = v.status == 0
}

// openGate lets a visit pass at once.
var openGate = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// visited records a visit and returns its gate: the visit waits until the gate is closed.
func (s *sites) visited(v *visit) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits = append(s.visits, v)
	if len(s.gates) == 0 {
		return openGate
	}
	gate := s.gates[0]
	s.gates = s.gates[1:]
	return gate
}

// holdVisits makes each of the next n visits wait until the test closes its gate.
func (s *sites) holdVisits(n int) (gates []chan struct{}) {
	for range n {
		gates = append(gates, make(chan struct{}))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates = gates
	return gates
}

func (s *sites) answered(a *http.Response) error {
	v, ok := a.Request.Context().Value(visitKey{}).(*visit)
	if !ok {
		return nil
	}
	_, ancestors, _ := strings.Cut(a.Header.Get("Content-Security-Policy"), "frame-ancestors ")
	s.mu.Lock()
	defer s.mu.Unlock()
	v.status, v.ancestors = a.StatusCode, ancestors
	return nil
}

// visitsOf returns the visits with a code.
func (s *sites) visitsOf(code string) []visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var visits []visit
	for _, v := range s.visits {
		if strings.Contains(v.query, "="+code) {
			visits = append(visits, *v)
		}
	}
	return visits
}

// probe sets two cookies, one of them Partitioned, and shows which of them the browser returns.
func probe(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		for _, name := range []string{"plain", "partitioned"} {
			http.SetCookie(w, &http.Cookie{Name: name, Value: "1", Path: "/", Secure: true, SameSite: http.SameSiteNoneMode, Partitioned: name == "partitioned"})
		}
		http.Redirect(w, r, "/got", http.StatusSeeOther)
		return
	}
	var names []string
	for _, c := range r.Cookies() {
		names = append(names, c.Name)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><title>probe</title><link rel="icon" href="data:,"><p id="got">%s.</p>`, strings.Join(names, " "))
}
