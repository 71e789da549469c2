package handler_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// land returns a browser that has landed as these people.
func land(t *testing.T, w *testworld.World, people ...koubeisim.Person) *testworld.Browser {
	t.Helper()
	b := w.Browser()
	for _, p := range people {
		if a := b.Land(w.Landing(w.Koubei.Issue(p))); a.StatusCode != http.StatusSeeOther {
			t.Fatalf("landing as %s: got %d, want 303", p.OperatorID, a.StatusCode)
		}
	}
	return b
}

// with returns a provider who acts for the partner.
func with(partner string) koubeisim.Person {
	p := testworld.Provider
	p.PartnerID = partner
	return p
}

func TestSessionReturnsTheSelectedPartner(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	staff := with("2088000000000002")
	staff.OperatorType, staff.ShopIDs = "PROVIDER_STAFF", "2015000000000001,2015000000000002"
	b := land(t, w, with("2088000000000001"), staff, with(""))
	for _, tt := range []struct {
		query, partner, typ, shops string
		status                     int
	}{
		{"", "", "PROVIDER", "", 200},
		{"?partner_id=", "", "PROVIDER", "", 200},
		{"?partner_id=2088000000000001", "2088000000000001", "PROVIDER", "", 200},
		{"?partner_id=2088000000000002", "2088000000000002", "PROVIDER_STAFF", staff.ShopIDs, 200},
		{"?partner_id=2088000000000003", "", "", "", 403},
		{"?partner_id=2088000000000001&partner_id=2088000000000002", "", "", "", 403},
		{"?partner_id=%zz", "", "", "", 403},
	} {
		a, id := b.Session(w.Service, tt.query)
		if a.StatusCode != tt.status {
			t.Errorf("%q: got %d, want %d", tt.query, a.StatusCode, tt.status)
			continue
		}
		if tt.status != http.StatusOK {
			if a.Problem() != "unknown_partner" || !strings.Contains(a.Body, a.Header.Get("X-Request-Id")) {
				t.Errorf("%q: got %s, want unknown_partner with the request id", tt.query, a.Body)
			}
			continue
		}
		partner := ""
		if id.PartnerID != nil {
			partner = *id.PartnerID
		}
		if partner != tt.partner || id.OperatorType != tt.typ || id.ShopIDs != tt.shops {
			t.Errorf("%q: got %+v", tt.query, id)
		}
		if got := strings.Join(partnerIDs(id), " "); got != "2088000000000002 2088000000000001" {
			t.Errorf("%q: got partners %s, want the newest first, and none without an id", tt.query, got)
		}
	}
}

func TestSessionFields(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Provider)
	a, id := b.Session(w.Service, "")
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(a.Body), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app_id", "operator_id", "operator_type", "partner_id", "partners", "authenticated_at", "expires_at"} {
		if fields[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if len(fields) != 7 {
		t.Errorf("got %d members: %s, want 7: no shops where the gateway sent none, and never the code", len(fields), a.Body)
	}
	from, err1 := time.Parse(time.RFC3339, id.AuthenticatedAt)
	to, err2 := time.Parse(time.RFC3339, id.ExpiresAt)
	if err1 != nil || err2 != nil || to.Sub(from) != 12*time.Hour {
		t.Errorf("got %s to %s, want 12 hours", id.AuthenticatedAt, id.ExpiresAt)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got Cache-Control %q", a.Header.Get("Cache-Control"))
	}
	if a, _ := land(t, w, with("")).Session(w.Service, ""); !strings.Contains(a.Body, `"partner_id":null`) || !strings.Contains(a.Body, `"partners":[]`) {
		t.Errorf("without a partner: got %s", a.Body)
	}
}

func TestNoSession(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	if a, _ := b.Session(w.Service, ""); a.StatusCode != http.StatusUnauthorized || a.Problem() != "no_session" {
		t.Errorf("got %d %q, want 401 no_session, as JSON though a page was preferred", a.StatusCode, a.Problem())
	}
	for _, junk := range []string{"x", strings.Repeat("A", 43), strings.Repeat("é", 20)} {
		b.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: junk, Path: "/"})
		if a, _ := b.Session(w.Service, ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: got %d, want 401", junk, a.StatusCode)
		}
	}
}

