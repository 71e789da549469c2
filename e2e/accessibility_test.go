package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/chromium"
	"koubei-landing/web"
)

// axeFile is installed by scripts/install-test-tools, as e2e/package-lock.json has it.
const axeFile = "node_modules/axe-core/axe.min.js"

// narrow is the screen of the smallest phone that is still in use.
var narrow = device{360, 740, 2}

// TestAccessibility shows every page in both languages. In both color schemes and at both widths, axe-core must find no
// violation, everything to press must be at least 44 px wide and high, nothing may be wider than the screen, and no line may
// break within a word. Text must be in one font, as long as it is in the page's own language. With -screenshots, the test
// keeps a picture of each.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile(axeFile)
	if err != nil {
		t.Fatalf("%v (run scripts/install-test-tools)", err)
	}
	d := startDemo(t)
	errors := errorPages(t)
	pages := []struct {
		name  string
		visit func(b tab)
		ready string
	}{
		{"portal", func(b tab) { b.Open(d.portal) }, "#app-id"},
		{"portal/in use", func(b tab) {
			d.goWrong("busy")
			b.Open(d.link(merchant))
			b.At(d.shop(merchant))
			d.goWrong("drop", "slow")
			b.T.Cleanup(func() { d.api(http.MethodDelete, "faults", nil, nil) })
			b.Open(d.portal + "?fault=busy&times=3")
			b.Run(`document.querySelectorAll("details").forEach(d => d.open = true)`)
		}, "#calls"},
		{"portal/frame", func(b tab) { b.Open(d.portal + "frame?as=mer") }, "#isv"},
		{"portal/not found", func(b tab) { b.Open(d.portal + "nothing") }, "#missing"},
		{"shop", func(b tab) { b.Open(d.link(providerStaff)) }, "#browser[data-answered]"},
		{"shop/several merchants", func(b tab) { d.enterTwice(b); b.Open(d.shop(provider)) }, "#merchants"},
		{"shop/no merchant", func(b tab) { b.Open(d.portal + "enter?as=sales-none") }, "#browser[data-answered]"},
		{"shop/forbidden", func(b tab) { b.Open(d.portal + "enter?as=unknown") }, "#refused[data-status='403']"},
		{"shop/not found", func(b tab) { b.Open(d.isv + "nothing") }, "#refused[data-status='404']"},
		{"identity", func(b tab) { d.enterTwice(b) }, "#partners"},
		{"identity/nobody", func(b tab) { b.Open(d.service) }, "#entry"},
		{"identity/nobody, remembered", func(b tab) { d.signOut(b); b.Open(d.service) }, "#forget"},
		{"sign in", func(b tab) { b.Open(d.service + "signin") }, "#entry"},
		{"signed out", func(b tab) { d.signOut(b) }, "#entry"},
		{"switch", func(b tab) { b.Open(d.link(merchant)); b.At(d.shop(merchant)); b.Open(d.link(provider)) }, "#current"},
		{"stranger", func(b tab) { d.meetStranger(b) }, "#last-known"},
		{"error", func(b tab) { b.Open(d.portal + "enter?code=expired&as=mer") }, "#error-code"},
		{"error/not found", func(b tab) { b.Open(d.service + "nothing") }, "#error-code"},
		{"error/retry", func(b tab) { b.Open(errors + "/retry") }, "#retry-status:not(:empty)"},
		{"error/open", func(b tab) { b.Open(errors + "/open") }, "#open-window"},
		{"error/back", func(b tab) { b.Open(errors + "/back") }, "#back"},
		{"error/leave", func(b tab) { b.Open(errors + "/leave") }, "#sign-out"},
		{"error/home", func(b tab) { b.Open(errors + "/home") }, "#home"},
	}
	templates, err := filepath.Glob("../web/templates/*.html")
	if err != nil || len(templates) < 5 {
		t.Fatalf("got the templates %q, %v", templates, err)
	}
	visited := []string{"base"}
	for _, page := range pages {
		visited = append(visited, strings.ReplaceAll(page.name, " ", ""))
	}
	for _, file := range templates {
		if name := strings.TrimSuffix(filepath.Base(file), ".html"); !slices.Contains(visited, name) {
			t.Errorf("no row shows the page %s", name)
		}
	}
	for _, page := range pages {
		for _, lang := range []string{"zh", "en"} {
			t.Run(page.name+"/"+lang, func(t *testing.T) {
				b := newBrowser(t)
				if lang == "en" {
					b.speakEnglish()
				}
				page.visit(b)
				b.See(page.ready)
				b.tokens(d)
				if got := chromium.Eval[string](b.Tab, `document.documentElement.lang.slice(0, 2)`); got != lang {
					t.Errorf("the page is in %q", got)
				}
				b.inOneFont(lang)
				b.Run(string(axe))
				for _, screen := range []device{narrow, desktop} {
					for _, scheme := range []string{"light", "dark"} {
						b.show(screen, scheme)
						b.isAccessible(fmt.Sprintf("%d px, %s", screen.width, scheme))
						if *screenshotDir != "" {
							name := fmt.Sprintf("%s-%s-%d-%s.png", strings.NewReplacer("/", "-", ", ", "-", " ", "-").Replace(page.name), lang, screen.width, scheme)
							if err := os.WriteFile(filepath.Join(*screenshotDir, name), chromium.Get(b.Tab, chromedp.CaptureScreenshot()), 0o644); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
			})
		}
	}
}

// signOut uses the browser as a merchant and signs out.
func (d *demo) signOut(b tab) {
	d.t.Helper()
	b.Open(d.link(merchant))
	b.At(d.shop(merchant))
	b.Open(d.service)
	b.Click("#sign-out")
	b.At(d.service + "signed-out")
}

// errorPages serves the service's error page with each of its main actions: most follow outages that take time to cause.
func errorPages(t *testing.T) string {
	t.Helper()
	pages, err := web.New("")
	if err != nil {
		t.Fatal(err)
	}
	common := web.Common{RequestID: "0123456789abcdef0123456789abcdef", EntryURL: "https://koubei.example/apps"}
	mux := http.NewServeMux()
	mux.Handle("/static/", pages.Static())
	for path, page := range map[string]web.ErrorPage{
		"/retry": {Common: common, Code: "gateway_unavailable", Enter: true, Retry: &web.Retry{URL: "/retry", After: 3600}},
		"/open":  {Common: common, Code: "cookies_blocked", Enter: true, OpenURL: "/open"},
		"/back":  {Common: common, Code: "store_unavailable", Enter: true, BackURL: "/back"},
		"/leave": {Common: common, Code: "ambiguous_session", Enter: true, LogoutURL: "/leave"},
		"/home":  {Common: common, Code: "cross_origin"},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if err := pages.Render(w, web.Negotiate(r.Header.Get("Accept-Language")), web.PageError, page); err != nil {
				t.Error(err)
			}
		})
	}
	return testworld.Serve(t, mux)
}

