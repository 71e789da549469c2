package clients_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// endChromium ends the browser, if a test has started it.
var endChromium = func() {}

// chromium starts a browser with a new profile.
func chromium(t *testing.T) context.Context {
	t.Helper()
	dir, err := os.MkdirTemp("", "koubei-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(dir))
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	endChromium = func() {
		_ = chromedp.Cancel(ctx)
		os.RemoveAll(dir)
	}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium (Debian's package chromium): %v", err)
	}
	return ctx
}

// The browser's page is on another host of the ISV: another origin of the same site, which CORS_ORIGINS allows.
func TestTheBrowsersPage(t *testing.T) {
	var service string
	files := http.FileServer(http.Dir("browser"))
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	}))
	t.Cleanup(page.Close)
	w := testworld.New(t, func(c *app.Config) { c.Web.CORSOrigins = []string{page.URL} })
	service = w.Public
	ctx := chromium(t)
	state := func(address string) string {
		t.Helper()
		return shows(t, ctx, address, 1, "")
	}

	if got := state(page.URL); got != "请从口碑重新进入。" {
		t.Errorf("not signed in: got %q", got)
	}
	within(t, ctx, chromedp.Navigate(w.Landing(w.Koubei.Issue(testworld.Provider))))
	want := "PROVIDER " + testworld.Provider.OperatorID + " → " + testworld.Provider.PartnerID
	if got := state(page.URL); got != want {
		t.Errorf("signed in: got %q, want %q", got, want)
	}
	if got := state(page.URL + "/?partner_id=2088000000000009"); got != "您没有这个商户的权限。" {
		t.Errorf("a stranger's partner: got %q", got)
	}
	w.Redis.Freeze()
	if got := state(page.URL + "/?partner_id=" + testworld.Provider.PartnerID); got != "暂时无法查询，请稍后再试。" {
		t.Errorf("Redis away: got %q", got)
	}
	w.Redis.Thaw()
	if got := state(page.URL + "/?partner_id=" + testworld.Provider.PartnerID); got != want {
		t.Errorf("Redis back: got %q, want %q", got, want)
	}
	if got := shows(t, ctx, "", 2, `document.getElementById('signout').click()`); got != "请从口碑重新进入。" {
		t.Errorf("signed out: got %q", got)
	}

	stranger := httptest.NewServer(page.Config.Handler)
	t.Cleanup(stranger.Close)
	within(t, ctx, chromedp.Navigate(w.Landing(w.Koubei.Issue(testworld.Merchant))))
	if got := state(stranger.URL); got != "暂时无法查询，请稍后再试。" {
		t.Errorf("an origin that is not allowed: got %q", got)
	}
}

// shows opens an address or runs a script, and returns the page's text after this number of requests.
func shows(t *testing.T, ctx context.Context, address string, asked int, script string) string {
	t.Helper()
	if script == "" {
		within(t, ctx, chromedp.Navigate(address))
	} else {
		evaluate[any](t, ctx, script)
	}
	type seen struct{ Done, State string }
	var got seen
	testworld.Eventually(t, patience, "the page has asked", func() error {
		got = evaluate[seen](t, ctx, `({done: document.documentElement.dataset.done ?? '', state: document.getElementById('state')?.textContent ?? ''})`)
		if got.Done != fmt.Sprint(asked) {
			return fmt.Errorf("asked %q times, shows %q", got.Done, got.State)
		}
		return nil
	})
	return got.State
}

func within(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
