// Package deploy_test runs the shipped proxy configurations in the real proxies, with the service and a tiny application
// behind them.
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
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// partner is the provider on behalf of a merchant.
func partner(id string) koubeisim.Person {
	p := testworld.ProviderStaff
	p.PartnerID, p.ShopIDs = id, id+"-shop"
	return p
}

const (
	partnerA = "2088000000000001"
	partnerB = "2088000000000002"
)

func each(t *testing.T, test func(*testing.T, recipe)) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			test(t, r)
		})
	}
}

// wantIdentity fails unless the application was told exactly this: each header once, empty ones once or not at all, and
// nothing else that could be taken for one.
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
		t.Errorf("the application was also told %v", found)
	}
}

func (s *site) identityOf(p koubeisim.Person) map[string]string {
	return map[string]string{"X-Koubei-App-Id": s.Koubei.AppID(), "X-Koubei-Operator-Id": p.OperatorID,
		"X-Koubei-Operator-Type": p.OperatorType, "X-Koubei-Partner-Id": p.PartnerID, "X-Koubei-Shop-Ids": p.ShopIDs}
}

// forged is what a client may claim to be, in every spelling that a library or an application might take for ours.
func forged() http.Header {
	h := http.Header{"Connection": {"keep-alive"}}
	for _, name := range append(identity, "X-Koubei-Select-Partner") {
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

func TestSignedIn(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		code := s.Koubei.Issue(testworld.ProviderStaff)
		b := s.Browser()
		if a := b.Land(s.Landing(code)); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/shop?partner_id="+testworld.ProviderStaff.PartnerID {
			t.Fatalf("landing: got %d to %q", a.StatusCode, a.Header.Get("Location"))
		}
		want := s.identityOf(testworld.ProviderStaff)
		want["X-Koubei-Auth-Code"] = code
		for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
			got := s.passes(b, s.request(method, "/shop?x=1&y=%20%2F", nil))
			wantIdentity(t, got, want)
			if got.Method != method || got.Host != host(s.front) || got.URI != "/shop?x=1&y=%20%2F" {
				t.Errorf("got %s %s of %s", got.Method, got.URI, got.Host)
			}
		}
		request := s.get("/shop")
		request.Header.Set("X-Forwarded-For", "192.0.2.1")
		if got := s.passes(b, request).Header["X-Forwarded-For"]; !slices.Equal(got, []string{"127.0.0.1"}) {
			t.Errorf("X-Forwarded-For: got %q, want the client alone", got)
		}
		if a := b.Do(s.get("/broken")); a.StatusCode != http.StatusInternalServerError || !strings.Contains(a.Body, "own words") {
			t.Errorf("the application's own error: got %d %q", a.StatusCode, a.Body)
		}
		if a := b.Post(s.front+"/koubei/logout", nil); a.StatusCode != http.StatusSeeOther {
			t.Errorf("signing out: got %d, want 303", a.StatusCode)
		}
		s.stops(b, s.get("/shop"), http.StatusSeeOther)
	})
}

func TestNotSignedIn(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		old := s.Browser()
		old.Header = http.Header{"Accept": {"text/html,*/*;q=0.8"}, "User-Agent": {"Mozilla/5.0 (Linux; Android 5.0) WebView"}}
		for name, b := range map[string]*testworld.Browser{"a browser": s.Browser(), "an old web view": old} {
			a := s.stops(b, s.get("/shop"), http.StatusSeeOther)
			to, err := a.Request.URL.Parse(a.Header.Get("Location"))
			if err != nil || to.String() != s.front+"/koubei/signin" {
				t.Errorf("%s: sent to %q", name, a.Header.Get("Location"))
			}
			if a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: the redirect may be cached", name)
			}
		}
		if a := s.Browser().Get(s.front + "/koubei/signin"); a.StatusCode != http.StatusOK {
			t.Errorf("the sign-in page: got %d", a.StatusCode)
		}
		fetch := s.Browser()
		fetch.Header.Set("Sec-Fetch-Mode", "cors")
		fetch.Header.Set("Accept", "*/*")
		s.stops(fetch, s.get("/api/orders"), http.StatusUnauthorized)
		s.stops(s.Program(), s.get("/api/orders"), http.StatusUnauthorized)
		s.stops(s.Program(), s.request("POST", "/api/orders", strings.NewReader("{}")), http.StatusUnauthorized)

		stranger := s.Browser()
		stranger.SetCookie(s.front, &http.Cookie{Name: "koubei_session", Value: strings.Repeat("A", 43), Path: "/"})
		s.stops(stranger, s.get("/shop"), http.StatusSeeOther)
		for _, path := range []string{"/auth/verify", "/metrics", "/readyz", "/koubei/../auth/verify", "/_koubei/verify", "/koubei/auth/verify"} {
			if a := s.Program().Do(s.get(path)); a.StatusCode < 400 {
				t.Errorf("%s: got %d", path, a.StatusCode)
			}
		}
		for _, c := range s.checks.since(0) {
			if path, _, _ := strings.Cut(c.URI, "?"); path != "/auth/verify" {
				t.Errorf("a client reached %s of the internal listener", c.URI)
			}
		}
		if n := s.app.count(); n > 0 {
			t.Errorf("the application saw %d requests", n)
		}
	})
}

