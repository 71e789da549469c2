package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"koubei-landing/internal/testworld"
)

// keeping is how a browser treats cookies. All tests that need it share one process of Chromium.
type keeping struct {
	name  string
	start func() (context.Context, error)
	probe string // the cookies that come back to a third party after it set a plain and a Partitioned one
}

func keeps(name, preferences, probe string) keeping {
	return keeping{name, sync.OnceValues(func() (context.Context, error) { return startChromium(preferences) }), probe}
}

var (
	usual        = keeps("the usual cookies", "", "")
	allCookies   = keeps("all cookies", `{"profile":{"cookie_controls_mode":0,"block_third_party_cookies":false}}`, "plain partitioned.")
	noThirdParty = keeps("third-party cookies blocked", `{"profile":{"cookie_controls_mode":1,"block_third_party_cookies":true}}`, "partitioned.")
	noCookies    = keeps("no cookies", `{"profile":{"default_content_setting_values":{"cookies":2}}}`, ".")
)

// endChromium ends all processes of Chromium that a test has started.
var endChromium = func() {}

// flags keep Chromium from connecting to other hosts. Newer versions ignore the second click of a double click; the tests need
// the behavior of older browsers.
var flags = []chromedp.ExecAllocatorOption{
	chromedp.NoSandbox, chromedp.DisableGPU,
	chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
	chromedp.Flag("lang", "zh-CN"), chromedp.Flag("accept-lang", "zh-CN"),
	chromedp.Flag("disable-features", "Translate,IgnoreDuplicateNavs"),
	chromedp.WindowSize(1280, 900),
}

// startChromium starts a process of Chromium with preferences.
func startChromium(preferences string) (context.Context, error) {
	dir, err := os.MkdirTemp("", "koubei-chromium-")
	if err != nil {
		return nil, err
	}
	allocator, _ := chromedp.NewExecAllocator(context.Background(), slices.Concat(chromedp.DefaultExecAllocatorOptions[:], flags,
		[]chromedp.ExecAllocatorOption{chromedp.UserDataDir(dir)})...)
	ctx, _ := chromedp.NewContext(allocator)
	end := endChromium
	endChromium = func() {
		_ = chromedp.Cancel(ctx)
		os.RemoveAll(dir)
		end()
	}
	if preferences != "" {
		err = errors.Join(os.Mkdir(filepath.Join(dir, "Default"), 0o700),
			os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(preferences), 0o600))
	}
	if err := errors.Join(err, chromedp.Do(ctx)); err != nil {
		return nil, fmt.Errorf("starting Chromium (Debian's package chromium): %w", err)
	}
	return ctx, nil
}

// tab is one tab of a browser with the events that it recorded.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu        sync.Mutex
	requests  []*network.Request
	responses []*network.Response
	complaint []string // policies that a page violated, and exceptions
}

// newBrowser opens a tab with a new profile, which has no cookies and no history.
func newBrowser(t *testing.T) *tab { t.Helper(); return newBrowserOf(t, usual) }

func newBrowserOf(t *testing.T, k keeping) *tab {
	t.Helper()
	ctx, err := k.start()
	if err != nil {
		t.Fatal(err)
	}
	return newTab(t, ctx, chromedp.WithNewBrowserContext())
}

// another opens one more tab of the same profile.
func (b *tab) another() *tab {
	b.t.Helper()
	return newTab(b.t, b.ctx)
}

func newTab(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.Func(b.enable)); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaint {
			t.Errorf("the browser's console: %s", c)
		}
	})
	return b
}

func (b *tab) enable(ctx context.Context, t *chromedp.Target) error {
	_, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
	return err
}

// note records the events that tests need.
func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request)
		if e.RedirectResponse != nil {
			b.responses = append(b.responses, e.RedirectResponse)
		}
	case *network.EventResponseReceived:
		b.responses = append(b.responses, e.Response)
	case *runtime.EventExceptionThrown:
		b.complaint = append(b.complaint, e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		if strings.Contains(e.Entry.Text, "Content Security Policy") {
			b.complaint = append(b.complaint, e.Entry.Text)
		}
	}
}

