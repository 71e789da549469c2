package deploy_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// The identity headers, each of which may be empty.
var identity = []string{"X-Koubei-App-Id", "X-Koubei-Operator-Id", "X-Koubei-Operator-Type", "X-Koubei-Partner-Id",
	"X-Koubei-Shop-Ids", "X-Koubei-Session-Expires", "X-Koubei-Assertion", "X-Koubei-Auth-Code"}

const sessionCookie = "koubei_session"

// site is an ISV's site: a proxy, an application and the service.
type site struct {
	*testworld.World
	t      *testing.T
	front  string // the proxy's address, with the scheme
	proxy  *proxy
	app    *echo
	checks *recorder // in front of the internal listener
	pages  *recorder // in front of the public listener

	stopChecks, stopPages func() // disconnect the proxy from a listener
}

// settings are the options of a site.
type settings struct {
	sockets bool // the service and the application listen on Unix sockets
	quiet   bool // no assertions and no codes: headers that usually have values are empty
	brief   bool // the proxy's time limits are short
}

func newSite(t *testing.T, r recipe, with settings) *site {
	t.Helper()
	front := fmt.Sprintf("127.0.0.1:%d", testworld.StablePort(t)) // the service must know the address before the proxy uses it
	w := testworld.New(t, func(c *app.Config) {
		here, err := url.Parse("http://" + front + "/koubei")
		if err != nil {
			t.Fatal(err)
		}
		c.Web.PublicURL = here
		if c.Web.Home, err = c.Web.ParseHome("/shop?partner_id={partner_id}"); err != nil {
			t.Fatal(err)
		}
		if with.sockets {
			dir := t.TempDir()
			c.Operations.PublicListen, c.Operations.InternalListen = "unix:"+filepath.Join(dir, "public"), "unix:"+filepath.Join(dir, "internal")
		}
		c.Web.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		if with.quiet {
			return
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c.Assertions = assertion.Config{Keys: []crypto.Signer{key}, Audiences: []string{here.String()}, TTL: time.Minute}
		c.Web.ForwardCode = true
	})
	if err := w.Koubei.SetLandingURL("http://" + front + w.Config.Web.CallbackPath); err != nil {
		t.Fatal(err)
	}
	s := &site{World: w, t: t, front: "http://" + front, app: &echo{}, checks: newRecorder(t, w.Internal), pages: newRecorder(t, w.Public)}
	at := addresses{front: front, brief: with.brief}
	at.app, _ = serve(t, s.app, with)
	at.public, s.stopPages = serve(t, s.pages, with)
	at.internal, s.stopChecks = serve(t, s.checks, with)
	s.proxy = r.start(t, at)
	t.Cleanup(func() { testworld.CheckLog(t, s.proxy.log(t), append(w.Koubei.Issued(), w.Log.Secrets()...)...) })
	return s
}

// in returns the site for a subtest.
func (s *site) in(t *testing.T) *site {
	w := *s.World
	w.T = t
	site := *s
	site.World, site.t = &w, t
	return &site
}

// serve starts a server. It returns its address, which is host:port or the path of a Unix socket, and a function that stops
// it.
func serve(t *testing.T, h http.Handler, with settings) (address string, stop func()) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	if with.sockets {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		server.Listener.Close()
		server.Listener = l
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if r, ok := h.(*recorder); ok {
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				r.connections.Add(1)
			}
		}
	}
	server.Start()
	stop = func() {
		server.CloseClientConnections()
		server.Close()
	}
	t.Cleanup(stop)
	return server.Listener.Addr().String(), stop
}

func host(address string) string { return strings.TrimPrefix(address, "http://") }

// signedIn returns a browser that landed through the proxy, once for each person.
func (s *site) signedIn(people ...koubeisim.Person) *testworld.Browser {
	s.t.Helper()
	b := s.Browser()
	for _, p := range people {
		if a := b.Land(s.Landing(s.Koubei.Issue(p))); a.StatusCode != http.StatusSeeOther {
			s.t.Fatalf("landing: got %d, want 303:\n%s", a.StatusCode, a.Body)
		}
	}
	return b
}

// program returns a client that is not a browser, with a browser's session.
func (s *site) program(b *testworld.Browser) *testworld.Browser {
	p := s.Program()
	p.SetCookie(s.front, &http.Cookie{Name: sessionCookie, Value: b.Cookie(s.front, sessionCookie), Path: "/"})
	return p
}

// passes sends a request that must reach the application, and returns the request that the application got.
func (s *site) passes(b *testworld.Browser, r *http.Request) seen {
	s.t.Helper()
	a := b.Do(r)
	if a.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: got %d, want 200:\n%.500s", r.Method, r.URL.RequestURI(), a.StatusCode, a.Body)
	}
	var got seen
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		s.t.Fatalf("%s: not the application's response: %.500s", r.URL.RequestURI(), a.Body)
	}
	return got
}

// stops sends a request that must not reach the application, and returns the response.
func (s *site) stops(b *testworld.Browser, r *http.Request, status int) testworld.Answer {
	s.t.Helper()
	before := s.app.count()
	a := b.Do(r)
	if a.StatusCode != status {
		s.t.Errorf("%s %s: got %d, want %d:\n%.500s", r.Method, r.URL.RequestURI(), a.StatusCode, status, a.Body)
	}
	if s.app.count() != before {
		s.t.Errorf("%s %s reached the application", r.Method, r.URL.RequestURI())
	}
	return a
}

// get returns a request for a path of the site, unchanged.
func (s *site) get(path string) *http.Request { return s.request(http.MethodGet, path, nil) }

