// Package chromium is the part of the test kit that drives a real Chromium. Only tests import it.
package chromium

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
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"koubei-landing/internal/testworld"
)

// Patience is how long anything may take before a test fails.
const Patience = 30 * time.Second

// Browser is a Chromium that the tests of a process share. It starts with its first tab.
type Browser func() (context.Context, error)

// End ends every Chromium. TestMain calls it after the tests.
var End = func() {}

// common are the flags of every Chromium. They keep it from connecting to other hosts. Newer versions ignore the second click
// of a double click; the tests need the behavior of older browsers.
var common = []chromedp.ExecAllocatorOption{
	chromedp.NoSandbox, chromedp.DisableGPU,
	chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
	chromedp.Flag("lang", "zh-CN"), chromedp.Flag("accept-lang", "zh-CN"),
	chromedp.Flag("disable-features", "Translate,IgnoreDuplicateNavs"),
	chromedp.WindowSize(1280, 900),
}

// New returns a Chromium with these preferences, as JSON, and further flags.
func New(preferences string, flags ...chromedp.ExecAllocatorOption) Browser {
	return sync.OnceValues(func() (context.Context, error) {
		dir, err := os.MkdirTemp("", "koubei-chromium-")
		if err != nil {
			return nil, err
		}
		options := slices.Concat(common, flags, []chromedp.ExecAllocatorOption{chromedp.UserDataDir(dir)})
		ctx, _ := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(options...))
		end := End
		End = func() {
			_ = chromedp.Cancel(ctx)
			os.RemoveAll(dir)
			end()
		}
		return ctx, errors.Join(os.Mkdir(filepath.Join(dir, "Default"), 0o700),
			os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(preferences), 0o600), chromedp.Do(ctx))
	})
}

// Tab is one tab of a Chromium, or a frame in a tab. Its test fails if a page violates a policy or has an exception.
type Tab struct {
	T   testing.TB
	ctx context.Context

	mu         sync.Mutex
	exchanges  []*network.Response // the responses, and the requests with status 0
	complaints []string            // policies that a page violated, and exceptions
}

// Tab opens a tab with a new profile, which has no cookies and no history.
func (b Browser) Tab(t testing.TB) *Tab {
	t.Helper()
	ctx, err := b()
	if err != nil {
		t.Fatalf("starting Chromium (make tools installs it): %v", err)
	}
	return newTab(t, ctx, chromedp.WithNewBrowserContext())
}

// Another opens one more tab of the same profile.
func (b *Tab) Another() *Tab { b.T.Helper(); return newTab(b.T, b.ctx) }

// Inside waits for a frame in this tab, of the kind iframe, or a window of its profile, of the kind page, whose address has
// the prefix.
func (b *Tab) Inside(kind, prefix string) *Tab {
	b.T.Helper()
	var id target.ID
	testworld.Eventually(b.T, Patience, "there is a "+kind+" at "+prefix, func() error {
		all, err := chromedp.Targets(b.ctx)
		me := chromedp.FromContext(b.ctx)
		for _, i := range all {
			mine := i.ParentID == me.Target.TargetID || kind == "page" && i.BrowserContextID == me.BrowserContextID
			if i.Type == kind && mine && strings.HasPrefix(i.URL, prefix) {
				id = i.TargetID
				return nil
			}
		}
		return fmt.Errorf("there are %d others, %v", len(all), err)
	})
	return newTab(b.T, b.ctx, chromedp.WithTargetID(id))
}

func newTab(t testing.TB, parent context.Context, options ...chromedp.ContextOption) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	b := &Tab{T: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range b.Complaints() {
			t.Errorf("the browser's console: %s", c)
		}
	})
	return b
}

// note records the events that tests need.
func (b *Tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.exchanges = append(b.exchanges, &network.Response{URL: e.Request.URL})
		if e.RedirectResponse != nil {
			b.exchanges = append(b.exchanges, e.RedirectResponse)
		}
	case *network.EventResponseReceived:
		b.exchanges = append(b.exchanges, e.Response)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		if strings.Contains(e.Entry.Text, "Content Security Policy") {
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	}
}

