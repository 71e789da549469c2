package handler_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// The Content-Security-Policy before frame-ancestors.
const policyBeforeAncestors = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "

const (
	notFramed      = policyBeforeAncestors + "'none'"
	framedAnywhere = policyBeforeAncestors + "*"
)

// wanted are the headers that a response must have.
type wanted struct {
	policy   string
	referrer string
	hsts     []string // all values: there must not be a second one
	ids      map[string]bool
}

func (want wanted) check(t *testing.T, name string, a testworld.Answer) {
	t.Helper()
	for header, values := range map[string][]string{
		"Content-Security-Policy":   {want.policy},
		"X-Content-Type-Options":    {"nosniff"},
		"Referrer-Policy":           {want.referrer},
		"Strict-Transport-Security": want.hsts,
	} {
		if got := a.Header.Values(header); !slices.Equal(got, values) {
			t.Errorf("%s: %d: %s: got %q, want %q", name, a.StatusCode, header, got, values)
		}
	}
	id := a.Header.Get("X-Request-Id")
	if !regexp.MustCompile(`^[a-z2-7]{20}$`).MatchString(id) || want.ids[id] {
		t.Errorf("%s: %d: X-Request-Id: got %q, want a fresh one", name, a.StatusCode, id)
	}
	want.ids[id] = true
}

// visit is one request, and the headers that its response must have in addition.
type visit struct {
	method string
	path   string // with its query
	b      *testworld.Browser
	header http.Header
	status int
	form   bool   // the answer is a page with a form
	policy string // if it is not notFramed
}

// route returns the visit's route in the form of publicRoutes.
func (v visit) route() string {
	path, _, _ := strings.Cut(v.path, "?")
	if strings.HasPrefix(path, "/static/") {
		path = "/static/{file}"
	}
	return "public " + v.method + " " + path
}

// All routes and kinds of responses. A middleware that refuses a request must send the headers too.
func TestEveryResponseHasItsHeaders(t *testing.T) {
	t.Parallel()
	for scheme, hsts := range map[string][]string{"http": nil, "https": {"max-age=31536000"}} {
		t.Run(scheme, func(t *testing.T) {
			w := testworld.New(t, func(c *app.Config) {
				public := *c.Web.PublicURL
				public.Scheme = scheme
				c.Web.PublicURL, c.Web.CallbackPath = &public, "/arrive"
				c.Web.AdminToken = adminToken
			})
			want := wanted{hsts: hsts, ids: map[string]bool{}}
			visited := map[string]bool{}
			walk := func(visits []visit) {
				t.Helper()
				for _, v := range visits {
					visited[v.route()] = true
					v.check(t, w, want)
				}
			}
			walk(whileAllIsWell(t, w))
			w.Redis.Kill()
			walk(withoutRedis(w))
			for _, route := range publicRoutes(t, w.Config.Web.PublicURL, "") {
				if !visited[route] {
					t.Errorf("%s was not looked at; a new route needs a visit here, a new page for everybody belongs to plainPages", route)
				}
			}
		})
	}
}

