package e2e_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"koubei-landing/internal/testworld/chromium"
	"koubei-landing/koubeisim"
)

// screenshotDir is the directory of the screenshots. Without it the test takes them too, so that a page that cannot be shown
// fails the test.
var screenshotDir = flag.String("screenshots", "", "directory to keep the screenshots in")

// maxScreenshot limits the size of the repository.
const maxScreenshot = 200 << 10

// device is a screen.
type device struct {
	width, height int64
	scale         float64
}

var (
	phone   = device{412, 915, 2}
	desktop = device{1200, 920, 1}
)

func TestScreenshots(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dir := *screenshotDir
	if dir == "" {
		dir = t.TempDir()
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		device
		visit func(b tab) // opens the page
		ready string      // selects an element that exists when the page is complete
	}{
		{"portal-desktop", desktop, func(b tab) { b.Open(d.portal) }, "#app-id"},
		{"portal-phone", phone, func(b tab) { b.Open(d.portal) }, "#app-id"},
		{"shop-desktop", desktop, func(b tab) { b.Open(d.link(providerStaff)) }, "#browser[data-answered]"},
		{"identity-desktop", desktop, func(b tab) { d.enterTwice(b) }, "#partners"},
		{"identity-phone", phone, func(b tab) { d.enterTwice(b) }, "#partners"},
		{"switch-phone", phone, func(b tab) {
			b.Open(d.link(merchant))
			b.At(d.shop(merchant))
			b.Open(d.link(provider))
		}, "#decision-yes"},
		{"stranger-phone", phone, func(b tab) { d.meetStranger(b) }, "#last-known"},
		{"stranger-phone-en", phone, func(b tab) { b.speakEnglish(); d.meetStranger(b) }, "#last-known"},
		{"stranger-desktop", desktop, func(b tab) { d.meetStranger(b) }, "#last-known"},
		{"stranger-desktop-en", desktop, func(b tab) { b.speakEnglish(); d.meetStranger(b) }, "#last-known"},
		{"error-phone", phone, func(b tab) {
			b.Open(d.portal + "enter?code=expired&as=mer")
		}, "#error-code"},
		{"retry-desktop", desktop, func(b tab) {
			d.goWrong("busy", "busy", "busy", "busy", "busy")
			b.Open(d.link(merchant))
		}, "#retry-status:not(:empty)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBrowser(t)
			b.Do(chromedp.EmulateViewport(row.width, row.height, chromedp.EmulateScale(row.scale)))
			row.visit(b)
			b.See(row.ready)
			picture := chromium.Get(b.Tab, chromedp.CaptureScreenshot())
			b.tokens(d)
			if len(picture) > maxScreenshot {
				t.Errorf("got %d bytes, want at most %d", len(picture), maxScreenshot)
			}
			if err := os.WriteFile(filepath.Join(dir, row.name+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
			if wide := chromium.Eval[bool](b.Tab, `document.documentElement.scrollWidth > innerWidth`); wide {
				t.Error("the page is wider than the screen")
			}
		})
	}
}

// speakEnglish makes the tab request pages in English.
func (b tab) speakEnglish() {
	b.T.Helper()
	headers := network.Headers{"Accept-Language": "en"}
	chromium.Call(b.Tab, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers})
}

// meetStranger signs a merchant in and out, and opens a provider's link.
func (d *demo) meetStranger(b tab) {
	d.t.Helper()
	d.signOut(b)
	b.Open(d.link(provider))
}

// link issues a code and returns the link that Koubei would redirect to.
func (d *demo) link(p koubeisim.Person) string {
	d.t.Helper()
	_, link := d.issue(p)
	return link
}

// enterTwice signs a provider in for two merchants and opens the identity page.
func (d *demo) enterTwice(b tab) {
	d.t.Helper()
	for _, p := range []koubeisim.Person{providerForCoffee, provider} {
		b.Open(d.link(p))
		b.At(d.shop(p))
	}
	b.Open(d.service)
}
