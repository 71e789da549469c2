package web_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/web"
)

var languages = []web.Lang{web.Chinese, web.English}

const evil = `<script>alert(1)</script>" onmouseover="alert(2)' style='x`

func pages(t *testing.T, base string) *web.Pages {
	t.Helper()
	p, err := web.New(base)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func render(t *testing.T, p *web.Pages, lang web.Lang, page string, data any) string {
	t.Helper()
	var buf bytes.Buffer
	if err := p.Render(&buf, lang, page, data); err != nil {
		t.Fatalf("%s in %s: %v", page, lang.Tag(), err)
	}
	return buf.String()
}

// codes returns the error codes that have texts.
func codes(t *testing.T) []string {
	t.Helper()
	var all []string
	for key := range readTexts(t, "zh") {
		if part := strings.Split(key, "."); len(part) == 3 && part[0] == "error" {
			all = append(all, part[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// templates returns the names of the pages.
func templates(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("templates/*.html")
	if err != nil || len(files) < 5 {
		t.Fatalf("got the templates %v, %v", files, err)
	}
	var names []string
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".html"); name != "base" {
			names = append(names, name)
		}
	}
	return names
}

// samples returns data for every page with this text in every field. Links lead to link.
func samples(t *testing.T, what, link string) map[string][]any {
	common := web.Common{RequestID: what, EntryURL: link}
	since := time.Date(2026, 11, 22, 7, 4, 5, 0, time.UTC)
	partner := web.Partner{ID: what, Type: what, HomeURL: link, Since: since, Until: since.Add(12 * time.Hour), Current: true}
	nobody := partner
	nobody.ID, nobody.Current = "", false
	party := web.Party{OperatorID: what, OperatorType: what, PartnerID: what}
	all := map[string][]any{
		web.PageIdentity: {
			web.IdentityPage{Common: common, SignedIn: true, AppID: what, OperatorID: what, OperatorType: what,
				Partners: []web.Partner{partner}, NoPartner: &nobody, LogoutURL: link, ForgetURL: link},
			web.IdentityPage{Common: common, SignedIn: true, AppID: what, OperatorID: what, LogoutURL: link},
			web.IdentityPage{Common: common, ForgetURL: link},
			web.IdentityPage{},
		},
		web.PageSignIn:    {web.SignInPage{Common: common}, web.SignInPage{}},
		web.PageSignedOut: {web.SignedOutPage{Common: common}, web.SignedOutPage{}},
		web.PageSwitch: {
			web.SwitchPage{Common: common, Action: link, Fields: []web.Field{{Name: what, Value: what}}, Current: party, Arriving: party},
			web.SwitchPage{Common: common, Action: link, Fields: []web.Field{{Name: what, Value: what}}, LastKnown: "x" + what, Arriving: party},
			web.SwitchPage{},
		},
		web.PageError: {
			web.ErrorPage{Common: common, Status: 503, Code: what, Enter: true, Retry: &web.Retry{URL: link, After: 2}},
			web.ErrorPage{Common: common, Status: 403, Code: what, Enter: true, OpenURL: link},
			web.ErrorPage{Common: common, Status: 503, Code: what, Enter: true, BackURL: link},
			web.ErrorPage{Common: common, Status: 401, Code: what, Enter: true, LogoutURL: link},
			web.ErrorPage{Common: common, Status: 400, Code: what, Enter: true},
			web.ErrorPage{},
		},
	}
	for _, code := range codes(t) {
		all[web.PageError] = append(all[web.PageError], web.ErrorPage{Common: common, Status: 400, Code: code, Enter: code != "cross_origin"})
	}
	return all
}

// TestSamplesFillEveryField: otherwise nothing tests a new field with hostile text.
func TestSamplesFillEveryField(t *testing.T) {
	filled := map[string]bool{}
	for _, data := range samples(t, "text", "/link") {
		for _, d := range data {
			fill(filled, reflect.ValueOf(d))
		}
	}
	for field, ok := range filled {
		if !ok {
			t.Errorf("%s is empty in every one of the samples", field)
		}
	}
}

// fill reports which fields have a value, by type, also in what they contain.
func fill(filled map[string]bool, value reflect.Value) {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			fill(filled, value.Elem())
		}
	case reflect.Slice:
		for _, item := range value.Seq2() {
			fill(filled, item)
		}
	case reflect.Struct:
		if _, ok := value.Interface().(time.Time); ok {
			return
		}
		for field, part := range value.Fields() {
			name := value.Type().String() + "." + field.Name
			filled[name] = filled[name] || !part.IsZero()
			fill(filled, part)
		}
	}
}

// everyPage visits every sample in every language.
func everyPage(t *testing.T, p *web.Pages, what, link string, visit func(t *testing.T, lang web.Lang, html string)) {
	t.Helper()
	all := samples(t, what, link)
	for _, page := range templates(t) {
		if len(all[page]) == 0 {
			t.Errorf("samples has no data of the page %s", page)
		}
	}
	for page, data := range all {
		for _, d := range data {
			for _, lang := range languages {
				visit(t, lang, render(t, p, lang, page, d))
			}
		}
	}
}

var (
	tag        = regexp.MustCompile(`<[a-zA-Z][^>]*>`)
	inline     = regexp.MustCompile(`(?i)\s(on\w+|style|srcdoc)\s*=`)
	quoted     = regexp.MustCompile(`"[^"]*"`)
	scriptBody = regexp.MustCompile(`(?s)<script[^>]*>[^<]`)
)

// Nothing on a page may need unsafe-inline or another host, whatever the data.
func TestPagesStandAlone(t *testing.T) {
	p := pages(t, "/koubei")
	for _, what := range []string{"2088102150477652", strings.Repeat("9", 4000), evil, "{{.}}", "%s%d", "", "商户\x00\u202e"} {
		everyPage(t, p, what, "/somewhere", func(t *testing.T, lang web.Lang, html string) {
			t.Helper()
			for _, part := range tag.FindAllString(html, -1) {
				if bare := quoted.ReplaceAllString(part, `""`); inline.MatchString(bare) {
					t.Errorf("inline attribute in %s", part)
				}
			}
			for _, banned := range []string{"<style", "<script>", "http://", "https://", "javascript:", `"//`, "%!", "ZgotmplZ", "<no value>"} {
				if strings.Contains(html, banned) {
					t.Errorf("got %q on a page:\n%s", banned, html)
				}
			}
			if scriptBody.MatchString(html) {
				t.Errorf("script with a body:\n%s", html)
			}
			for _, wanted := range []string{`<html lang="` + lang.Tag() + `">`, `name="viewport"`, `name="color-scheme"`, `content="noindex"`, "<main", "<h1", "</html>"} {
				if !strings.Contains(html, wanted) {
					t.Errorf("%q is missing:\n%s", wanted, html)
				}
			}
			if n := strings.Count(html, "<h1"); n != 1 {
				t.Errorf("got %d h1, want 1", n)
			}
		})
	}
}

func TestPagesHaveUniqueIDsAndTitles(t *testing.T) {
	p := pages(t, "")
	id, title := regexp.MustCompile(` id="([^"]+)"`), regexp.MustCompile(`<title>(.+)</title>`)
	titles := map[string]bool{}
	everyPage(t, p, "x", "/somewhere", func(t *testing.T, _ web.Lang, html string) {
		t.Helper()
		seen := map[string]bool{}
		for _, m := range id.FindAllStringSubmatch(html, -1) {
			if seen[m[1]] {
				t.Errorf("id %q twice", m[1])
			}
			seen[m[1]] = true
		}
		m := title.FindStringSubmatch(html)
		if m == nil || strings.HasPrefix(m[1], " ") {
			t.Fatalf("no title:\n%s", html)
		}
		titles[m[1]] = true
	})
	if len(titles) < 60 {
		t.Errorf("got %d titles, want about as many as there are pages", len(titles))
	}
}

func TestForeignSchemesAreNeutralised(t *testing.T) {
	p := pages(t, "")
	for _, link := range []string{"javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "data:text/html,<script>", "vbscript:x"} {
		everyPage(t, p, "x", link, func(t *testing.T, _ web.Lang, html string) {
			t.Helper()
			for _, m := range regexp.MustCompile(`(?:href|action|src)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
				if strings.Contains(strings.ToLower(m[1]), "script:") || strings.Contains(m[1], "data:") {
					t.Errorf("got link %q for %q", m[1], link)
				}
			}
		})
	}
}

// pageRow is a page, what it shows, and what it does not show.
type pageRow struct {
	name    string
	lang    web.Lang
	page    string
	data    any
	want    []string
	wantNot []string
}

func TestPagesShow(t *testing.T) {
	p := pages(t, "/koubei")
	shown := map[string]bool{}
	for _, row := range slices.Concat(identityPages, signInPages, switchPages, errorPages) {
		shown[row.page] = true
		t.Run(row.name+" "+row.lang.Tag(), func(t *testing.T) {
			html := render(t, p, row.lang, row.page, row.data)
			for _, want := range row.want {
				if !strings.Contains(html, want) {
					t.Errorf("%q is missing:\n%s", want, html)
				}
			}
			for _, not := range row.wantNot {
				if strings.Contains(html, not) {
					t.Errorf("%q must not be there:\n%s", not, html)
				}
			}
		})
	}
	for _, page := range templates(t) {
		if !shown[page] {
			t.Errorf("no row shows the page %s", page)
		}
	}
}

var (
	common = web.Common{RequestID: "req-1", EntryURL: "https://portal.example/apps?a=1&b=2"}
	since  = time.Date(2026, 11, 22, 7, 4, 5, 0, time.UTC)
)

const entry = `id="entry" href="https://portal.example/apps?a=1&amp;b=2"`

var identity = web.IdentityPage{
	Common: common, SignedIn: true, AppID: "app-1", OperatorID: "op-1", OperatorType: "PROVIDER_STAFF", LogoutURL: "/koubei/logout",
	Partners: []web.Partner{
		{ID: "p-1", Type: "PROVIDER_STAFF", HomeURL: "/p/p-1", Since: since, Until: since.Add(12 * time.Hour), Current: true},
		{ID: "p-2", Type: "ROBOT"},
	},
}

// remembered is identity in a browser that remembers operators.
var remembered = func() web.IdentityPage {
	page := identity
	page.ForgetURL = "/koubei/forget"
	return page
}()

var identityPages = []pageRow{
	{"identity", web.Chinese, web.PageIdentity, identity, []string{
		`id="operator-id">op-1<`, `id="operator-type" data-type="PROVIDER_STAFF">服务商员工<`, `id="app-id">app-1<`,
		`data-partner="p-1" data-current>`, `href="/p/p-1">商户 p-1</a>`, `data-partner="p-2">`, `<span class="partner-name">商户 p-2</span>`,
		"未知类型（ROBOT）", `<time datetime="2026-11-22T15:04:05+08:00">11月22日 15:04</time>`, "11月23日 03:04", "北京时间",
		`method="post" action="/koubei/logout"`, `id="sign-out" type="submit"`, `id="request-id">req-1<`, entry,
	}, []string{"未指定商户", "0001-01-01"}},
	{"identity", web.English, web.PageIdentity, identity, []string{"Service provider’s employee", ">22 Nov 15:04</time>", "Unknown type (ROBOT)"}, []string{"服务商"}},
	{"entry without a merchant", web.Chinese, web.PageIdentity,
		web.IdentityPage{SignedIn: true, OperatorID: "op-1", NoPartner: &web.Partner{Type: "MER", HomeURL: "/h"}},
		[]string{`data-partner=""`, `href="/h">未指定商户</a>`}, nil},
	{"identity, remembered", web.Chinese, web.PageIdentity, remembered,
		[]string{`method="post" action="/koubei/forget"`, `id="forget" type="submit">清除本浏览器的账号记录<`, `id="sign-out"`}, nil},
	{"nobody, remembered", web.English, web.PageIdentity, web.IdentityPage{Common: common, ForgetURL: "/koubei/forget"},
		[]string{"You are not signed in", `action="/koubei/forget"`, "Forget accounts used in this browser"}, []string{"sign-out"}},
	{"nobody", web.Chinese, web.PageIdentity, web.IdentityPage{Common: common, OperatorID: "op-1", LogoutURL: "/x"},
		[]string{"您还没有登录", entry}, []string{"op-1", "sign-out", "forget"}},
}

var signInPages = []pageRow{
	{"sign in", web.Chinese, web.PageSignIn, web.SignInPage{Common: common}, []string{entry}, []string{"entry-words"}},
	{"sign in, no entry", web.Chinese, web.PageSignIn, web.SignInPage{}, []string{`id="entry-words"`}, []string{`id="entry"`, "request-id"}},
	{"signed out", web.English, web.PageSignedOut, web.SignedOutPage{Common: common}, []string{"You are signed out", entry}, nil},
}

var ask = web.SwitchPage{
	Common: common, Action: "/koubei/callback/switch", Fields: []web.Field{{Name: "landing", Value: "l&1"}},
	Current:  web.Party{OperatorID: "op-1", OperatorType: "MER", PartnerID: "p-1"},
	Arriving: web.Party{OperatorID: "op-2", OperatorType: "SALES"},
}

// stranger asks a browser without a session that remembers other operators.
var stranger = func() web.SwitchPage {
	page := ask
	page.Current, page.LastKnown = web.Party{}, "••••7652"
	return page
}()

var switchPages = []pageRow{
	{"switch", web.Chinese, web.PageSwitch, ask, []string{
		`action="/koubei/callback/switch"`, `type="hidden" name="landing" value="l&amp;1"`, "op-1", "商户", "op-2", "阿里销售小二", "未指定",
		"不是您自己刚从口碑进入的，请保留", `id="decision-no" type="submit" name="decision" value="no"`, `id="decision-yes" type="submit" name="decision" value="yes"`,
	}, nil},
	{"stranger", web.Chinese, web.PageSwitch, stranger, []string{
		`action="/koubei/callback/switch"`, `type="hidden" name="landing" value="l&amp;1"`, "这是您的账号吗？", "••••7652", "op-2", "阿里销售小二",
		"请不要登录", `id="decision-no" type="submit" name="decision" value="no">不登录<`, `id="decision-yes" type="submit" name="decision" value="yes"`,
	}, []string{"op-1", `id="current"`, "当前"}},
	{"stranger", web.English, web.PageSwitch, stranger, []string{"Is this your account?", "••••7652", "Do not sign in", "op-2"}, []string{"op-1", "urrent"}},
}

var errorPages = []pageRow{
	{"error", web.Chinese, web.PageError, web.ErrorPage{Common: common, Status: 410, Code: "code_used", Enter: true},
		[]string{"登录链接已经用过了", entry, `id="request-id">req-1<`, `id="error-code">code_used<`}, []string{"<script", "retry-now", "http-equiv"}},
	{"retry", web.Chinese, web.PageError, web.ErrorPage{Common: common, Status: 503, Code: "gateway_unavailable", Enter: true, Retry: &web.Retry{URL: "/cb?code=c&x=1", After: 7}},
		[]string{`id="retry-now" href="/cb?code=c&amp;x=1"`, `data-after="7"`, `aria-live="polite"`, `/koubei/static/retry.`, " defer>", entry}, nil},
	{"after a form", web.Chinese, web.PageError, web.ErrorPage{Common: common, Status: 503, Code: "store_unavailable", Enter: true, BackURL: "/koubei/"},
		[]string{`id="back" href="/koubei/"`}, []string{"retry", "<script"}},
	{"cookies", web.Chinese, web.PageError, web.ErrorPage{Common: common, Status: 403, Code: "cookies_blocked", Enter: true, OpenURL: "/cb?code=c"},
		[]string{`class="button" id="open-window" href="/cb?code=c" target="_blank" rel="noopener"`}, nil},
	{"two sessions", web.Chinese, web.PageError, web.ErrorPage{Status: 401, Code: "ambiguous_session", Enter: true, LogoutURL: "/koubei/logout"},
		[]string{`method="post" action="/koubei/logout"`, `id="sign-out"`}, nil},
	{"foreign form", web.Chinese, web.PageError, web.ErrorPage{Common: common, Status: 403, Code: "cross_origin"},
		[]string{`id="home" href="/koubei/"`}, []string{"portal.example"}},
	{"code without texts", web.English, web.PageError, web.ErrorPage{Status: 418, Code: "teapot", Enter: true}, []string{"We could not read the request"}, nil},
	{"nothing known", web.English, web.PageError, web.ErrorPage{}, []string{"Something went wrong"}, nil},
}

func TestKeyboardReachesNoBeforeYes(t *testing.T) {
	html := render(t, pages(t, "/koubei"), web.Chinese, web.PageSwitch, ask)
	if strings.Index(html, "decision-no") > strings.Index(html, "decision-yes") {
		t.Error("the keyboard reaches yes before no")
	}
}

func TestIdentityPageNamesTheZoneOnce(t *testing.T) {
	html := render(t, pages(t, "/koubei"), web.Chinese, web.PageIdentity, identity)
	if strings.Count(html, "北京时间") != 1 {
		t.Error("the zone is not said exactly once")
	}
}

func TestHintFollowsTheRequestID(t *testing.T) {
	html := render(t, pages(t, "/koubei"), web.English, web.PageError, web.ErrorPage{Common: common, Status: 410, Code: "code_used", Enter: true})
	if !regexp.MustCompile(`id="request-id">req-1</code></p>\s*<p class="hint" id="request-hint">Quote this ID`).MatchString(html) {
		t.Errorf("the hint on the request ID doesn't follow it:\n%s", html)
	}
}

func TestRenderWritesAllOrNothing(t *testing.T) {
	p := pages(t, "")
	for name, data := range map[string]any{"nosuch": nil, web.PageIdentity: web.SignInPage{}} {
		var buf bytes.Buffer
		if err := p.Render(&buf, web.Chinese, name, data); err == nil || buf.Len() > 0 {
			t.Errorf("%s: got error %v and %d bytes, want an error and nothing", name, err, buf.Len())
		}
	}
}

func TestStatic(t *testing.T) {
	for _, base := range []string{"", "/koubei"} {
		p := pages(t, base)
		html := render(t, p, web.Chinese, web.PageError, web.ErrorPage{Retry: &web.Retry{URL: "/", After: 1}})
		addresses := regexp.MustCompile(`"([^"]*/static/[^"]+)"`).FindAllStringSubmatch(html, -1)
		if len(addresses) < 4 {
			t.Fatalf("got %d assets on a page", len(addresses))
		}
		get := func(path string) *http.Response {
			w := httptest.NewRecorder()
			p.Static().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			return w.Result()
		}
		types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
		for _, m := range addresses {
			path := m[1]
			if !regexp.MustCompile(`^` + base + `/static/\w+\.[0-9a-f]{12}\.(css|js|svg)$`).MatchString(path) {
				t.Errorf("got address %s", path)
			}
			res := get(path)
			body, _ := io.ReadAll(res.Body)
			h := res.Header
			if res.StatusCode != http.StatusOK || len(body) == 0 || h.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
				h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Type") != types[filepath.Ext(path)] {
				t.Errorf("%s: got %d, %d bytes, %v", path, res.StatusCode, len(body), h)
			}
			if a, ok := p.Asset(path); !ok || !bytes.Equal(a.Content, body) {
				t.Errorf("%s: Asset and Static differ", path)
			}
			if strings.Contains(string(body), "http://") && !strings.Contains(string(body), "http://www.w3.org/2000/svg") {
				t.Errorf("%s refers to another host", path)
			}
		}
		for _, path := range []string{"/", "/static/", "/static/style.css", "/static/style.000000000000.css", "/static/../web.go", "/other" + addresses[0][1]} {
			res := get(base + path)
			if res.StatusCode != http.StatusNotFound || res.Header.Get("Cache-Control") != "" {
				t.Errorf("%s: got %d, Cache-Control %q", path, res.StatusCode, res.Header.Get("Cache-Control"))
			}
			if _, ok := p.Asset(base + path); ok {
				t.Errorf("%s is an asset", path)
			}
		}
	}
}

func TestNegotiate(t *testing.T) {
	for header, want := range map[string]web.Lang{
		"":                                 web.Chinese,
		"zh":                               web.Chinese,
		"zh-CN,zh;q=0.9,en;q=0.8":          web.Chinese,
		"zh-TW":                            web.Chinese,
		"zh-TW,en;q=0.5":                   web.Chinese,
		"zh-Hant-HK":                       web.Chinese,
		"en":                               web.English,
		"en-US":                            web.English,
		"en-US,en;q=0.9":                   web.English,
		"en-GB;q=0.8,zh;q=0.9":             web.Chinese,
		"en-GB;q=0.9,zh;q=0.8":             web.English,
		"fr":                               web.Chinese,
		"fr,en;q=0.5":                      web.English,
		"*":                                web.Chinese,
		"en;q=0":                           web.Chinese,
		"garbage;;q=x,,":                   web.Chinese,
		"<script>":                         web.Chinese,
		strings.Repeat("en-US-x-y,", 500):  web.English, // only the start is read
		strings.Repeat("x", 30000):         web.Chinese,
		"zh" + strings.Repeat(",en", 9000): web.Chinese,
	} {
		if got := web.Negotiate(header); got != want {
			t.Errorf("%.40q: got %s, want %s", header, got.Tag(), want.Tag())
		}
	}
}