func TestTypes(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		provider, merchant := s.signedIn(testworld.Provider), s.signedIn(testworld.Merchant)
		wantIdentity(t, s.passes(merchant, s.get("/merchant/settings")), s.identityOf(testworld.Merchant))
		a := s.stops(provider, s.get("/merchant/settings"), http.StatusForbidden)
		if !strings.Contains(a.Body, "无权") || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Errorf("the page: got %s %q", a.Header.Get("Content-Type"), a.Body)
		}
		s.stops(provider, s.get("/merchant/settings?type=PROVIDER"), http.StatusForbidden)
		before := s.app.count()
		for _, path := range []string{"/%6derchant/settings", "//merchant/settings", "/x/../merchant/settings", "/x/%2e%2e/merchant/settings",
			"/./merchant/settings", "/merchant%2fsettings", "/x/..%2fmerchant/settings"} {
			if a := provider.Do(s.get(path)); a.StatusCode < 400 {
				t.Errorf("%s: got %d", path, a.StatusCode)
			}
		}
		if s.app.count() != before {
			t.Error("another spelling of the path reached the application")
		}
	})
}

func TestPartners(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		b := s.signedIn(partner(partnerA), partner(partnerB))
		for _, tt := range []struct {
			query  string
			either bool   // refused by one proxy, understood by another: but never another partner's
			want   string // the partner; empty where it is refused
		}{
			{query: "?partner_id=" + partnerA, want: partnerA},
			{query: "?partner_id=" + partnerB, want: partnerB},
			{query: "", want: partnerB},
			{query: "?x=1&partner_id=" + partnerA, want: partnerA},
			{query: "?x=1&partner_id=" + partnerA + "&y=%zz", want: partnerA},
			{query: "?partner_id=%32088000000000001", want: partnerA},
			{query: "?other_partner_id=1&partner_ids=2&PARTNER_ID=3", want: partnerB},
			{query: "?type=MER&audience=x&redirect=0", want: partnerB},
			{query: "?next=%2Fshop%3Fpartner_id%3D" + partnerA, want: partnerB},
			{query: "?next=/shop?partner_id=" + partnerA, want: partnerB},
			{query: "?partner_id=2088000000000003"},
			{query: "?partner_id="},
			{query: "?partner_id"},
			{query: "?x&partner_id&y"},
			{query: "?partner_id=" + partnerA + "&partner_id=" + partnerB},
			{query: "?partner_id=" + partnerB + "&x=1&partner_id=" + partnerA},
			{query: "?partner_id=" + partnerA + "&partner_id"},
			{query: "?partner_id=" + partnerA + "%26partner_id=" + partnerA},
			{query: "?partner_id=" + partnerA + "," + partnerB},
			{query: "?partner_id=" + partnerA + ";x=1"},
			{query: "?partner_id=%zz"},
			{query: "?partner_id=%0d%0aX-Koubei-Operator-Id:1"},
			{query: "?partner%5Fid=" + partnerA, want: partnerA, either: true},
			{query: "?%70artner_id=" + partnerA + "&x=1", want: partnerA, either: true},
			{query: "?partner_id=" + partnerA + "&partner_id=" + partnerA, want: partnerA, either: true},
		} {
			t.Run(tt.query, func(t *testing.T) {
				before := s.app.count()
				a := b.Do(s.get("/shop" + tt.query))
				reached := s.app.since(before)
				if tt.want == "" || tt.either && a.StatusCode == http.StatusForbidden {
					if a.StatusCode != http.StatusForbidden || len(reached) > 0 {
						t.Errorf("got %d, want 403", a.StatusCode)
					}
					return
				}
				if a.StatusCode != http.StatusOK || len(reached) != 1 {
					t.Fatalf("got %d, want 200", a.StatusCode)
				}
				wantIdentity(t, reached[0], s.identityOf(partner(tt.want)))
			})
		}
	})
}

