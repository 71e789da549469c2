package handler_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

var identityHeaders = []string{"X-Koubei-App-Id", "X-Koubei-Operator-Id", "X-Koubei-Operator-Type", "X-Koubei-Partner-Id",
	"X-Koubei-Shop-Ids", "X-Koubei-Session-Expires", "X-Koubei-Assertion", "X-Koubei-Auth-Code"}

// verify sends a request with a browser's cookies to the internal listener, as a proxy does.
func verify(t *testing.T, w *testworld.World, b *testworld.Browser, method, query string, header http.Header) testworld.Answer {
	t.Helper()
	r, err := http.NewRequest(method, w.Internal+"/auth/verify"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	return b.Do(r) // one jar: cookies are not bound to a port
}

func TestVerifySendsEveryHeader(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	code := w.Koubei.Issue(testworld.ProviderStaff)
	b := w.Browser()
	b.Land(w.Landing(code))
	for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS", "PROPFIND"} {
		a := verify(t, w, b, method, "", nil)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %d, want 200", method, a.StatusCode)
		}
		for _, name := range identityHeaders {
			if _, ok := a.Header[name]; !ok {
				t.Errorf("%s is missing: a proxy would pass the client's own on", name)
			}
		}
		if n := len(a.Header); n != len(identityHeaders)+2 { // with Date and Content-Length, which net/http keeps elsewhere
			t.Errorf("%s: got %d headers, want no others: %v", method, n, a.Header)
		}
	}
	a := verify(t, w, b, "GET", "", nil)
	want := map[string]string{"X-Koubei-App-Id": w.Koubei.AppID(), "X-Koubei-Operator-Id": testworld.ProviderStaff.OperatorID,
		"X-Koubei-Operator-Type": "PROVIDER_STAFF", "X-Koubei-Partner-Id": testworld.ProviderStaff.PartnerID,
		"X-Koubei-Shop-Ids": testworld.ProviderStaff.ShopIDs, "X-Koubei-Auth-Code": ""}
	for name, value := range want {
		if got := a.Header.Get(name); got != value {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	if at, err := time.Parse(time.RFC3339, a.Header.Get("X-Koubei-Session-Expires")); err != nil || time.Until(at) > 12*time.Hour {
		t.Errorf("got an end at %q", a.Header.Get("X-Koubei-Session-Expires"))
	}
}

func TestVerifyDecisions(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	unknown := testworld.Provider
	unknown.OperatorID, unknown.OperatorType = "2088000000000099", "SYSTEM"
	provider, system := land(t, w, with("2088000000000001"), with("2088000000000002")), land(t, w, unknown)
	for _, tt := range []struct {
		name    string
		b       *testworld.Browser
		query   string
		select_ []string
		status  int
	}{
		{"no type named", provider, "", nil, 200},
		{"its type", provider, "?type=PROVIDER", nil, 200},
		{"one of several", provider, "?type=MER,PROVIDER", nil, 200},
		{"another type", provider, "?type=MER,MER_STAFF", nil, 403},
		{"an empty type", provider, "?type=", nil, 403},
		{"a type that may be added later", provider, "?type=PROVIDER,BOSS", nil, 200},
		{"a malformed type", provider, "?type=PROVIDER,boss", nil, 403},
		{"an empty type among others", provider, "?type=PROVIDER,", nil, 403},
		{"a type with a space", provider, "?type=PROVIDER,%20MER", nil, 403},
		{"a type that begins with a digit", provider, "?type=PROVIDER,1A", nil, 403},
		{"a type with a new line", provider, "?type=PROVIDER%0a", nil, 403},
		{"a type of 32 characters", provider, "?type=PROVIDER,A" + strings.Repeat("9", 31), nil, 200},
		{"a type of 33 characters", provider, "?type=PROVIDER,A" + strings.Repeat("9", 32), nil, 403},
		{"types by a semicolon", provider, "?x=1;type=PROVIDER", nil, 403},
		{"a repeated type", provider, "?type=PROVIDER&type=PROVIDER", nil, 403},
		{"an undocumented type", system, "", nil, 403},
		{"the same, named", system, "?type=MER,SYSTEM", nil, 200},
		{"a partner", provider, "?partner_id=2088000000000001", nil, 200},
		{"a stranger's partner", provider, "?partner_id=2088000000000003", nil, 403},
		{"no partner, asked for", provider, "?partner_id=", nil, 403},
		{"a partner by header", provider, "", []string{"2088000000000001"}, 200},
		{"a stranger's by header", provider, "", []string{"2088000000000003"}, 403},
		{"selectors that agree", provider, "?partner_id=2088000000000001", []string{"2088000000000001"}, 200},
		{"selectors that disagree", provider, "?partner_id=2088000000000001", []string{"2088000000000002"}, 403},
		{"headers that disagree", provider, "", []string{"2088000000000001", "2088000000000002"}, 403},
		{"a query that can't be read", provider, "?partner_id=%zz", nil, 403},
		{"no session", w.Browser(), "", nil, 401},
		{"no session, wrong question", w.Browser(), "?type=", nil, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			if tt.select_ != nil {
				header["X-Koubei-Select-Partner"] = tt.select_
			}
			a := verify(t, w, tt.b, "GET", tt.query, header)
			if a.StatusCode != tt.status {
				t.Errorf("got %d, want %d", a.StatusCode, tt.status)
			}
			if tt.status != 200 && slices.ContainsFunc(identityHeaders, func(h string) bool { return a.Header.Get(h) != "" }) {
				t.Error("a refusal tells an identity")
			}
		})
	}
}