func (s *site) request(method, path string, body io.Reader) *http.Request {
	s.t.Helper()
	r, err := http.NewRequest(method, s.front, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.URL.RawPath, r.URL.RawQuery, _ = strings.Cut(path, "?")
	if r.URL.Path, err = url.PathUnescape(r.URL.RawPath); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// raw sends a request byte by byte, unlike any client library. It returns the status, 0 if there was no response, and the
// body.
func (s *site) raw(request string) (status int, body string) {
	s.t.Helper()
	c, err := net.Dial("tcp", host(s.front))
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	defer c.Close()
	if err := send(c, request); err != nil {
		s.t.Error(err)
	}
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "" // a proxy may close a connection without a response
	}
	defer a.Body.Close()
	b, _ := io.ReadAll(a.Body) // likewise in the middle of one
	return a.StatusCode, string(b)
}

func send(c net.Conn, text string) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := io.WriteString(c, text)
	return err
}

// cookie returns the header line with a browser's session.
func (s *site) cookie(b *testworld.Browser) string {
	return "Cookie: " + sessionCookie + "=" + b.Cookie(s.front, sessionCookie) + "\r\n"
}

// identityOf returns the identity headers of a person. Headers that are not in it may have any value.
func (s *site) identityOf(p koubeisim.Person) map[string]string {
	return map[string]string{"X-Koubei-App-Id": s.Koubei.AppID(), "X-Koubei-Operator-Id": p.OperatorID,
		"X-Koubei-Operator-Type": p.OperatorType, "X-Koubei-Partner-Id": p.PartnerID, "X-Koubei-Shop-Ids": p.ShopIDs}
}

// wantIdentity fails unless the application got exactly these identity headers: each once, those without a value at most
// once, and no header that an application may read as one of them.
func wantIdentity(t *testing.T, got seen, want map[string]string) {
	t.Helper()
	found := got.identity()
	for _, name := range identity {
		values := found[name]
		delete(found, name)
		value, fixed := want[name]
		switch {
		case !fixed && (len(values) != 1 || values[0] == ""):
			t.Errorf("%s: got %q, want one value", name, values)
		case fixed && value == "" && strings.Join(values, "") != "":
			t.Errorf("%s: got %q, want nothing", name, values)
		case fixed && value != "" && !slices.Equal(values, []string{value}):
			t.Errorf("%s: got %q, want %q once", name, values, value)
		}
	}
	if len(found) > 0 {
		t.Errorf("the application also got %v", found)
	}
}

// wantNobody fails if the application got an identity.
func wantNobody(t *testing.T, got seen) {
	t.Helper()
	for name, values := range got.identity() {
		if strings.Join(values, "") != "" {
			t.Errorf("%s: got %q, want nothing", name, values)
		}
	}
}

// seen is a request as a server got it.
type seen struct {
	Method, Host, URI string
	Header            http.Header
	Length            int64
	Digest            string
}

// identity returns every header that an application may read as an identity, in any spelling.
func (s seen) identity() http.Header {
	found := http.Header{}
	for name, values := range s.Header {
		if strings.Contains(strings.ToLower(name), "koubei") {
			found[name] = values
		}
	}
	return found
}

// requests are the requests that a server got, recorded when their headers arrived.
type requests struct {
	mu  sync.Mutex
	all []seen
}

func (r *requests) add(q *http.Request) seen {
	s := seen{Method: q.Method, Host: q.Host, URI: q.RequestURI, Header: q.Header.Clone(), Length: q.ContentLength}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, s)
	return s
}

func (r *requests) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// since returns the requests after the first n.
func (r *requests) since(n int) []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all[n:])
}

// echo is a small application that responds with the request that it got.
type echo struct{ requests }

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/broken":
		e.add(r)
		http.Error(w, "the application's own words", http.StatusInternalServerError)
	case "/socket":
		websocket.Handler(e.socket).ServeHTTP(w, r)
	default:
		e.respond(w, r)
	}
}

// socket sends its request as the first message, and then every message back.
func (e *echo) socket(c *websocket.Conn) {
	err := websocket.JSON.Send(c, e.add(c.Request()))
	for err == nil {
		var message string
		if err = websocket.Message.Receive(c, &message); err == nil {
			err = websocket.Message.Send(c, message)
		}
	}
}

func (e *echo) respond(w http.ResponseWriter, r *http.Request) {
	s, sum := e.add(r), sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.Length, s.Digest = n, hex.EncodeToString(sum.Sum(nil))
	_ = json.NewEncoder(w).Encode(s)
}

// recorder is a proxy in front of one of the service's listeners that records the requests.
type recorder struct {
	requests
	forward     http.Handler
	hang        chan struct{} // closed: no request gets a response any more
	connections atomic.Int64  // opened so far
}

// newRecorder returns a recorder for a listener of the service: http://host:port, or http://unix:/path.
func newRecorder(t *testing.T, listener string) *recorder {
	transport := &http.Transport{MaxIdleConnsPerHost: 128}
	t.Cleanup(transport.CloseIdleConnections)
	if path, ok := strings.CutPrefix(listener, "http://unix:"); ok {
		listener = "http://service"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	target, err := url.Parse(listener)
	if err != nil {
		t.Fatal(err)
	}
	return &recorder{hang: make(chan struct{}), forward: &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.Out.URL.RawQuery = r.In.URL.RawQuery // also one that can't be parsed
		},
	}}
}

func (c *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.add(r)
	select {
	case <-c.hang:
		<-r.Context().Done()
	default:
		c.forward.ServeHTTP(w, r)
	}
}