func TestForgedHeadersNeverArrive(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		told := newSite(t, r)
		quiet := newSite(t, r, func(c *app.Config) { c.Web.ForwardCode, c.Assertions = false, assertion.Config{} })
		for name, s := range map[string]*site{"every header has a value": told, "some are empty": quiet} {
			t.Run(name, func(t *testing.T) {
				b, person := s.signedIn(testworld.Sales), testworld.Sales // no partner and no shops
				want := s.identityOf(person)
				if s == quiet {
					want["X-Koubei-Assertion"], want["X-Koubei-Auth-Code"] = "", ""
				}
				wantIdentity(t, s.passes(b, s.get("/")), want)
				lie := func(method string) *http.Request {
					r := s.request(method, "/", nil)
					r.Header = forged()
					return r
				}
				before := len(s.checks.since(0))
				wantIdentity(t, s.passes(b, lie("GET")), want)
				wantIdentity(t, s.passes(b, lie("POST")), want)
				s.stops(s.Browser(), lie("GET"), http.StatusSeeOther)
				s.stops(s.Program(), lie("POST"), http.StatusUnauthorized)
				for _, c := range s.checks.since(before) {
					if len(c.identity()) > 0 {
						t.Errorf("the check was told %v", c.identity())
					}
				}
			})
		}
		s := told
		b := s.signedIn(partner(partnerA), partner(partnerB))
		t.Run("headers named hop-by-hop", func(t *testing.T) {
			for _, name := range append(identity, "X-Koubei-Select-Partner") {
				r := s.get("/shop?partner_id=" + partnerA)
				r.Header["Connection"] = []string{"close, " + name}
				before := s.app.count()
				a := b.Do(r)
				switch reached := s.app.since(before); {
				case len(reached) == 1:
					wantIdentity(t, reached[0], s.identityOf(partner(partnerA)))
				case a.StatusCode != http.StatusBadRequest:
					t.Errorf("%s: got %d", name, a.StatusCode)
				}
			}
		})
		t.Run("on the wire", func(t *testing.T) {
			for _, line := range []string{"X-Koubei-Operator-Id : forged", "X-Koubei-Operator-Id\t: forged", " X-Koubei-Operator-Id: forged",
				"X-Nothing: 1\r\n X-Koubei-Operator-Id: forged", "X-Nothing: 1\nX-Koubei-Operator-Id: forged", "X-Koubei-Operator-Id:forged\r\nx-koubei-operator-id: forged",
				"X-Nothing: 1\rX-Koubei-Operator-Id: forged"} {
				before := s.app.count()
				status := s.raw(fmt.Sprintf("GET /shop HTTP/1.1\r\nHost: %s\r\nCookie: koubei_session=%s\r\nX-Nothing: 0\r\n%s\r\nConnection: close\r\n\r\n",
					host(s.front), b.Cookie(s.front, "koubei_session"), line))
				for _, got := range s.app.since(before) {
					got.Header.Del("X-Nothing")
					wantIdentity(t, got, s.identityOf(partner(partnerB)))
				}
				if s.app.count() == before && !strings.Contains(status, " 400 ") {
					t.Errorf("%q: got %q", line, status)
				}
			}
		})
	})
}

func TestBodiesAreTheApplications(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		b := s.signedIn(testworld.Provider)
		body := make([]byte, 900<<10)
		if _, err := rand.Read(body); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		for name, reader := range map[string]io.Reader{"of known length": bytes.NewReader(body), "chunked": io.MultiReader(bytes.NewReader(body))} {
			before := len(s.checks.since(0))
			got := s.passes(b, s.request("POST", "/api/upload", reader))
			if got.Length != int64(len(body)) || got.Digest != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: the application got %d bytes, want the %d that were sent", name, got.Length, len(body))
			}
			asked := s.checks.since(before)
			if len(asked) != 1 || asked[0].Length != 0 {
				t.Errorf("%s: got checks %+v, want one without a body", name, asked)
			}
		}
	})
}

func TestLargeHeaders(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		staff := testworld.MerchantStaff
		staff.ShopIDs = strings.Repeat("2015060900077000000000152345,", 2048/29)
		staff.ShopIDs += strings.Repeat("1", 2048-len(staff.ShopIDs))
		b := s.signedIn(staff)
		wantIdentity(t, s.passes(b, s.get("/merchant/")), s.identityOf(staff))

		b.SetCookie(s.front, &http.Cookie{Name: "isv", Value: strings.Repeat("c", 4000), Path: "/"})
		request := s.get("/merchant/?" + strings.Repeat("q", 3000))
		for i := range 4 {
			request.Header.Set(fmt.Sprintf("X-Large-%d", i), strings.Repeat("h", 4000))
		}
		got := s.passes(b, request)
		wantIdentity(t, got, s.identityOf(staff))
		for i := range 4 {
			if n := len(got.Header.Get(fmt.Sprintf("X-Large-%d", i))); n != 4000 {
				t.Errorf("X-Large-%d: got %d bytes", i, n)
			}
		}
		// Where it gets too much, the request is refused: an identity is never told in part.
		refused := 0
		for size := 24; size <= 80; size += 2 {
			request := s.get("/merchant/")
			for i := range size {
				request.Header.Set(fmt.Sprintf("X-Large-%d", i), strings.Repeat("h", 1000))
			}
			before := s.app.count()
			a, err := b.Try(request)
			if reached := s.app.since(before); len(reached) > 0 {
				wantIdentity(t, reached[0], s.identityOf(staff))
			} else if refused++; err == nil && (a.StatusCode < 400 || a.StatusCode >= 500) { // or hung up on while writing
				t.Errorf("%d KB of headers: got %d", size, a.StatusCode)
			}
		}
		if refused == 0 {
			t.Error("nothing was too much: the sizes are too small to find out")
		}
	})
}