// twoCookies sends the session cookies of several browsers in one request.
func twoCookies(t *testing.T, w *testworld.World, method, path string, browsers ...*testworld.Browser) testworld.Answer {
	t.Helper()
	r, err := http.NewRequest(method, w.Public+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range browsers {
		r.AddCookie(&http.Cookie{Name: "koubei_session", Value: b.Cookie(w.Public, "koubei_session")})
	}
	p := w.Program()
	p.Client.Jar = nil
	return p.Do(r)
}

func TestTwoSessionsInOneRequest(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	one, two := land(t, w, testworld.Provider), land(t, w, testworld.Merchant)
	w.Clock.Turn(time.Second)
	again := land(t, w, with("2088000000000009"))
	if a := twoCookies(t, w, http.MethodGet, "/session", one, two); a.Problem() != "ambiguous_session" || a.StatusCode != http.StatusUnauthorized {
		t.Errorf("two operators: got %d %q, want 401 ambiguous_session", a.StatusCode, a.Problem())
	}
	if a := twoCookies(t, w, http.MethodGet, "/session", one, again); !strings.Contains(a.Body, `"partner_id":"2088000000000009"`) {
		t.Errorf("one operator twice: got %s, want the one that landed last", a.Body)
	}
	if a := twoCookies(t, w, http.MethodPost, "/logout", one, two); a.StatusCode != http.StatusNoContent {
		t.Errorf("sign-out: got %d, want 204", a.StatusCode)
	}
	for _, b := range []*testworld.Browser{one, two} {
		if a, _ := b.Session(w.Service, ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("after the sign-out: got %d, want 401 for both", a.StatusCode)
		}
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Provider)
	a := b.Post(w.Public+"/logout", nil)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/signed-out" {
		t.Errorf("got %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	for _, c := range a.Cookies() {
		if strings.HasPrefix(c.Name, arrivalPrefix) {
			t.Error("the arrival was touched")
		}
	}
	if b.Cookie(w.Public, "koubei_session") != "" {
		t.Error("the cookie is still there")
	}
	if n := w.Redis.Client.Keys(t.Context(), "*:operator:*").Val(); len(n) != 0 {
		t.Errorf("got %v, want the index empty", n)
	}
	if a := b.Post(w.Public+"/logout", nil); a.StatusCode != http.StatusSeeOther {
		t.Errorf("without a session: got %d, want 303", a.StatusCode)
	}
}

func TestCrossSiteSignOutIsRefused(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.CORSOrigins = []string{"https://shop.example"} })
	b := land(t, w, testworld.Provider)
	for _, tt := range []struct {
		name, site, origin string
		status             int
	}{
		{"cross-site", "cross-site", "https://evil.example", 403},
		{"same-site", "same-site", "https://evil.example", 403},
		{"an old web view, foreign", "", "https://evil.example", 403},
		{"an old web view, opaque", "", "null", 403},
		{"an allowed origin", "cross-site", "https://shop.example", 303},
		{"an old web view, own page", "", w.Public, 303},
	} {
		for _, path := range []string{"/logout", "/forget"} {
			r, _ := http.NewRequest(http.MethodPost, w.Public+path, nil)
			r.Header.Set("Origin", tt.origin)
			if tt.site != "" {
				r.Header.Set("Sec-Fetch-Site", tt.site)
			}
			if a := b.Do(r); a.StatusCode != tt.status || tt.status == http.StatusForbidden && len(a.Cookies()) > 0 {
				t.Errorf("%s: %s: got %d, want %d", tt.name, path, a.StatusCode, tt.status)
			}
		}
	}
}

func TestSessionsEndByTheClock(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*app.Config)
		steps  []time.Duration
		want   []int
	}{
		{"idle", func(*app.Config) {}, []time.Duration{time.Hour, time.Hour + 50*time.Minute, 2 * time.Hour}, []int{200, 200, 401}},
		{"lifetime", func(c *app.Config) { c.Session.Idle = 0 }, []time.Duration{11*time.Hour + 59*time.Minute, 2 * time.Minute}, []int{200, 401}},
		{"lifetime though read", func(*app.Config) {}, []time.Duration{100 * time.Minute, 100 * time.Minute, 100 * time.Minute, 100 * time.Minute, 100 * time.Minute, 100 * time.Minute, 100 * time.Minute, 30 * time.Minute}, []int{200, 200, 200, 200, 200, 200, 200, 401}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := testworld.New(t, tt.change)
			b := land(t, w, testworld.Provider)
			for i, step := range tt.steps {
				w.Clock.Turn(step)
				if a, _ := b.Session(w.Service, ""); a.StatusCode != tt.want[i] {
					t.Fatalf("step %d: got %d, want %d", i, a.StatusCode, tt.want[i])
				}
			}
		})
	}
}

func TestAnEntryEndsBeforeItsSession(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Session.Idle = 0 })
	b := land(t, w, with("2088000000000001"))
	w.Clock.Turn(11 * time.Hour)
	if a := b.Land(w.Landing(w.Koubei.Issue(with("2088000000000002")))); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d", a.StatusCode)
	}
	w.Clock.Turn(2 * time.Hour)
	if a, id := b.Session(w.Service, ""); a.StatusCode != http.StatusOK || len(id.Partners) != 1 {
		t.Errorf("got %d %v, want the newer entry alone", a.StatusCode, partnerIDs(id))
	}
	if a, _ := b.Session(w.Service, "?partner_id=2088000000000001"); a.StatusCode != http.StatusForbidden {
		t.Errorf("the older entry: got %d, want 403", a.StatusCode)
	}
}