// Requests counts the requests to addresses that contain part.
func (b *Tab) Requests(part string) int { return b.Responses(part, 0) }

// Responses counts the responses with a status from addresses that contain part.
func (b *Tab) Responses(part string, status int64) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.exchanges {
		if e.Status == status && strings.Contains(e.URL, part) {
			n++
		}
	}
	return n
}

// Complaints returns the violations of policies and the exceptions so far. They then do not fail the test.
func (b *Tab) Complaints() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, b.complaints = b.complaints, nil
	return all
}

func run[V any](b *Tab, a chromedp.Action[V]) (V, error) {
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	return chromedp.Run(ctx, a)
}

// Get runs an action and returns its result.
func Get[V any](b *Tab, a chromedp.Action[V]) V {
	b.T.Helper()
	v, err := run(b, a)
	if err != nil {
		b.T.Fatalf("%v\n%s", err, b.Describe())
	}
	return v
}

// Eval evaluates a script and returns its result.
func Eval[V any](b *Tab, script string, options ...chromedp.EvaluateOption) V {
	b.T.Helper()
	return Get(b, chromedp.Evaluate[V](script, options...))
}

// Call runs a command of the DevTools protocol and returns its result.
func Call[P, R any](b *Tab, command cdp.Command[P, R], params P) R {
	b.T.Helper()
	return Get(b, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, command, params) })
}

// Do runs an action without a result.
func (b *Tab) Do(a chromedp.Action[chromedp.Void]) { b.T.Helper(); Get(b, a) }

// Run evaluates a script that has no result.
func (b *Tab) Run(script string) { b.T.Helper(); Eval[chromedp.Void](b, script) }

// Open navigates to an address and waits until the page is loaded.
func (b *Tab) Open(address string) { b.T.Helper(); b.Do(chromedp.Navigate(address)) }

// Travel goes forward in the history, or back. It does not wait, because a page from the browser's cache is not loaded again.
func (b *Tab) Travel(steps int) {
	b.T.Helper()
	b.Run(fmt.Sprintf("setTimeout(() => history.go(%d))", steps))
}

// See waits until an element is visible.
func (b *Tab) See(selector string) { b.T.Helper(); b.Do(chromedp.WaitVisible(chromedp.CSS(selector))) }

// Click clicks an element as soon as it is visible.
func (b *Tab) Click(selector string) { b.T.Helper(); b.Do(chromedp.Click(chromedp.CSS(selector))) }

// Presser returns a function that clicks where an element is now, also during a navigation, when a tab reacts to its mouse only.
func (b *Tab) Presser(selector string) (press func()) {
	b.T.Helper()
	at := Eval[[]float64](b, fmt.Sprintf(
		`(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%q).getBoundingClientRect())`, selector))
	return func() { b.T.Helper(); b.Do(chromedp.MouseClickXY(at[0], at[1])) }
}

// Text returns the text of an element as soon as it is visible.
func (b *Tab) Text(selector string) string {
	b.T.Helper()
	return strings.TrimSpace(Get(b, chromedp.Text(chromedp.CSS(selector))))
}

// At waits until the tab shows the page at an address.
func (b *Tab) At(address string) {
	b.T.Helper()
	testworld.Eventually(b.T, Patience, "the tab is at "+address, func() error {
		got, err := run(b, chromedp.Evaluate[[]string](`[location.href, document.readyState]`))
		if err == nil && (got[0] != address || got[1] != "complete") {
			err = fmt.Errorf("it is at %s (%s)", got[0], got[1])
		}
		return err // also while a navigation is in progress
	})
}

// Describe returns the tab's address and text, for the message of a failure.
func (b *Tab) Describe() string {
	text, _ := run(b, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	return text
}