// answered counts the responses with a status to addresses that contain part.
func (b *tab) answered(part string, status int64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return count(b.responses, func(r *network.Response) bool { return strings.Contains(r.URL, part) && r.Status == status })
}

// asked counts the requests to addresses that contain part.
func (b *tab) asked(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return count(b.requests, func(r *network.Request) bool { return strings.Contains(r.URL, part) })
}

func count[T any](all []T, is func(T) bool) int {
	return len(slices.DeleteFunc(slices.Clone(all), func(v T) bool { return !is(v) }))
}

// do runs steps. Each may take as long as patience.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		get(b, step)
	}
}

func get[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.describe())
	}
	return v
}

// describe returns the tab's address and text, for the message of a failure.
func (b *tab) describe() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (b *tab) open(address string)   { b.t.Helper(); b.do(chromedp.Navigate(address)) }
func (b *tab) click(selector string) { b.t.Helper(); b.do(chromedp.Click(chromedp.CSS(selector))) }
func (b *tab) reload()               { b.t.Helper(); b.do(chromedp.Reload()) }
func (b *tab) see(selector string)   { b.t.Helper(); b.do(chromedp.WaitVisible(chromedp.CSS(selector))) }

// at waits until the tab shows the page at an address.
func (b *tab) at(address string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	testworld.Eventually(b.t, patience, "the tab is at "+address, func() error {
		got, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`[location.href, document.readyState]`))
		if err != nil {
			return err // a navigation is in progress
		}
		if got[0] != address || got[1] != "complete" {
			return fmt.Errorf("it is at %s (%s)", got[0], got[1])
		}
		return nil
	})
}

func (b *tab) text(sel string) string {
	b.t.Helper()
	return strings.TrimSpace(get(b, chromedp.Text(chromedp.CSS(sel))))
}

// travel goes back or forward in the history. It does not wait, because a page from the browser's cache is not loaded again.
func (b *tab) travel(steps int64) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		history, err := cdp.Call(ctx, t, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return err
		}
		entry := history.Entries[history.CurrentIndex+steps]
		_, err = cdp.Call(ctx, t, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: entry.ID})
		return err
	}))
}

// place returns the center of an element.
func (b *tab) place(selector string) (x, y float64) {
	b.t.Helper()
	r := get(b, chromedp.Evaluate[[]float64](fmt.Sprintf(
		`(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%q).getBoundingClientRect())`, selector)))
	return r[0], r[1]
}

// tokens returns the values of the browser's session cookies.
func (b *tab) tokens(d *demo) []string {
	b.t.Helper()
	var tokens []string
	for _, c := range b.cookies() {
		if c.Name == "koubei_session" {
			tokens = append(tokens, c.Value)
		}
		d.Log.KeepOut(c.Value)
	}
	return tokens
}

func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	return get(b, func(ctx context.Context, t *chromedp.Target) ([]*network.Cookie, error) {
		res, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
		return res.Cookies, err
	})
}

// inside waits for a frame in this tab, or a window of its profile, whose address has the prefix.
func (b *tab) inside(kind, prefix string) *tab {
	b.t.Helper()
	var id target.ID
	testworld.Eventually(b.t, patience, "there is a "+kind+" at "+prefix, func() error {
		all, err := chromedp.Targets(b.ctx)
		if err != nil {
			return err
		}
		me := chromedp.FromContext(b.ctx)
		for _, i := range all {
			mine := i.ParentID == me.Target.TargetID || kind == "page" && i.BrowserContextID == me.BrowserContextID
			if i.Type == kind && mine && strings.HasPrefix(i.URL, prefix) {
				id = i.TargetID
				return nil
			}
		}
		return fmt.Errorf("there are %d others", len(all))
	})
	return newTab(b.t, b.ctx, chromedp.WithTargetID(id))
}
