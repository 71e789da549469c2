// Package e2e_test uses the demo, the program that `make demo` starts, with a real Chromium: the clicks of a new user, double
// clicks and reloads, and errors.
package e2e_test

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	"koubei-landing/internal/testworld/chromium"
)

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.End()
	os.Exit(code)
}

// patience is how long anything may take before a test fails.
const patience = chromium.Patience

// keeping is how a browser treats cookies.
type keeping struct {
	name string
	chromium.Browser
	probe string // the cookies that come back to a third party after it set a plain and a Partitioned one
}

var (
	// Chromium's shell has the same engine and takes two thirds of the time. It has no preferences, and isolates sites only
	// with a flag.
	usual        = chromium.New(`{}`, append(siteFlags(), chromedp.ExecPath("chromium-headless-shell"), chromedp.Flag("site-per-process", true))...)
	allCookies   = keeps("all cookies", `{"profile":{"cookie_controls_mode":0,"block_third_party_cookies":false}}`, "plain partitioned.")
	noThirdParty = keeps("third-party cookies blocked", `{"profile":{"cookie_controls_mode":1,"block_third_party_cookies":true}}`, "partitioned.")
	noCookies    = keeps("no cookies", `{"profile":{"default_content_setting_values":{"cookies":2}}}`, ".")
)

func keeps(name, preferences, probe string) keeping {
	return keeping{name, chromium.New(preferences, siteFlags()...), probe}
}

// tab is a tab, with what these tests check in it.
type tab struct{ *chromium.Tab }

// newBrowser opens a tab with a new profile, which has no cookies and no history.
func newBrowser(t *testing.T) tab { t.Helper(); return tab{usual.Tab(t)} }

// another opens one more tab of the same profile.
func (b tab) another() tab { b.T.Helper(); return tab{b.Another()} }

// inside waits for a frame in this tab, or a window of its profile, whose address has the prefix.
func (b tab) inside(kind, prefix string) tab { b.T.Helper(); return tab{b.Inside(kind, prefix)} }
