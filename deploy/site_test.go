package deploy_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// The identity headers, each of which may be empty.
var identity = []string{"X-Koubei-App-Id", "X-Koubei-Operator-Id", "X-Koubei-Operator-Type", "X-Koubei-Partner-Id",
	"X-Koubei-Shop-Ids", "X-Koubei-Session-Expires", "X-Koubei-Assertion", "X-Koubei-Auth-Code"}

// site is an ISV's site: a proxy, an application behind it, and the service beside that.
type site struct {
	*testworld.World
	t      *testing.T
	front  string // the proxy's address, with the scheme
	proxy  *proxy
	app    *echo
	checks *checks
}

// newSite starts a site. It says all that it can: assertions and codes, unless a change takes them away.
func newSite(t *testing.T, r recipe, changes ...func(*app.Config)) *site {
	t.Helper()
	held, err := net.Listen("tcp", "127.0.0.1:0") // until the proxy takes it: the service has to know the address first
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	front := held.Addr().String()
	settings := func(c *app.Config) {
		here, err := url.Parse("http://" + front + "/koubei")
		if err != nil {
			t.Fatal(err)
		}
		c.Web.PublicURL = here
		if c.Web.Home, err = c.Web.ParseHome("/shop?partner_id={partner_id}"); err != nil {
			t.Fatal(err)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c.Assertions = assertion.Config{Keys: []crypto.Signer{key}, Audiences: []string{here.String()}, TTL: time.Minute}
		c.Web.ForwardCode = true
		c.Web.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	w := testworld.New(t, append([]func(*app.Config){settings}, changes...)...)
	if err := w.Koubei.SetLandingURL("http://" + front + w.Config.Web.CallbackPath); err != nil {
		t.Fatal(err)
	}
	s := &site{World: w, t: t, front: "http://" + front, app: newEcho(t), checks: newChecks(t, w.Internal)}
	held.Close()
	s.proxy = r.start(t, addresses{front: front, public: host(w.Public), internal: host(s.checks.server.URL), app: host(s.app.server.URL)})
	t.Cleanup(func() { testworld.CheckLog(t, s.proxy.log(t), append(w.Koubei.Issued(), w.Log.Secrets()...)...) })
	return s
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

// passes asks for a path and returns what the application saw of it.
func (s *site) passes(b *testworld.Browser, r *http.Request) seen {
	s.t.Helper()
	a := b.Do(r)
	if a.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: got %d, want 200:\n%.500s", r.Method, r.URL.RequestURI(), a.StatusCode, a.Body)
	}
	var got seen
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		s.t.Fatalf("%s: not the application's answer: %.500s", r.URL.RequestURI(), a.Body)
	}
	return got
}

// stops asks for a path that the application must not see, and returns the answer.
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

// get is a request for a path of the site, as it stands there.
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

// raw sends a request byte by byte, as no client library would, and returns the status.
func (s *site) raw(text string) string {
	s.t.Helper()
	c, err := net.Dial("tcp", host(s.front))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Fatal(err)
	}
	answer, _ := io.ReadAll(c) // a proxy may reset what it refuses
	line, _, _ := strings.Cut(string(answer), "\r\n")
	return line
}

// seen is a request as the application saw it.
type seen struct {
	Method, Host, URI string
	Header            http.Header
	Length            int64
	Digest            string
}

// identity returns every header that could be taken for an identity, in whatever spelling.
func (s seen) identity() http.Header {
	found := http.Header{}
	for name, values := range s.Header {
		if strings.Contains(strings.ToLower(name), "koubei") {
			found[name] = values
		}
	}
	return found
}

// echo is a tiny application that answers with what it saw.
type echo struct {
	server *httptest.Server
	mu     sync.Mutex
	all    []seen
}

func newEcho(t *testing.T) *echo {
	e := &echo{}
	e.server = httptest.NewServer(e)
	t.Cleanup(e.server.Close)
	return e
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s := seen{r.Method, r.Host, r.RequestURI, r.Header, n, hex.EncodeToString(sum.Sum(nil))}
	e.mu.Lock()
	e.all = append(e.all, s)
	e.mu.Unlock()
	if r.URL.Path == "/broken" {
		http.Error(w, "the application's own words", http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(s)
}

func (e *echo) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.all)
}

// since returns what was seen after the first n.
func (e *echo) since(n int) []seen {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]seen(nil), e.all[n:]...)
}

// checks stands before the internal listener and sees what a proxy asks there.
type checks struct {
	server *httptest.Server
	silent chan struct{} // closed: nothing is answered any more
	mu     sync.Mutex
	all    []seen
}

func newChecks(t *testing.T, internal string) *checks {
	target, err := url.Parse(internal)
	if err != nil {
		t.Fatal(err)
	}
	c := &checks{silent: make(chan struct{})}
	forward := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.RawQuery = r.In.URL.RawQuery // what can't be read, too
	}}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.all = append(c.all, seen{r.Method, r.Host, r.RequestURI, r.Header.Clone(), r.ContentLength, ""})
		c.mu.Unlock()
		select {
		case <-c.silent:
			<-r.Context().Done()
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(c.server.Close)
	return c
}

// since returns what was asked after the first n.
func (c *checks) since(n int) []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]seen(nil), c.all[n:]...)
}
