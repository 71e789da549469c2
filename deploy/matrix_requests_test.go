package deploy_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/websocket"
	"golang.org/x/sync/errgroup"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

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