func (v visit) check(t *testing.T, w *testworld.World, want wanted) {
	t.Helper()
	r, err := http.NewRequest(v.method, w.Public+v.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range v.header {
		r.Header[name] = values
	}
	a := v.b.Do(r)
	name := fmt.Sprintf("%s %.60s", v.method, v.path)
	if a.StatusCode != v.status {
		t.Errorf("%s: got %d, want %d", name, a.StatusCode, v.status)
	}
	want.policy, want.referrer = notFramed, "no-referrer"
	if v.policy != "" {
		want.policy = v.policy
	}
	if v.form {
		want.referrer = "strict-origin"
	}
	if v.method != http.MethodHead && strings.Contains(a.Body, "<form") != v.form {
		t.Errorf("%s: got a form: %v, want %v", name, !v.form, v.form)
	}
	want.check(t, name, a)
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if language := a.Header.Get("Content-Language"); kind == "text/html" || kind == "application/problem+json" {
		if language == "" || !slices.Contains(a.Header.Values("Vary"), "Accept, Accept-Language") {
			t.Errorf("%s: got Content-Language %q and Vary %q", name, language, a.Header.Values("Vary"))
		}
	}
}

func whileAllIsWell(t *testing.T, w *testworld.World) []visit {
	t.Helper()
	signedIn, program, nobody := land(t, w, testworld.Merchant), w.Program(), w.Browser()
	path := func(link string) string { return strings.TrimPrefix(link, w.Public) }
	landing := func() string { return path(w.Landing(w.Koubei.Issue(testworld.Merchant))) }
	question := path(w.Landing(w.Koubei.Issue(testworld.Sales)))
	justNow := "/arrive?code=x&arrived=" + strconv.FormatInt(w.Clock.Now().Unix(), 10)
	foreign := http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	two := http.Header{"Cookie": {"koubei_session=" + land(t, w, testworld.Sales).Cookie(w.Public, "koubei_session")}}
	long := strings.Repeat("x", 9000)
	visits := []visit{
		{method: "GET", path: landing(), b: w.Browser(), status: 303}, // the hop
		{method: "GET", path: landing(), b: signedIn, status: 303},
		{method: "GET", path: question, b: signedIn, status: 200, form: true},
		{method: "HEAD", path: landing(), b: signedIn, status: 204},
		{method: "GET", path: landing(), b: signedIn, header: http.Header{"Sec-Purpose": {"prefetch"}}, status: 503},
		{method: "GET", path: justNow, b: nobody, status: 403, policy: framedAnywhere},
		{method: "GET", path: landing(), b: signedIn, header: http.Header{"Sec-Fetch-Dest": {"iframe"}}, status: 403, policy: framedAnywhere},
		{method: "GET", path: "/", b: signedIn, header: two, status: 401, form: true},
		{method: "POST", path: "/logout", b: program, status: 204},
		{method: "POST", path: "/logout", b: w.Browser(), status: 303},
		{method: "POST", path: "/forget", b: program, status: 204},
		{method: "POST", path: "/forget", b: w.Browser(), status: 303},
		{method: "GET", path: "/session", b: signedIn, status: 200},
		{method: "HEAD", path: "/session", b: signedIn, status: 200},
		{method: "HEAD", path: "/session", b: nobody, status: 401},
		{method: "GET", path: "/session", b: nobody, status: 401},
		{method: "GET", path: "/", b: signedIn, status: 200, form: true},
		{method: "HEAD", path: "/", b: signedIn, status: 200, form: true},
		{method: "GET", path: "/metrics", b: program, status: 404}, // a route of the other listener
		{method: "GET", path: "/admin/operators/1/sessions", b: program, status: 404},
	}
	for _, path := range slices.Concat(plainPages, []string{"/.well-known/jwks.json", asset(t, w)}) {
		visits = append(visits, visit{method: "GET", path: path, b: nobody, status: 200}, visit{method: "HEAD", path: path, b: nobody, status: 200})
	}
	for _, b := range []*testworld.Browser{nobody, program} { // as a page, and as problem+json
		visits = append(visits,
			visit{method: "GET", path: "/arrive", b: b, status: 400},
			visit{method: "PUT", path: "/arrive", b: b, status: 405},
			visit{method: "BREW", path: "/arrive", b: b, status: 405},
			visit{method: "POST", path: "/arrive/switch", b: b, status: 400},
			visit{method: "POST", path: "/arrive/switch", b: b, header: foreign, status: 403},
			visit{method: "POST", path: "/logout", b: b, header: foreign, status: 403},
			visit{method: "GET", path: "/logout", b: b, status: 405},
			visit{method: "POST", path: "/forget", b: b, header: foreign, status: 403},
			visit{method: "GET", path: "/forget", b: b, status: 405},
			visit{method: "POST", path: "/session", b: b, status: 405},
			visit{method: "GET", path: "/nothing", b: b, status: 404},
			visit{method: "GET", path: "/static/none.css", b: b, status: 404},
			visit{method: "GET", path: "/session?x=" + long, b: b, status: 414},
			visit{method: "GET", path: "/?x=" + long, b: b, status: 414},
			visit{method: "GET", path: "/signin", b: b, header: http.Header{"X-A": {long, long, long, long}}, status: 431},
		)
	}
	return visits
}

func withoutRedis(w *testworld.World) []visit {
	var visits []visit
	for _, b := range []*testworld.Browser{w.Browser(), w.Program()} {
		b.Header.Set("Cookie", "koubei_session="+strings.Repeat("A", 43)+"; koubei_session_arrival_aaaaaaaa=1."+strings.Repeat("A", 22))
		for _, route := range []string{"GET /arrive?code=x", "POST /logout", "GET /session", "HEAD /session", "GET /", "HEAD /"} {
			method, path, _ := strings.Cut(route, " ")
			visits = append(visits, visit{method: method, path: path, b: b, status: 503})
		}
	}
	return visits
}

// asset returns the path of a static file as used in pages.
func asset(t *testing.T, w *testworld.World) string {
	t.Helper()
	path := regexp.MustCompile(`/static/[^"]+`).FindString(w.Browser().Get(w.Public + "/").Body)
	if path == "" {
		t.Fatal("the page names no static file")
	}
	return path
}

func TestPolicyFollowsTheSettings(t *testing.T) {
	t.Parallel()
	const koubei, shop = "https://e.koubei.example", "https://shop.example"
	w := testworld.New(t, func(c *app.Config) {
		c.Web.FrameAncestors = []string{koubei, shop}
		c.Web.ReturnToOrigins = []string{shop}
	})
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self' " + shop + "; frame-ancestors "
	want := wanted{policy: policy + koubei + " " + shop, referrer: "no-referrer", ids: map[string]bool{}}
	for _, path := range []string{"/", "/session", "/nothing", w.Config.Web.CallbackPath} {
		want.check(t, path, w.Browser().Get(w.Public+path))
	}
	want.policy = policy + "*"
	want.check(t, "blocked", w.Browser().Get(w.Public+w.Config.Web.CallbackPath+"?code=x&arrived="+strconv.FormatInt(w.Clock.Now().Unix(), 10)))
}

// A sign-out clears the browser's cache, so that the back button does not show the pages to the next person. If the
// sign-out fails because Redis is unavailable, the cache stays.
func TestASignOutClearsTheCache(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	logout := w.Public + "/logout"
	check := func(name string, a testworld.Answer, status int, want ...string) {
		t.Helper()
		if got := a.Header.Values("Clear-Site-Data"); a.StatusCode != status || !slices.Equal(got, want) {
			t.Errorf("%s: got %d and Clear-Site-Data %q, want %d and %q", name, a.StatusCode, got, status, want)
		}
	}
	b := land(t, w, testworld.Provider)
	check("a page", b.Get(w.Public+"/"), http.StatusOK)
	check("a form", b.Post(logout, nil), http.StatusSeeOther, `"cache"`)
	check("the page it leads to", b.Get(w.Public+"/signed-out"), http.StatusOK)
	check("without a session", b.Post(logout, nil), http.StatusSeeOther, `"cache"`)

	b = land(t, w, testworld.Provider)
	page := b.Header.Get("Accept")
	b.Header.Set("Accept", "application/json")
	check("a script", b.Post(logout, nil), http.StatusNoContent, `"cache"`)
	check("without a session", b.Post(logout, nil), http.StatusNoContent, `"cache"`)

	b.Header.Set("Accept", page)
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	r, _ := http.NewRequest(http.MethodPost, logout, nil)
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	check("from a foreign page", b.Do(r), http.StatusForbidden)

	if err := w.Redis.Client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.Redis.Kill()
	for _, accept := range []string{page, "application/json"} {
		b.Header.Set("Accept", accept)
		a := b.Post(logout, nil)
		check("without Redis", a, http.StatusServiceUnavailable)
		if len(a.Cookies()) != 0 || a.Header.Get("Retry-After") == "" {
			t.Errorf("without Redis: got the cookies %v and Retry-After %q, want all kept, to try again with", a.Cookies(), a.Header.Get("Retry-After"))
		}
	}
	restart(t, w)
	wantSignedIn(t, w, b, testworld.Provider.OperatorID)
	b.Header.Set("Accept", page)
	check("afterwards", b.Post(logout, nil), http.StatusSeeOther, `"cache"`)
	wantSignedIn(t, w, b, "")
}
