package koubeisim_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"koubei-landing/koubeisim"
)

const landing = "http://isv.example/koubei/callback?isApp=true&x=a%2Fb"

// visit sends a request to the portal, with these headers.
func (w *world) visit(method, path string, header ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequest(method, w.server.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	res, err := w.http.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, string(body)
}

var personLink = regexp.MustCompile(`<a data-person="([^"]+)" data-operator-id="([^"]+)" data-operator-type="([^"]+)" data-partner-id="([^"]*)" data-shop-ids="([^"]*)" href="([^"]+)"`)

// Every person's link leads to the ISV with a code for that person.
func TestPortalLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	_, page := w.visit("GET", "/")
	links := personLink.FindAllStringSubmatch(page, -1)
	if len(links) != 18 {
		t.Fatalf("%d people, want 6 types of 3", len(links))
	}
	for _, l := range links {
		res, _ := w.visit("GET", html.UnescapeString(l[6]))
		query := checkRedirect(t, res)
		want := koubeisim.Person{OperatorID: l[2], OperatorType: l[3], PartnerID: l[4], ShopIDs: l[5]}
		if named, ok := koubeisim.PersonNamed(l[1]); !ok || named != want {
			t.Errorf("%s: got %+v, want %+v", l[1], named, want)
		}
		a := w.send(w.query(query.Get("auth_code")))
		if a.text("operator_id") != l[2] || a.text("operator_type") != l[3] || a.text("operator_partner_id") != l[4] || a.text("shop_ids") != l[5] {
			t.Errorf("%s: got %s", l[1], a.body)
		}
	}
}

func checkRedirect(t *testing.T, res *http.Response) url.Values {
	t.Helper()
	location := res.Header.Get("Location")
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, landing+"&") {
		t.Fatalf("got %d to %q", res.StatusCode, location)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestSpellings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	appID := w.koubei.AppID()
	for path, want := range map[string]string{
		"/enter?as=mer":                     "&app_id=" + appID + "&scope=auth_base&source=koubei&auth_type=pay_member&auth_code=CODE",
		"/enter?as=mer&spelling=observed":   "&app_id=" + appID + "&scope=auth_base&source=koubei&auth_type=pay_member&auth_code=CODE",
		"/enter?as=mer&spelling=documented": "&code=CODE",
	} {
		res, _ := w.visit("GET", path)
		got := regexp.MustCompile(`code=\w{32}$`).ReplaceAllString(res.Header.Get("Location"), "code=CODE")
		if got != landing+want {
			t.Errorf("%s: got %s, want %s", path, got, landing+want)
		}
	}
}

func TestEnterQueuesFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	w.visit("GET", "/enter?as=mer&fault=busy,slow:2s&fault=drop")
	w.visit("GET", "/enter?as=mer&fault=html&times=2")
	want := []koubeisim.Fault{"busy", "slow:2s", "drop", "html", "html"}
	if got := w.koubei.Queued(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, page := w.visit("GET", "/?lang=en")
	if !strings.Contains(page, `<code>slow:2s</code>`) {
		t.Error("the page does not show the queue")
	}
	if res, _ := w.visit("POST", "/faults/clear?lang=en"); res.Header.Get("Location") != "/?lang=en" || len(w.koubei.Queued()) != 0 {
		t.Errorf("got %d to %s, %v", res.StatusCode, res.Header.Get("Location"), w.koubei.Queued())
	}
}

func TestEnterWithCodeState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	for state, want := range map[string]string{
		"expired": "AUTH_CODE_EXPIRES", "used": "AUTH_CODE_NOT_EXIST", "unknown": "AUTH_CODE_NOT_EXIST", "foreign": "ACCESS_NOT_ALLOWED",
	} {
		res, _ := w.visit("GET", "/enter?as=mer&code="+state)
		if a := w.send(w.query(checkRedirect(t, res).Get("auth_code"))); a.text("sub_code") != want {
			t.Errorf("%s: got %s", state, a.body)
		}
	}
}

func TestEnterRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	for _, path := range []string{
		"/enter", "/enter?as=nobody", "/enter?as=mer&fault=bsuy", "/enter?as=mer&spelling=x", "/enter?as=mer&code=x",
		"/enter?as=mer&times=0", "/enter?as=mer&times=101", "/enter?as=mer&fault=busy,nonsense", "/frame?as=nobody", "/?fault=nonsense",
	} {
		if res, _ := w.visit("GET", path); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", path, res.StatusCode)
		}
	}
	if res, _ := w.visit("HEAD", "/enter?as=mer&fault=busy"); res.StatusCode != http.StatusNoContent {
		t.Errorf("HEAD: got %d", res.StatusCode)
	}
	if got := w.koubei.Queued(); len(got) != 0 {
		t.Errorf("queued %v", got)
	}
}

func TestLandingURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"/callback", "ftp://isv.example/", "http://", "https://isv.example/#x", "http://[::1"} {
		if _, err := koubeisim.New(koubeisim.Options{LandingURL: address}); err == nil {
			t.Errorf("%q is accepted", address)
		}
	}
	w := newWorld(t, koubeisim.Options{})
	if res, body := w.visit("GET", "/enter?as=mer"); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "--landing-url") {
		t.Errorf("no landing URL: got %d %s", res.StatusCode, body)
	}
	if _, page := w.visit("GET", "/"); !strings.Contains(page, `id="no-landing"`) {
		t.Error("the page does not say that no landing URL is registered")
	}
	if err := w.koubei.SetLandingURL(landing); err != nil {
		t.Fatal(err)
	}
	if got := w.koubei.LandingURL("c&d", koubeisim.Documented); got != landing+"&code=c%26d" {
		t.Errorf("got %s", got)
	}
}

