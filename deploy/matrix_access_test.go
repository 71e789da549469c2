package deploy_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

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
