// Package deploy_test runs the shipped configurations in the real programs: the proxies with the service and a small
// application, the composition's processes, and the image's steps. Where no program can run a file, it checks the file.
package deploy_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/websocket"
	"golang.org/x/sync/errgroup"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// situation is a row of the matrix: a kind of request and its result.
type situation struct {
	name   string
	want   string
	except map[string]string // what another proxy does instead
	with   settings          // of the site
	own    bool              // it breaks the site, so it gets its own site
	try    func(*site) string
}

func (r situation) wanted(proxy string) string {
	if other, ok := r.except[proxy]; ok {
		return other
	}
	return r.want
}

const (
	// Cells that several rows have.
	cellIdentity    = "200, identity"
	cellUnavailable = "503, Retry-After"

	// Rows that some recipes lack.
	rowSockets       = "Signed in, by Unix sockets"
	rowTypes         = "Operator type not allowed"
	rowPartners      = "Another partner of the operator"
	rowOthersPartner = "Partner of another operator"
)

var situations = []situation{
	{name: "Signed in", want: cellIdentity, try: trySignedIn},
	{name: rowSockets, want: cellIdentity, with: settings{sockets: true}, try: trySignedIn,
		except: map[string]string{"Traefik": "not supported"}},
	{name: "Not signed in, a browser", want: "303 to the sign-in page", try: tryStranger},
	{name: "Not signed in, an API call", want: "401", try: tryStrangersProgram},
	{name: rowTypes, want: "403", try: tryWrongType},
	{name: rowPartners, want: "that partner", try: tryPartners,
		except: map[string]string{"Traefik": "that partner, with `X-Koubei-Select-Partner`"}},
	{name: rowOthersPartner, want: "403", try: trySomebodyElsesPartner},
	{name: "Forged `X-Koubei-*` headers", want: "removed", try: tryForgedHeaders},
	{name: "Forged headers, most identity headers empty", want: "removed", with: settings{quiet: true}, try: tryForgedHeaders},
	{name: "Ambiguous path", want: "400", try: tryAmbiguousPaths,
		except: map[string]string{"Traefik": "400, or forwarded as a cleaned path"}},
	{name: "Upload of 5 MB", want: cellIdentity, try: tryUpload},
	{name: "WebSocket", want: "101, identity", try: tryWebSocket},
	{name: "Upgrade to another protocol", want: "200, not upgraded", except: map[string]string{"Traefik": "400"}, try: tryOtherUpgrade},
	{name: "CORS preflight", want: "200, no identity", try: tryPreflight},
	{name: "60 shops", want: cellIdentity, try: trySixtyShops},
	{name: "30 KiB of cookies", want: cellIdentity, try: tryManyCookies},
	{name: "Headers too large", want: "4xx", try: tryLargeHeaders},
	{name: "HTTP/1.0", want: cellIdentity, try: tryHTTP10},
	{name: "HTTP/1.0 without Host", want: cellIdentity, try: tryNoHost, except: map[string]string{"Caddy": "421"}},
	{name: "Form of 20 KiB for the service", want: "413", try: tryLargeForm},
	{name: "Form for the service, body never arrives", want: "not forwarded", with: settings{brief: true}, try: tryNoForm,
		except: map[string]string{"Caddy": "cut off after 60 s"}},
	{name: "Page of the service, body never arrives", want: "not forwarded", with: settings{brief: true}, try: tryNoPage},
	{name: "Request for the application, body never arrives", want: "not forwarded", with: settings{brief: true}, try: tryNoBody,
		except: map[string]string{"Caddy": "cut off after 60 s", "Traefik": "cut off after 60 s"}},
	{name: "Connections to the check", want: "kept", except: map[string]string{"Traefik": "two kept"}, try: tryConnections},
	{name: "Concurrent operators", want: "never mixed", try: tryConcurrently},
	{name: "Redis down", want: cellUnavailable, own: true, try: tryNoRedis},
	{name: "Service down", want: cellUnavailable, own: true, try: tryNoService, except: map[string]string{"Traefik": "500"}},
	{name: "Service hangs", want: cellUnavailable, own: true, with: settings{brief: true}, try: tryHangingService, except: map[string]string{"Traefik": "500"}},
	{name: "Codes in the proxy's log", want: "none", own: true, try: tryLog},
}

// TestProxyMatrix sends every kind of request through every proxy. docs/proxies.md shows the result.
func TestProxyMatrix(t *testing.T) {
	t.Parallel()
	for _, r := range recipes() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			shared := map[settings]*site{}
			for _, row := range situations {
				switch {
				case slices.Contains(r.lacks, row.name):
				case row.own:
					t.Run(row.name, func(t *testing.T) {
						t.Parallel()
						wantCell(t, row.try(newSite(t, r, row.with)), row.wanted(r.name))
					})
				default:
					if shared[row.with] == nil {
						shared[row.with] = newSite(t, r, row.with)
					}
					t.Run(row.name, func(t *testing.T) { wantCell(t, row.try(shared[row.with].in(t)), row.wanted(r.name)) })
				}
			}
		})
	}
}