// show changes the screen and the color scheme, without transitions.
func (b tab) show(screen device, scheme string) {
	b.T.Helper()
	b.Do(chromedp.EmulateViewport(screen.width, screen.height, chromedp.EmulateScale(screen.scale)))
	chromium.Call(b.Tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// isAccessible runs axe-core, which was evaluated before, and measures what can be pressed.
func (b tab) isAccessible(where string) {
	b.T.Helper()
	const violations = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v =>
		v.nodes.map(n => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary)))`
	for _, v := range chromium.Eval[[]string](b.Tab, violations, chromedp.EvalAwaitPromise) {
		b.T.Errorf("%s: axe: %s", where, v)
	}
	// A link within a sentence is as high as its line; everything else is a target of its own.
	const small = `[...document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), select, textarea")]
		.filter(e => e.checkVisibility() && !(getComputedStyle(e).display === "inline" && [...e.parentNode.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())))
		.map(e => [e, e.getBoundingClientRect()])
		.filter(([e, r]) => r.width < 44 || r.height < 44)
		.map(([e, r]) => r.width + " x " + r.height + " px: " + e.outerHTML)`
	for _, target := range chromium.Eval[[]string](b.Tab, small) {
		b.T.Errorf("%s: too small to touch: %s", where, target)
	}
	// Long ids may break anywhere; words may not.
	const broken = `(() => {
		const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		for (let text; (text = texts.nextNode());) {
			for (const word of text.data.matchAll(/(?<!\S)[A-Za-z’']{2,16}(?=[.,:;!?]?(\s|$))/g)) {
				const range = document.createRange();
				range.setStart(text, word.index);
				range.setEnd(text, word.index + word[0].length);
				if (range.getClientRects().length > 1) {
					found.push(word[0] + " in " + text.parentNode.outerHTML);
				}
			}
		}
		return found;
	})()`
	for _, word := range chromium.Eval[[]string](b.Tab, broken) {
		b.T.Errorf("%s: a line breaks within %s", where, word)
	}
	if wide := chromium.Eval[bool](b.Tab, `document.documentElement.scrollWidth > innerWidth`); wide {
		b.T.Errorf("%s: the page is wider than the screen", where)
	}
}

// inOneFont checks that the page's text is in one font of its language: a Chinese font has wide quotation marks, which tear
// English words apart. Text in another language, code and ids may be in other fonts.
func (b tab) inOneFont(lang string) {
	b.T.Helper()
	const others = `document.querySelectorAll("code, .id, body [lang]")`
	b.Run(others + `.forEach(e => e.style.setProperty("display", "none", "important")); document.body.offsetHeight // lays the page out`)
	document := chromium.Call(b.Tab, dom.GetDocument, dom.GetDocumentParams{})
	chromium.Call(b.Tab, css.Enable, cdp.Empty{})
	fonts := map[string]bool{}
	for _, element := range chromium.Call(b.Tab, dom.QuerySelectorAll, dom.QuerySelectorAllParams{NodeID: document.Root.NodeID, Selector: "body *"}).NodeIDs {
		for _, f := range chromium.Call(b.Tab, css.GetPlatformFontsForNode, css.GetPlatformFontsForNodeParams{NodeID: element}).Fonts {
			fonts[f.FamilyName] = true
		}
	}
	if len(fonts) != 1 {
		b.T.Errorf("the page's text is in the fonts %q, want one", slices.Sorted(maps.Keys(fonts)))
	}
	for font := range fonts {
		if chinese := strings.Contains(font, "CJK"); chinese != (lang == "zh") { // fonts-noto-cjk is the Chinese one that tests have
			b.T.Errorf("the page is in %s, its text in %s", lang, font)
		}
	}
	b.Run(others + `.forEach(e => e.style.removeProperty("display"))`)
}
