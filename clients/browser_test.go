package clients_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/chromium"
)

// Chromium's shell has the same engine and takes less time. It has no preferences.
var browser = chromium.New(`{}`, chromedp.ExecPath("chromium-headless-shell"))

// The browser's page is on another host of the ISV: another origin of the same site, which CORS_ORIGINS allows.
func TestTheBrowsersPage(t *testing.T) {
	t.Parallel()
	var service string
	files := http.FileServer(http.Dir("browser"))
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			files.ServeHTTP(w, r)
			return
		}
		html, err := os.ReadFile("browser/index.html")
		if err != nil || strings.Count(string(html), "https://isv.example/koubei") != 1 {
			t.Errorf("index.html: %v, or not one address of the service", err)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, strings.Replace(string(html), "https://isv.example/koubei", service, 1))
	})
	allowed, stranger := testworld.Serve(t, page), testworld.Serve(t, page)
	w := testworld.New(t, func(c *app.Config) { c.Web.CORSOrigins = []string{allowed} })
	service = w.Public
	b := browser.Tab(t)
	state := func(address string) string {
		t.Helper()
		b.Open(address)
		return shows(b, 1)
	}

	if got := state(allowed); got != "请从口碑重新进入。" {
		t.Errorf("not signed in: got %q", got)
	}
	b.Open(w.Landing(w.Koubei.Issue(testworld.Provider)))
	want := "PROVIDER " + testworld.Provider.OperatorID + " → " + testworld.Provider.PartnerID
	if got := state(allowed); got != want {
		t.Errorf("signed in: got %q, want %q", got, want)
	}
	if got := state(allowed + "/?partner_id=2088000000000009"); got != "您没有这个商户的权限。" {
		t.Errorf("a stranger's partner: got %q", got)
	}
	w.Redis.Freeze()
	if got := state(allowed + "/?partner_id=" + testworld.Provider.PartnerID); got != "暂时无法查询，请稍后再试。" {
		t.Errorf("Redis away: got %q", got)
	}
	w.Redis.Thaw()
	if got := state(allowed + "/?partner_id=" + testworld.Provider.PartnerID); got != want {
		t.Errorf("Redis back: got %q, want %q", got, want)
	}
	b.Run(`document.getElementById('signout').click()`)
	if got := shows(b, 2); got != "请从口碑重新进入。" {
		t.Errorf("signed out: got %q", got)
	}

	b.Open(w.Landing(w.Koubei.Issue(testworld.Merchant)))
	if got := state(stranger); got != "暂时无法查询，请稍后再试。" {
		t.Errorf("an origin that is not allowed: got %q", got)
	}
}

// shows returns the page's text after this number of requests.
func shows(b *chromium.Tab, asked int) string {
	b.T.Helper()
	type seen struct{ Done, State string }
	var got seen
	testworld.Eventually(b.T, patience, "the page has asked", func() error {
		got = chromium.Eval[seen](b, `({done: document.documentElement.dataset.done ?? '', state: document.getElementById('state')?.textContent ?? ''})`)
		if got.Done != fmt.Sprint(asked) {
			return fmt.Errorf("asked %q times, shows %q", got.Done, got.State)
		}
		return nil
	})
	return got.State
}