func TestVerifyRedirectsToSignIn(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	if a := verify(t, w, w.Browser(), "GET", "?redirect=1", nil); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != w.Config.Web.PublicURL.String()+"/signin" {
		t.Errorf("a browser: got %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	if a := verify(t, w, w.Program(), "GET", "?redirect=1", nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a program: got %d, want 401", a.StatusCode)
	}
	w.Redis.Kill()
	b := w.Browser()
	b.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: strings.Repeat("A", 43), Path: "/"})
	if a := verify(t, w, b, "GET", "?redirect=1", nil); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("an outage: got %d, want 503 with Retry-After, never 401", a.StatusCode)
	}
}

func TestVerifyNeverReadsTheBody(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Provider)
	body, write := io.Pipe()
	defer write.Close()
	r, _ := http.NewRequest(http.MethodPost, w.Internal+"/auth/verify", body)
	r.ContentLength = 1 << 30
	if a := b.Do(r); a.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200 while the body is still to come", a.StatusCode)
	}
}

func TestVerifyReturnsTheCode(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.ForwardCode = true })
	b := w.Browser()
	first, second := w.Koubei.Issue(with("2088000000000001")), w.Koubei.Issue(with("2088000000000002"))
	b.Land(w.Landing(first))
	b.Land(w.Landing(second))
	for query, code := range map[string]string{"": second, "?partner_id=2088000000000001": first} {
		if got := verify(t, w, b, "GET", query, nil).Header.Get("X-Koubei-Auth-Code"); got != code {
			t.Errorf("%q: got another code", query)
		}
	}
	for _, key := range w.Redis.Client.Keys(t.Context(), "*").Val() {
		value := w.Redis.Client.Dump(t.Context(), key).Val()
		for _, secret := range []string{first, second, b.Cookie(w.Public, "koubei_session")} {
			if strings.Contains(key+value, secret) {
				t.Errorf("%s holds a code or a token in clear", key)
			}
		}
	}
}

// TestVerifyWithoutTheKeyOfTheCode: the key is gone with which the code was sealed. The identity is valid all the same, and
// the log says why there is no code.
func TestVerifyWithoutTheKeyOfTheCode(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.ForwardCode = true })
	b := land(t, w, testworld.Provider)
	replica := w.Replica(func(c *app.Config) { c.Session.SealKeys = [][]byte{[]byte(strings.Repeat("o", 32))} })
	a := b.Get(replica.Internal + "/auth/verify")
	if a.StatusCode != http.StatusOK || a.Header.Get("X-Koubei-Operator-Id") != testworld.Provider.OperatorID || a.Header.Get("X-Koubei-Auth-Code") != "" {
		t.Errorf("got %d with %v, want the identity without a code", a.StatusCode, a.Header)
	}
	if !strings.Contains(w.Log.String(), "forward_code") {
		t.Error("the log does not say why the code is missing")
	}
}

func TestShopsThatDoNotFitAHeader(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for shops, want := range map[string]string{strings.Repeat("1", 2049): "overflow", strings.Repeat("1", 2048): strings.Repeat("1", 2048), "店": "overflow", "1 ~2": "1 ~2"} {
		p := testworld.MerchantStaff
		p.ShopIDs = shops
		b := land(t, w, p)
		if got := verify(t, w, b, "GET", "", nil).Header.Get("X-Koubei-Shop-Ids"); got != want {
			t.Errorf("%.10s…: got %.20q", shops, got)
		}
		if _, id := b.Session(w.Service, ""); id.ShopIDs != shops {
			t.Errorf("%.10s…: /session changed it", shops)
		}
	}
}

// awaitReadyz waits until /readyz has a status, at most for the time in which a change must be reported.
func awaitReadyz(t *testing.T, w *testworld.World, status int) {
	t.Helper()
	testworld.Eventually(t, 30*time.Second, fmt.Sprintf("/readyz answers %d", status), func() error {
		if a := w.Program().Get(w.Internal + "/readyz"); a.StatusCode != status {
			return fmt.Errorf("got %d %s", a.StatusCode, a.Body)
		}
		return nil
	})
}

func TestOperationalRoutes(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	land(t, w, testworld.Provider)
	p := w.Program()
	if a := p.Get(w.Internal + "/healthz"); a.StatusCode != http.StatusOK {
		t.Errorf("/healthz: got %d", a.StatusCode)
	}
	if a := p.Get(w.Internal + "/readyz"); a.StatusCode != http.StatusOK || !strings.Contains(a.Body, `"redis":"ok"`) {
		t.Errorf("/readyz: got %d %s", a.StatusCode, a.Body)
	}
	metrics := p.Get(w.Internal + "/metrics").Body
	for _, series := range []string{`koubei_landings_total{result="landed"} 1`, `koubei_landings_total{result="arrived"} 1`,
		`koubei_sessions_started_total{operator_type="PROVIDER"} 1`, `koubei_exchange_duration_seconds_count{outcome="success"} 1`,
		`koubei_exchange_retries_total 0`, `http_request_duration_seconds_count{method="GET",route="/koubei/callback",status="303"} 2`, "redis_pool_connections", "go_goroutines"} {
		if !strings.Contains(metrics, series) {
			t.Errorf("/metrics lacks %s", series)
		}
	}
	w.Redis.Kill()
	awaitReadyz(t, w, http.StatusServiceUnavailable)
	if a := p.Get(w.Public + "/metrics"); a.StatusCode != http.StatusNotFound {
		t.Errorf("/metrics for browsers: got %d, want 404", a.StatusCode)
	}
	if a := p.Get(w.Public + "/auth/verify"); a.StatusCode != http.StatusNotFound {
		t.Errorf("/auth/verify for browsers: got %d, want 404", a.StatusCode)
	}
}