// plainPages are the pages that look the same for everybody. The tests that visit every route visit them too.
var plainPages = []string{"/signin", "/signed-out"}

func TestPages(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.EntryURL = "https://koubei.example/app" })
	signedIn := land(t, w, testworld.Provider)
	type page struct {
		path   string
		b      *testworld.Browser
		status int
		want   string
	}
	pages := []page{
		{"/", signedIn, 200, testworld.Provider.OperatorID},
		{"/", w.Browser(), 200, "https://koubei.example/app"},
		{"/nothing", w.Browser(), 404, "https://koubei.example/app"},
		{"/static/nothing.css", w.Browser(), 404, ""},
	}
	for _, path := range plainPages {
		pages = append(pages, page{path, w.Browser(), 200, "https://koubei.example/app"})
	}
	for _, tt := range pages {
		for lang, word := range map[string]string{"zh-CN,zh": `lang="zh-CN"`, "en-GB": `lang="en"`} {
			tt.b.Header.Set("Accept-Language", lang)
			a := tt.b.Get(w.Public + tt.path)
			if a.StatusCode != tt.status || !strings.Contains(a.Body, tt.want) || !strings.Contains(a.Body, word) {
				t.Errorf("%s in %s: got %d without %q or %q", tt.path, lang, a.StatusCode, tt.want, word)
			}
			csp := a.Header.Get("Content-Security-Policy")
			if strings.Contains(csp, "unsafe-inline") || !strings.Contains(csp, "frame-ancestors 'none'") || a.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: got headers %v", tt.path, a.Header)
			}
			wantReferrer := "no-referrer"
			if strings.Contains(a.Body, "<form") {
				wantReferrer = "strict-origin"
			}
			if got := a.Header.Get("Referrer-Policy"); got != wantReferrer {
				t.Errorf("%s: got Referrer-Policy %q, want %q", tt.path, got, wantReferrer)
			}
		}
	}
}

// TestTheIdentityPageListsEveryPartner, the newest first, and the landing without a partner at the end.
func TestTheIdentityPageListsEveryPartner(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, with("2088000000000001"), with(""), with("2088000000000002"))
	var got []string
	for _, m := range regexp.MustCompile(`data-partner="(\d*)"`).FindAllStringSubmatch(b.Get(w.Public+"/").Body, -1) {
		got = append(got, m[1])
	}
	if want := []string{"2088000000000002", "2088000000000001", ""}; !slices.Equal(got, want) {
		t.Errorf("got the partners %q, want %q", got, want)
	}
}

func TestHeadAnswersLikeGet(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Provider)
	for _, path := range append([]string{"/", "/session", "/nothing"}, plainPages...) {
		get := b.Get(w.Public + path)
		r, _ := http.NewRequest(http.MethodHead, w.Public+path, nil)
		if head := b.Do(r); head.StatusCode != get.StatusCode || head.Body != "" {
			t.Errorf("%s: got %d, want %d", path, head.StatusCode, get.StatusCode)
		}
	}
}

func TestAnotherMethodIsToldWhichAreAllowed(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Program()
	for path, want := range map[string]string{
		"/session": "GET, HEAD", "/logout": "POST", "/forget": "POST", "/koubei/callback": "GET, HEAD", "/koubei/callback/switch": "POST",
		"/nothing": "",
	} {
		r, _ := http.NewRequest(http.MethodPut, w.Public+path, nil)
		if got := strings.Join(b.Do(r).Header.Values("Allow"), ", "); got != want {
			t.Errorf("%s: got Allow %q, want %q", path, got, want)
		}
	}
}

func TestRequestSizeLimits(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Program()
	if a := b.Get(w.Public + "/session?x=" + strings.Repeat("x", 8192-len("/session?x="))); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the longest address: got %d", a.StatusCode)
	}
	if a := b.Get(w.Public + "/session?x=" + strings.Repeat("x", 8193-len("/session?x="))); a.Problem() != "uri_too_long" || a.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("address: got %d %q", a.StatusCode, a.Problem())
	}
	r, _ := http.NewRequest(http.MethodGet, w.Public+"/session", nil)
	for _, name := range []string{"X-A", "X-B", "X-C", "X-D"} {
		r.Header.Set(name, strings.Repeat("x", 9000))
	}
	if a := b.Do(r); a.Problem() != "headers_too_large" || a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers: got %d %q", a.StatusCode, a.Problem())
	}
	if a := b.Post(w.Public+w.Config.Web.CallbackPath+"/switch", map[string][]string{"x": {strings.Repeat("x", 20000)}}); a.Problem() != "too_large" || a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("form: got %d %q", a.StatusCode, a.Problem())
	}
}

// partnerIDs returns the ids of the partners in their order.
func partnerIDs(id testworld.Identity) []string {
	var ids []string
	for _, p := range id.Partners {
		ids = append(ids, p.PartnerID)
	}
	return ids
}