func TestPortalLanguages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	for _, row := range []struct{ path, accept, want string }{
		{"/", "", "口碑模拟门户 · 仅供测试"},
		{"/", "zh-CN,en;q=0.8", "口碑模拟门户 · 仅供测试"},
		{"/", "fr", "口碑模拟门户 · 仅供测试"},
		{"/", "en;q=0.4,zh;q=0.9", "口碑模拟门户 · 仅供测试"},
		{"/", "fr,en-GB;q=0.8,zh;q=0.1", "Koubei simulator · for tests only"},
		{"/?lang=en", "zh", "Koubei simulator · for tests only"},
		{"/?lang=zh", "en", "口碑模拟门户 · 仅供测试"},
	} {
		res, page := w.visit("GET", row.path, "Accept-Language", row.accept)
		if res.StatusCode != 200 || !strings.Contains(page, "<title>"+row.want) {
			t.Errorf("%s with %q: want %s", row.path, row.accept, row.want)
		}
	}
}

// Pages have nothing inline, load nothing from other hosts, and have all texts.
func TestPortalPagesAreSelfContained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	w.send(w.query(w.koubei.Issue(merchant)))
	w.koubei.Next(koubeisim.Busy)
	for _, path := range []string{"/?fault=busy&times=3", "/?code=used&lang=en", "/frame?as=mer"} {
		res, page := w.visit("GET", path)
		if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		for _, bad := range []string{"<script", "<style", " style=", " onclick=", "ZgotmplZ", "<no value>"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: has %s", path, bad)
			}
		}
		if !strings.Contains(page, `id="simulator"`) {
			t.Errorf("%s: not labelled as a simulator", path)
		}
	}
	if res, css := w.visit("GET", "/portal.css"); !strings.HasPrefix(res.Header.Get("Content-Type"), "text/css") || strings.Contains(css, "url(") {
		t.Errorf("style: %s", res.Header.Get("Content-Type"))
	}
}

// Every option on the page is a link to the page with that option chosen.
func TestPortalChoices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	_, page := w.visit("GET", "/?lang=en&fault=drop")
	links := regexp.MustCompile(`<a data-(fault|code|spelling|show|times)="([^"]+)" href="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if want := len(koubeisim.Faults()) + 4 + 2 + 2 + 3; len(links) != want {
		t.Errorf("%d choices, want %d", len(links), want)
	}
	for _, l := range links {
		_, chosen := w.visit("GET", html.UnescapeString(l[3]))
		if !regexp.MustCompile(`<a data-` + l[1] + `="` + l[2] + `" href="[^"]+" aria-current="true"`).MatchString(chosen) {
			t.Errorf("%s %s is not chosen on its page", l[1], l[2])
		}
	}
}

func TestFrame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	_, page := w.visit("GET", "/?show=frame")
	if !strings.Contains(page, `href="/frame?as=provider"`) {
		t.Error("the people's links do not lead into the frame")
	}
	_, page = w.visit("GET", "/frame?as=provider")
	src := regexp.MustCompile(`<iframe id="isv" src="([^"]+)"`).FindStringSubmatch(page)
	if src == nil || !strings.HasPrefix(html.UnescapeString(src[1]), landing+"&app_id=") {
		t.Errorf("got %s", page)
	}
}

// Other sites must not issue codes through the user's browser.
func TestGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing, Hosts: []string{"koubeisim"}})
	for _, row := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"a program", "GET", "/api/app", nil, 200},
		{"localhost", "GET", "/api/app", []string{"Host", "localhost:8900"}, 200},
		{"an address", "GET", "/api/app", []string{"Host", "[::1]:8900"}, 200},
		{"an allowed name", "GET", "/api/app", []string{"Host", "koubeisim:8900"}, 200},
		{"a foreign name", "GET", "/api/app", []string{"Host", "evil.example"}, 421},
		{"a foreign name that looks local", "GET", "/", []string{"Host", "localhost.evil.example"}, 421},
		{"a foreign name to enter", "GET", "/enter?as=mer", []string{"Host", "evil.example:8900"}, 421},
		{"a link on the portal", "GET", "/enter?as=mer", []string{"Sec-Fetch-Site", "same-origin"}, 303},
		{"typed in", "GET", "/enter?as=mer", []string{"Sec-Fetch-Site", "none"}, 303},
		{"a link of the ISV", "GET", "/enter?as=mer", []string{"Sec-Fetch-Site", "same-site"}, 303},
		{"a link of a foreign page", "GET", "/enter?as=mer", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"to the front page", "GET", "/", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"a foreign form", "POST", "/api/release", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a form of another port", "POST", "/api/release", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"an old browser's foreign form", "POST", "/api/release", []string{"Origin", "http://evil.example"}, 403},
		{"its own form", "POST", "/faults/clear", []string{"Sec-Fetch-Site", "same-origin"}, 303},
	} {
		if res, body := w.visit(row.method, row.path, row.header...); res.StatusCode != row.want {
			t.Errorf("%s: got %d, want %d: %s", row.name, res.StatusCode, row.want, body)
		}
	}
	w.koubei.Next(koubeisim.Busy)
	c := w.query("x")
	c.header.Set("Sec-Fetch-Site", "cross-site")
	if a := w.send(c); a.text("code") != "20000" {
		t.Errorf("the gateway must not be guarded: got %d", a.status)
	}
}