func TestIdentitiesDontMix(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		people := []koubeisim.Person{testworld.Provider, testworld.MerchantStaff, testworld.Sales, partner(partnerA)}
		var work errgroup.Group
		for _, p := range people {
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
						wantIdentity(t, got, s.identityOf(p))
					}
					return nil
				})
			}
		}
		if err := work.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestOutage(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		b := s.signedIn(testworld.Provider)
		program := s.Program()
		program.SetCookie(s.front, &http.Cookie{Name: "koubei_session", Value: b.Cookie(s.front, "koubei_session"), Path: "/"})
		down := func(what string) {
			a := s.stops(b, s.get("/shop"), http.StatusServiceUnavailable)
			if a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "暂时不可用") {
				t.Errorf("%s: got Retry-After %q and the page %q", what, a.Header.Get("Retry-After"), a.Body)
			}
			if a := s.stops(program, s.request("POST", "/api/orders", strings.NewReader("{}")), http.StatusServiceUnavailable); a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: a program isn't told when to come back", what)
			}
		}
		s.Redis.Kill()
		down("Redis is down")
		s.Redis.Start()
		s.stops(b, s.get("/shop"), http.StatusSeeOther) // it kept nothing: now there is no session
		close(s.checks.silent)
		if a := s.stops(b, s.get("/shop"), http.StatusServiceUnavailable); a.Header.Get("Retry-After") == "" {
			t.Error("the service is silent: nobody is told when to come back")
		}
		s.checks.server.CloseClientConnections()
		s.checks.server.Close()
		down("the service is down")
	})
}

func TestNoCodeInTheProxysLog(t *testing.T) {
	each(t, func(t *testing.T, r recipe) {
		s := newSite(t, r)
		b := s.Browser()
		landed := s.Koubei.Issue(testworld.Provider)
		a := b.Land(s.Landing(landed))
		if a.StatusCode != http.StatusSeeOther {
			t.Fatalf("got %d, want 303", a.StatusCode)
		}
		to := s.get(a.Header.Get("Location"))
		to.Header.Set("Referer", s.Landing(landed)) // no browser of today would, told no-referrer
		wantIdentity(t, s.passes(b, to), s.identityOf(testworld.Provider))

		lost := s.Koubei.Issue(testworld.Provider)
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		for _, spelling := range []koubeisim.Spelling{koubeisim.Observed, koubeisim.Documented} {
			if a := b.Get(s.Koubei.LandingURL(lost, spelling)); a.StatusCode < 500 {
				t.Errorf("without the service: got %d", a.StatusCode)
			}
		}
		b.Do(s.get("/last")) // its line comes after the others
		var log string
		testworld.Eventually(t, 10*time.Second, "the log is written", func() error {
			if log = s.proxy.log(t); !strings.Contains(log, "/last") {
				return errors.New("no line yet")
			}
			return nil
		})
		if n := strings.Count(log, s.Config.Web.CallbackPath); n < 4 {
			t.Errorf("got %d lines about the callback, want 4", n)
		}
		secrets := []string{landed, lost, url.QueryEscape(landed), b.Cookie(s.front, "koubei_session")}
		for _, secret := range secrets {
			if strings.Contains(log, secret) {
				t.Errorf("the proxy's log holds a code or a token:\n%s", log)
			}
		}
	})
}

func TestEveryHeaderIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range identity {
		if !strings.Contains(string(page), "| `"+name+"`") {
			t.Errorf("docs/proxies.md doesn't say what %s is", name)
		}
	}
	for _, name := range []string{"nginx/koubei.conf", "caddy/Caddyfile", "haproxy/haproxy.cfg", "haproxy/koubei.lua", "traefik/koubei.yaml", "envoy/envoy.yaml"} {
		if _, err := os.Stat(name); err != nil || !strings.Contains(string(page), "deploy/"+name) {
			t.Errorf("docs/proxies.md doesn't lead to %s (%v)", name, err)
		}
	}
}