func wantCell(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func trySignedIn(s *site) string {
	code := s.Koubei.Issue(testworld.ProviderStaff)
	b := s.Browser()
	if a := b.Land(s.Landing(code)); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/shop?partner_id="+testworld.ProviderStaff.PartnerID {
		s.t.Fatalf("landing: got %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	want := s.identityOf(testworld.ProviderStaff)
	want["X-Koubei-Auth-Code"] = code
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
		before := s.checks.count()
		got := s.passes(b, s.request(method, "/shop?x=1&y=%20%2F", nil))
		wantIdentity(s.t, got, want)
		if got.Method != method || got.Host != host(s.front) || got.URI != "/shop?x=1&y=%20%2F" {
			s.t.Errorf("got %s %s of %s", got.Method, got.URI, got.Host)
		}
		wantCheck(s, before)
	}
	request := s.get("/shop")
	request.Header.Set("X-Forwarded-For", "192.0.2.1")
	if got := s.passes(b, request).Header["X-Forwarded-For"]; !slices.Equal(got, []string{"127.0.0.1"}) {
		s.t.Errorf("X-Forwarded-For: got %q, want the client's address alone", got)
	}
	if a := b.Do(s.get("/broken")); a.StatusCode != http.StatusInternalServerError || !strings.Contains(a.Body, "own words") {
		s.t.Errorf("the application's own error: got %d %q", a.StatusCode, a.Body)
	}
	if a := b.Post(s.front+"/koubei/logout", nil); a.StatusCode != http.StatusSeeOther {
		s.t.Errorf("signing out: got %d, want 303", a.StatusCode)
	}
	s.stops(b, s.get("/shop"), http.StatusSeeOther)
	return cellIdentity
}

// needed are the headers that a check may contain besides those of the connection. With Traefik and Envoy the service
// chooses between a redirect and 401, so it needs to know the kind of request.
var needed = regexp.MustCompile(`^(Cookie|X-Koubei-Select-Partner|X-Forwarded-\w+|Accept|Accept-Encoding|User-Agent|Sec-Fetch-Mode|Content-Length|Via|Connection|X-Real-Ip)$`)

// wantCheck fails unless the proxy has sent one check since then, with a cookie and only the headers that the service
// needs.
func wantCheck(s *site, before int) {
	s.t.Helper()
	asked := s.checks.since(before)
	if len(asked) != 1 || asked[0].Length != 0 || asked[0].Header.Get("Cookie") == "" {
		s.t.Fatalf("got checks %+v, want one with cookies and without a body", asked)
	}
	for name := range asked[0].Header {
		if !needed.MatchString(name) {
			s.t.Errorf("the check carries %s", name)
		}
	}
}

func tryStranger(s *site) string {
	old := s.Browser()
	old.Header = http.Header{"Accept": {"text/html,*/*;q=0.8"}, "User-Agent": {"Mozilla/5.0 (Linux; Android 5.0) WebView"}}
	stranger := s.Browser()
	stranger.SetCookie(s.front, &http.Cookie{Name: sessionCookie, Value: strings.Repeat("A", 43), Path: "/"})
	for name, b := range map[string]*testworld.Browser{"a browser": s.Browser(), "an old web view": old, "a browser with an unknown session": stranger} {
		a := s.stops(b, s.get("/shop"), http.StatusSeeOther)
		to, err := a.Request.URL.Parse(a.Header.Get("Location"))
		if err != nil || to.String() != s.front+"/koubei/signin" {
			s.t.Errorf("%s: sent to %q", name, a.Header.Get("Location"))
		}
		if a.Header.Get("Cache-Control") != "no-store" {
			s.t.Errorf("%s: the redirect may be cached", name)
		}
	}
	if a := s.Browser().Get(s.front + "/koubei/signin"); a.StatusCode != http.StatusOK {
		s.t.Errorf("the sign-in page: got %d", a.StatusCode)
	}
	return "303 to the sign-in page"
}

func tryStrangersProgram(s *site) string {
	fetch := s.Browser()
	fetch.Header.Set("Sec-Fetch-Mode", "cors")
	fetch.Header.Set("Accept", "*/*")
	s.stops(fetch, s.get("/api/orders"), http.StatusUnauthorized)
	s.stops(s.Program(), s.get("/api/orders"), http.StatusUnauthorized)
	s.stops(s.Program(), s.request("POST", "/api/orders", strings.NewReader("{}")), http.StatusUnauthorized)
	before := s.app.count()
	for _, path := range []string{"/auth/verify", "/metrics", "/readyz", "/koubei/../auth/verify", "/_koubei/verify", "/koubei/auth/verify", "/koubei/metrics"} {
		if a := s.Program().Do(s.get(path)); a.StatusCode < 400 {
			s.t.Errorf("%s: got %d", path, a.StatusCode)
		}
	}
	for _, c := range s.checks.since(0) {
		if path, _, _ := strings.Cut(c.URI, "?"); path != "/auth/verify" {
			s.t.Errorf("a client reached %s of the internal listener", c.URI)
		}
	}
	if s.app.count() != before {
		s.t.Error("a request without a session reached the application")
	}
	return "401"
}

func tryWrongType(s *site) string {
	provider, merchant := s.signedIn(testworld.Provider), s.signedIn(testworld.Merchant)
	for _, path := range []string{"/merchant", "/merchant/", "/merchant/settings", "/merchant?type=PROVIDER", "/merchant/settings?type=PROVIDER",
		"/MERCHANT", "/Merchant/settings", "/%6derchant", "/%6derchant/settings"} {
		wantIdentity(s.t, s.passes(merchant, s.get(path)), s.identityOf(testworld.Merchant))
		a := s.stops(provider, s.get(path), http.StatusForbidden)
		if !strings.Contains(a.Body, "无权") && !strings.Contains(a.Body, `"code":"forbidden"`) {
			s.t.Errorf("%s: the page is %q", path, a.Body)
		}
		s.stops(s.program(provider), s.request("POST", path, strings.NewReader("{}")), http.StatusForbidden)
	}
	before := s.app.count()
	for _, target := range []string{"http://" + host(s.front) + "/merchant/settings", "HTTP://isv.example/merchant"} { // absolute form
		s.raw("GET " + target + " HTTP/1.1\r\nHost: " + host(s.front) + "\r\nConnection: close\r\n" + s.cookie(provider) + "\r\n")
	}
	if s.app.count() != before {
		s.t.Errorf("an address in absolute form reached the application: %+v", s.app.since(before))
	}
	for _, path := range []string{"/merchants", "/merchandise", "/x/merchant"} { // other paths, to which the rule does not apply
		s.passes(provider, s.get(path))
	}
	return "403"
}

// partner returns the provider in the name of a merchant.
func partner(id string) koubeisim.Person {
	p := testworld.ProviderStaff
	p.PartnerID, p.ShopIDs = id, id+"-shop"
	return p
}

const (
	partnerA = "2088000000000001"
	partnerB = "2088000000000002"
)

// selectsByQuery reports whether the proxy reads the partner from the page's address.
func selectsByQuery(s *site) bool { return !strings.Contains(s.t.Name(), "/Traefik/") }

func tryPartners(s *site) string {
	b := s.signedIn(partner(partnerA), partner(partnerB))
	if !selectsByQuery(s) {
		for id, want := range map[string]string{partnerA: partnerA, partnerB: partnerB} {
			r := s.get("/shop?partner_id=" + id)
			r.Header.Set("X-Koubei-Select-Partner", id)
			got := s.passes(b, r)
			got.Header.Del("X-Koubei-Select-Partner")
			wantIdentity(s.t, got, s.identityOf(partner(want)))
		}
		return "that partner, with `X-Koubei-Select-Partner`"
	}
	for _, row := range []struct{ query, want string }{
		{"?partner_id=" + partnerA, partnerA},
		{"?partner_id=" + partnerB, partnerB},
		{"", partnerB},
		{"?x=1&partner_id=" + partnerA, partnerA},
		{"?x=1&partner_id=" + partnerA + "&y=%zz", partnerA},
		{"?partner_id=%32088000000000001", partnerA},
		{"?other_partner_id=1&partner_ids=2&PARTNER_ID=3", partnerB},
		{"?type=MER&audience=x&redirect=0", partnerB},
		{"?next=%2Fshop%3Fpartner_id%3D" + partnerA, partnerB},
		{"?next=/shop?partner_id=" + partnerA, partnerB},
	} {
		wantIdentity(s.t, s.passes(b, s.get("/shop"+row.query)), s.identityOf(partner(row.want)))
	}
	return "that partner"
}

func trySomebodyElsesPartner(s *site) string {
	b := s.signedIn(partner(partnerA), partner(partnerB))
	if !selectsByQuery(s) {
		for _, id := range []string{"2088000000000003", partnerA + "," + partnerB} {
			r := s.get("/shop")
			r.Header.Set("X-Koubei-Select-Partner", id)
			s.stops(b, r, http.StatusForbidden)
		}
		return "403"
	}
	for _, query := range []string{"?partner_id=2088000000000003", "?partner_id=", "?partner_id", "?x&partner_id&y",
		"?partner_id=" + partnerA + "&partner_id=" + partnerB,
		"?partner_id=" + partnerB + "&x=1&partner_id=" + partnerA,
		"?partner_id=" + partnerA + "&partner_id",
		"?partner_id=" + partnerA + "%26partner_id=" + partnerA,
		"?partner_id=" + partnerA + "," + partnerB,
		"?partner_id=" + partnerA + ";x=1",
		"?partner_id=%zz",
		"?partner_id=%0d%0aX-Koubei-Operator-Id:1",
	} {
		s.stops(b, s.get("/shop"+query), http.StatusForbidden)
	}
	// Some proxies accept these and some refuse them. None may select the partner of another tab.
	for _, query := range []string{"?partner%5Fid=" + partnerA, "?%70artner_id=" + partnerA + "&x=1", "?partner_id=" + partnerA + "&partner_id=" + partnerA} {
		before := s.app.count()
		a := b.Do(s.get("/shop" + query))
		if reached := s.app.since(before); len(reached) > 0 {
			wantIdentity(s.t, reached[0], s.identityOf(partner(partnerA)))
		} else if a.StatusCode != http.StatusForbidden {
			s.t.Errorf("%s: got %d, want 403", query, a.StatusCode)
		}
	}
	return "403"
}

// forged returns the headers of a forged identity, in every spelling that a library or an application may accept.
func forged() http.Header {
	h := http.Header{"Connection": {"keep-alive"}}
	for _, name := range append(slices.Clone(identity), "X-Koubei-Select-Partner") {
		lower := strings.ToLower(name)
		h[name] = []string{"forged", "forged twice"}
		h[lower] = []string{"forged"}
		h[strings.ToUpper(name)] = []string{"forged"}
		h[strings.ReplaceAll(name, "-", "_")] = []string{"forged", "forged twice"}
		h[strings.ReplaceAll(lower, "-", "_")] = []string{"forged"}
		h[strings.Replace(name, "-", "_", 1)] = []string{"forged"}
		h[strings.ReplaceAll(name, "-", ".")] = []string{"forged"}
	}
	return h
}

func tryForgedHeaders(s *site) string {
	b, want := s.signedIn(testworld.Sales), s.identityOf(testworld.Sales) // this account has no partner and no shops
	if !s.Config.Web.ForwardCode {
		want["X-Koubei-Assertion"], want["X-Koubei-Auth-Code"] = "", ""
	}
	wantIdentity(s.t, s.passes(b, s.get("/")), want)
	lie := func(method string) *http.Request {
		r := s.request(method, "/", nil)
		r.Header = forged()
		if !selectsByQuery(s) { // with this proxy the client selects the partner by this header
			for name := range r.Header {
				if strings.EqualFold(name, "X-Koubei-Select-Partner") {
					delete(r.Header, name)
				}
			}
		}
		return r
	}
	before := s.checks.count()
	wantIdentity(s.t, s.passes(b, lie("GET")), want)
	wantIdentity(s.t, s.passes(b, lie("POST")), want)
	s.stops(s.Browser(), lie("GET"), http.StatusSeeOther)
	s.stops(s.Program(), lie("POST"), http.StatusUnauthorized)
	for _, c := range s.checks.since(before) {
		if len(c.identity()) > 0 {
			s.t.Errorf("the check carries %v", c.identity())
		}
	}

	b, want = s.signedIn(partner(partnerA)), s.identityOf(partner(partnerA))
	if !s.Config.Web.ForwardCode {
		want["X-Koubei-Assertion"], want["X-Koubei-Auth-Code"] = "", ""
	}
	for _, name := range append(slices.Clone(identity), "X-Koubei-Select-Partner") { // a client can declare a header hop-by-hop
		r := s.get("/shop")
		r.Header["Connection"] = []string{"close, " + name}
		before := s.app.count()
		a := b.Do(r)
		if reached := s.app.since(before); len(reached) == 1 {
			wantIdentity(s.t, reached[0], want)
		} else if a.StatusCode != http.StatusBadRequest {
			s.t.Errorf("Connection: %s: got %d", name, a.StatusCode)
		}
	}
	for _, line := range []string{"X-Koubei-Operator-Id : forged", "X-Koubei-Operator-Id\t: forged", " X-Koubei-Operator-Id: forged",
		"X-Nothing: 1\r\n X-Koubei-Operator-Id: forged", "X-Nothing: 1\nX-Koubei-Operator-Id: forged", "X-Koubei-Operator-Id:forged\r\nx-koubei-operator-id: forged",
		"X-Nothing: 1\rX-Koubei-Operator-Id: forged"} {
		before := s.app.count()
		status, _ := s.raw("GET /shop HTTP/1.1\r\nHost: " + host(s.front) + "\r\n" + s.cookie(b) + "X-Nothing: 0\r\n" + line + "\r\nConnection: close\r\n\r\n")
		for _, got := range s.app.since(before) {
			got.Header.Del("X-Nothing")
			wantIdentity(s.t, got, want)
		}
		if s.app.count() == before && status != http.StatusBadRequest {
			s.t.Errorf("%q: got %d", line, status)
		}
	}
	return "removed"
}

// ambiguous are paths that a proxy and an application may interpret differently.
var ambiguous = []string{
	"/merchant/secret/..%2f..%2fopen", "/open/..%2fmerchant/secret", "/open/..%2Fmerchant/secret", "/merchant%2fsecret", "/open%2f..%2fmerchant",
	"/open/%2e%2e/merchant/secret", "/open/%2E%2e/merchant/secret", "/open/.%2e/merchant/secret", "/open/%2e/merchant", "/%2e%2e/merchant",
	"/merchant/secret;x=1", "/merchant/secret/..;/..;/open", `/merchant/secret\..\..\open`, "/merchant/secret/..%5c..%5copen",
	"/open/../merchant/secret", "/open/./merchant", "/./merchant/secret", "/open/..", "/open/.", "/open/..?x=/merchant",
	"//merchant/secret", "/open//merchant", "/merchant//", "///merchant",
	"/.;/merchant/secret", "/open/..;/merchant/secret", "/merchant;x=1/secret", "/open;/../merchant", "/open%3b/merchant", "/open/..%3B/merchant",
	`/open\..\merchant\secret`, `/open/..\merchant`, `\merchant`, `/\merchant`, "/open%5c..%5cmerchant%5csecret", "/open/..%5Cmerchant",
	"/merchant%00/secret", "/merchant%00.js", "/open%0a/merchant", "/merchant%0D", "/merchant%1f", "/merchant%7f", "/merchant%09/secret",
	"/merchant%252fsecret", "/open/%252e%252e/merchant", "/open/..%252f..%252fmerchant", "/open%255c..%255cmerchant", "/open/%25%32%65%25%32%65/merchant",
	"/merchant%3fx", "/open%3F/../merchant", "/merchant%23x", "/merchant#x", "/open#/../merchant", "/merchant%zz", "/merchant%2", "/merchant%", "/merchant%u002fsecret",
}

var clean = regexp.MustCompile(`^(/[A-Za-z0-9.]*)+(\?|$)`)

func tryAmbiguousPaths(s *site) string {
	provider, merchant := s.signedIn(testworld.Provider), s.signedIn(testworld.Merchant)
	outcomes := map[string]bool{}
	for _, path := range ambiguous {
		for _, b := range []*testworld.Browser{provider, merchant} {
			before := s.app.count()
			status, _ := s.raw("GET " + path + " HTTP/1.1\r\nHost: " + host(s.front) + "\r\nConnection: close\r\n" + s.cookie(b) + "\r\n")
			reached := s.app.since(before)
			switch {
			case len(reached) == 0 && status == http.StatusBadRequest:
				outcomes["400"] = true
			case len(reached) == 0 && status == http.StatusForbidden && b == provider: // the path was cleaned, and the type rule applied
				outcomes["cleaned"] = true
			case len(reached) == 1 && clean.MatchString(reached[0].URI) && !strings.Contains(reached[0].URI, "//") && !strings.Contains(reached[0].URI, "..") &&
				(b == merchant || !strings.HasPrefix(reached[0].URI, "/merchant")):
				outcomes["cleaned"] = true
			case len(reached) > 0:
				s.t.Errorf("%s reached the application as %q", path, reached[0].URI)
			default:
				s.t.Errorf("%s: got %d, want 400", path, status)
			}
		}
	}
	for _, path := range []string{"/open/a.b/..c/d..", "/open/%E5%8F%A3%E7%A2%91/%20+%2B@:,=&$!*'()~-_", "/open/?x=/../..//;%2f%5c%00#"} {
		path, _, _ := strings.Cut(path, "#")
		got := s.passes(provider, s.get(path))
		if strings.ReplaceAll(got.URI, "%3B", ";") != path { // Traefik encodes a semicolon in a query
			s.t.Errorf("%s reached the application as %q", path, got.URI)
		}
	}
	if outcomes["cleaned"] {
		return "400, or forwarded as a cleaned path"
	}
	return "400"
}

func tryUpload(s *site) string {
	b := s.signedIn(testworld.Provider)
	body := make([]byte, 5<<20)
	if _, err := rand.Read(body); err != nil {
		s.t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	for name, reader := range map[string]io.Reader{"of known length": bytes.NewReader(body), "chunked": io.MultiReader(bytes.NewReader(body))} {
		before := s.checks.count()
		got := s.passes(b, s.request("POST", "/api/upload", reader))
		wantIdentity(s.t, got, s.identityOf(testworld.Provider))
		if got.Length != int64(len(body)) || got.Digest != hex.EncodeToString(sum[:]) {
			s.t.Errorf("%s: the application got %d bytes, want the %d that were sent", name, got.Length, len(body))
		}
		wantCheck(s, before)
	}
	return cellIdentity
}

func tryWebSocket(s *site) string {
	dial := func(b *testworld.Browser) (*websocket.Conn, error) {
		config, err := websocket.NewConfig("ws://"+host(s.front)+"/socket", s.front)
		if err != nil {
			s.t.Fatal(err)
		}
		config.Header = http.Header{"Cookie": {sessionCookie + "=" + b.Cookie(s.front, sessionCookie)}, "X-Koubei-Operator-Id": {"forged"}}
		return websocket.DialConfig(config)
	}
	before := s.app.count()
	if c, err := dial(s.Browser()); err == nil || s.app.count() != before {
		s.t.Errorf("without a session: got %v, %d requests reached the application", c, s.app.count()-before)
	}
	c, err := dial(s.signedIn(testworld.Provider))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	var got seen
	if err := websocket.JSON.Receive(c, &got); err != nil {
		s.t.Fatal(err)
	}
	wantIdentity(s.t, got, s.identityOf(testworld.Provider))
	for _, text := range []string{"你好", strings.Repeat("x", 100_000)} {
		var back string
		if err := websocket.Message.Send(c, text); err != nil {
			s.t.Fatal(err)
		}
		if err := websocket.Message.Receive(c, &back); err != nil || back != text {
			s.t.Errorf("sent %d bytes, got %d back, %v", len(text), len(back), err)
		}
	}
	return "101, identity"
}

func tryOtherUpgrade(s *site) string {
	b := s.signedIn(testworld.Provider)
	outcomes := map[string]bool{}
	for _, upgrade := range []string{"h2c", "H2C", "TLS/1.2, HTTP/1.1", "foo"} {
		before := s.app.count()
		status, _ := s.raw("GET / HTTP/1.1\r\nHost: " + host(s.front) + "\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: " +
			upgrade + "\r\n" + s.cookie(b) + "\r\n")
		reached := s.app.since(before)
		for _, r := range reached {
			if got := r.Header["Upgrade"]; len(got) > 0 {
				s.t.Errorf("the application got Upgrade: %q", got)
			}
		}
		outcomes[fmt.Sprint(status)] = len(reached) > 0
	}
	if outcomes["400"] || len(outcomes) != 1 || !outcomes["200"] {
		return keys(outcomes)
	}
	return "200, not upgraded"
}

func tryPreflight(s *site) string {
	b := s.signedIn(testworld.Provider)
	ask := func(method, origin, asks string) *http.Request {
		r := s.request(method, "/merchant/orders", nil)
		r.Header = forged()
		for name, value := range map[string]string{"Origin": origin, "Access-Control-Request-Method": asks} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		return r
	}
	const origin = "https://shop.example"
	checks := s.checks.count()
	for _, browser := range []*testworld.Browser{s.Program(), s.Browser(), b} {
		got := s.passes(browser, ask("OPTIONS", origin, "POST"))
		wantNobody(s.t, got)
		if got.Method != "OPTIONS" || got.Header.Get("Origin") != origin || got.Header.Get("Access-Control-Request-Method") != "POST" {
			s.t.Errorf("the application got %s with Origin %q", got.Method, got.Header["Origin"])
		}
	}
	if s.checks.count() != checks {
		s.t.Error("a preflight was checked")
	}
	for _, r := range []*http.Request{ask("OPTIONS", "", "POST"), ask("OPTIONS", origin, ""), ask("GET", origin, "POST"), ask("POST", origin, "OPTIONS")} {
		for name := range r.Header {
			if strings.Contains(strings.ToLower(name), "select") {
				delete(r.Header, name)
			}
		}
		s.stops(s.Program(), r, http.StatusUnauthorized)
	}
	return "200, no identity"
}

func trySixtyShops(s *site) string {
	staff := testworld.MerchantStaff
	staff.ShopIDs = strings.TrimSuffix(strings.Repeat("2015060900077000000000152345,", 60), ",")
	wantIdentity(s.t, s.passes(s.signedIn(staff), s.get("/merchant/")), s.identityOf(staff))
	return cellIdentity
}

func tryManyCookies(s *site) string {
	b := s.signedIn(testworld.Provider)
	value := strings.Repeat("c", 3<<10)
	for i := range 10 {
		b.SetCookie(s.front, &http.Cookie{Name: fmt.Sprint("isv", i), Value: value, Path: "/"})
	}
	got := s.passes(b, s.get("/shop"))
	wantIdentity(s.t, got, s.identityOf(testworld.Provider))
	if n := len(got.Header.Get("Cookie")); n < 30<<10 {
		s.t.Errorf("the application got %d bytes of cookies", n)
	}
	return cellIdentity
}

// tryLargeHeaders sends larger and larger headers until they are refused. The proxy must never forward a part of an
// identity.
func tryLargeHeaders(s *site) string {
	staff := testworld.MerchantStaff
	staff.ShopIDs = strings.Repeat("2015060900077000000000152345,", 2048/29)
	staff.ShopIDs += strings.Repeat("1", 2048-len(staff.ShopIDs))
	b := s.signedIn(staff)
	refused := 0
	for _, size := range []int{16, 24, 32, 40, 44, 46, 47, 48, 49, 50, 56, 60, 64, 200, 500, 1100} {
		request := s.get("/merchant/")
		for i := range size {
			request.Header.Set(fmt.Sprintf("X-Large-%d", i), strings.Repeat("h", 1000))
		}
		before := s.app.count()
		a, err := b.Try(request)
		if reached := s.app.since(before); len(reached) > 0 {
			wantIdentity(s.t, reached[0], s.identityOf(staff))
			for i := range size {
				if n := len(reached[0].Header.Get(fmt.Sprintf("X-Large-%d", i))); n != 1000 {
					s.t.Errorf("%d KB of headers: the application got %d bytes of one", size, n)
				}
			}
		} else if refused++; err == nil && (a.StatusCode < 400 || a.StatusCode >= 500) { // or the proxy closed the connection
			s.t.Errorf("%d KB of headers: got %d", size, a.StatusCode)
		}
	}
	if refused == 0 {
		s.t.Error("no size was too much: the test doesn't try enough")
	}
	return "4xx"
}

func tryHTTP10(s *site) string { return http10(s, "Host: "+host(s.front)+"\r\n") }

func tryNoHost(s *site) string { return http10(s, "") }

func http10(s *site, host string) string {
	b := s.signedIn(testworld.Provider)
	before := s.app.count()
	status, body := s.raw("GET /shop HTTP/1.0\r\n" + host + s.cookie(b) + "\r\n")
	if status != http.StatusOK || s.app.count() == before {
		return fmt.Sprint(status)
	}
	var got seen
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Host == "" {
		s.t.Errorf("got %q, %v, want a request with a Host", body, err)
	}
	wantIdentity(s.t, got, s.identityOf(testworld.Provider))
	return cellIdentity
}

func tryLargeForm(s *site) string {
	r := s.request("POST", "/koubei/logout", strings.NewReader("x="+strings.Repeat("x", 20<<10)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", s.front)
	before := s.pages.count()
	a := s.Browser().Do(r)
	if s.pages.count() != before {
		return "passed on"
	}
	return fmt.Sprint(a.StatusCode)
}

func tryNoForm(s *site) string {
	return withoutBody(s, &s.pages.requests, "POST /koubei/callback/switch", "POST /koubei/logout")
}

func tryNoPage(s *site) string {
	return withoutBody(s, &s.pages.requests, "GET /koubei/signin", "GET /koubei/static/style.css")
}

func tryNoBody(s *site) string { return withoutBody(s, &s.app.requests, "POST /api/orders") }

// withoutBody sends requests that announce a body but contain none. It returns whether the proxy forwarded one.
func withoutBody(s *site, to *requests, lines ...string) string {
	b := s.signedIn(testworld.Provider)
	before := to.count()
	var waiting sync.WaitGroup
	statuses := make([]int, len(lines))
	for i, line := range lines {
		waiting.Go(func() {
			statuses[i], _ = s.raw(line + " HTTP/1.1\r\nHost: " + host(s.front) + "\r\nOrigin: " + s.front +
				"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n" + s.cookie(b) + "\r\n")
		})
	}
	waiting.Wait()
	if to.count() != before {
		return "cut off after 60 s" // the recipe's limit, which the test shortens
	}
	for _, status := range statuses { // nginx closes the connection without a response
		if status != 0 && (status < 400 || status >= 500) {
			s.t.Errorf("got %d for %q", statuses, lines)
		}
	}
	return "not forwarded"
}

// tryConnections sends concurrent requests, and returns whether the proxy opens more connections than it needs.
func tryConnections(s *site) string {
	const atOnce, each = 48, 20
	b := s.signedIn(testworld.Provider)
	b.Client.Transport.(*http.Transport).MaxIdleConnsPerHost = atOnce
	before := s.checks.connections.Load()
	var work errgroup.Group
	for range atOnce {
		work.Go(func() error {
			for range each {
				if a, err := b.Try(s.get("/")); err != nil || a.StatusCode != http.StatusOK {
					return fmt.Errorf("got %v, %w", a.Response, err)
				}
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		s.t.Error(err)
	}
	opened := s.checks.connections.Load() - before
	s.t.Logf("%d connections for %d checks", opened, atOnce*each)
	if opened > 2*atOnce {
		return "two kept"
	}
	return "kept"
}

func tryConcurrently(s *site) string {
	var work errgroup.Group
	for _, p := range []koubeisim.Person{testworld.Provider, testworld.MerchantStaff, testworld.Sales, partner(partnerA)} {
		b := s.signedIn(p)
		for range 4 {
			work.Go(func() error {
				for range 15 {
					a, err := b.Try(s.get("/"))
					if err != nil {
						return err
					}
					var got seen
					if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
						return fmt.Errorf("got %d: %w", a.StatusCode, err)
					}
					wantIdentity(s.t, got, s.identityOf(p))
				}
				return nil
			})
		}
	}
	if err := work.Wait(); err != nil {
		s.t.Error(err)
	}
	return "never mixed"
}

// unavailable sends requests of a browser and of a program with a session, and returns the results.
func unavailable(s *site, b *testworld.Browser) string {
	before := s.app.count()
	cells := map[string]bool{}
	for _, a := range []testworld.Answer{b.Do(s.get("/shop")), s.program(b).Do(s.request("POST", "/api/orders", strings.NewReader("{}")))} {
		cell := fmt.Sprint(a.StatusCode)
		if a.Header.Get("Retry-After") != "" {
			cell += ", Retry-After"
		}
		cells[cell] = true
	}
	if s.app.count() != before {
		s.t.Error("a request that wasn't checked reached the application")
	}
	return keys(cells)
}

func keys(cells map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(cells)), " or ") }

func tryNoRedis(s *site) string {
	b := s.signedIn(testworld.Provider)
	s.Redis.Kill()
	cell := unavailable(s, b)
	s.Redis.Start()
	s.stops(b, s.get("/shop"), http.StatusSeeOther) // Redis has lost the session
	return cell
}

func tryNoService(s *site) string {
	b := s.signedIn(testworld.Provider)
	s.stopChecks()
	return unavailable(s, b)
}

func tryHangingService(s *site) string {
	b := s.signedIn(testworld.Provider)
	close(s.checks.hang)
	return unavailable(s, b)
}

func tryLog(s *site) string {
	b := s.Browser()
	landed := s.Koubei.Issue(testworld.Provider)
	a := b.Land(s.Landing(landed))
	if a.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("got %d, want 303", a.StatusCode)
	}
	to := s.get(a.Header.Get("Location"))
	to.Header.Set("Referer", s.Landing(landed)) // current browsers send none, because the service's Referrer-Policy forbids it
	wantIdentity(s.t, s.passes(b, to), s.identityOf(testworld.Provider))

	lost := s.Koubei.Issue(testworld.Provider)
	s.stopPages()
	for _, spelling := range []koubeisim.Spelling{koubeisim.Observed, koubeisim.Documented} {
		if a := b.Get(s.Koubei.LandingURL(lost, spelling)); a.StatusCode < 500 {
			s.t.Errorf("without the service: got %d", a.StatusCode)
		}
	}
	b.Do(s.get("/last")) // its line comes after the others
	var log string
	testworld.Eventually(s.t, 10*time.Second, "the log is written", func() error {
		if log = s.proxy.log(s.t); !strings.Contains(log, "/last") {
			return errors.New("no line yet")
		}
		return nil
	})
	if n := strings.Count(log, s.Config.Web.CallbackPath); n < 4 {
		s.t.Errorf("got %d lines about the callback, want 4", n)
	}
	for _, secret := range []string{landed, lost, url.QueryEscape(landed), b.Cookie(s.front, sessionCookie)} {
		if strings.Contains(log, secret) {
			return "some"
		}
	}
	return "none"
}

// TestUntestedRecipes compares the recipes that no test runs with the others: the headers that they forward, and the
// response if the service is unreachable.
func TestUntestedRecipes(t *testing.T) {
	t.Parallel()
	var routes struct {
		Routes []struct {
			ID      string `yaml:"id"`
			Plugins struct {
				ForwardAuth *struct {
					URI         string   `yaml:"uri"`
					Asked       []string `yaml:"request_headers"`
					Upstream    []string `yaml:"upstream_headers"`
					Client      []string `yaml:"client_headers"`
					OnError     int      `yaml:"status_on_error"`
					Degradation bool     `yaml:"allow_degradation"`
				} `yaml:"forward-auth"`
			} `yaml:"plugins"`
		} `yaml:"routes"`
	}
	text := slurp(t, "apisix/apisix.yaml")
	if err := yaml.Unmarshal([]byte(text), &routes); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text, "\n#END\n") {
		t.Error("APISIX ignores a file that doesn't end with #END")
	}
	checks := 0
	for _, r := range routes.Routes {
		check := r.Plugins.ForwardAuth
		if check == nil {
			continue
		}
		checks++
		if !strings.HasPrefix(check.URI, "http://127.0.0.1:9090/auth/verify?redirect=1") || check.OnError != http.StatusServiceUnavailable || check.Degradation ||
			!slices.Contains(check.Asked, "Cookie") || !slices.Contains(check.Client, "Location") || !slices.Contains(check.Client, "Retry-After") {
			t.Errorf("%s: got %+v", r.ID, check)
		}
		if want := append(slices.Clone(identity), "X-Koubei-Select-Partner"); !slices.Equal(check.Upstream, want) {
			t.Errorf("%s passes %q on, want %q", r.ID, check.Upstream, want)
		}
	}
	if checks != 2 {
		t.Errorf("got %d routes with a check, want 2", checks)
	}
	var envoy any
	if err := yaml.Unmarshal([]byte(slurp(t, "envoy/envoy.yaml")), &envoy); err != nil {
		t.Error(err) // make proxies compares it with Envoy's types
	}
}
