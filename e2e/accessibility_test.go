package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

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
	for _, page := range []struct {
		name  string
		visit func(b *tab)
		ready string
	}{
		{"portal", func(b *tab) { b.open(d.portal) }, "#app-id"},
		{"portal/in use", func(b *tab) {
			d.goWrong("busy")
			b.open(d.link(merchant))
			b.at(d.shop(merchant))
			d.goWrong("drop", "slow")
			b.t.Cleanup(func() { d.api(http.MethodDelete, "faults", nil, nil) })
			b.open(d.portal + "?fault=busy&times=3")
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`))
		}, "#calls"},
		{"portal/frame", func(b *tab) { b.open(d.portal + "frame?as=mer") }, "#isv"},
		{"portal/not found", func(b *tab) { b.open(d.portal + "nothing") }, "#missing"},
		{"shop", func(b *tab) { b.open(d.link(providerStaff)) }, "#browser[data-answered]"},
		{"shop/several merchants", func(b *tab) { d.enterTwice(b); b.open(d.shop(provider)) }, "#merchants"},
		{"shop/no merchant", func(b *tab) { b.open(d.portal + "enter?as=sales-none") }, "#browser[data-answered]"},
		{"shop/forbidden", func(b *tab) { b.open(d.portal + "enter?as=unknown") }, "#refused[data-status='403']"},
		{"shop/not found", func(b *tab) { b.open(d.isv + "nothing") }, "#refused[data-status='404']"},
		{"identity", func(b *tab) { d.enterTwice(b) }, "#partners"},
		{"identity/nobody", func(b *tab) { b.open(d.service) }, "#entry"},
		{"identity/nobody, remembered", func(b *tab) { d.signOut(b); b.open(d.service) }, "#forget"},
		{"sign in", func(b *tab) { b.open(d.service + "signin") }, "#entry"},
		{"signed out", func(b *tab) { d.signOut(b) }, "#entry"},
		{"switch", func(b *tab) { b.open(d.link(merchant)); b.at(d.shop(merchant)); b.open(d.link(provider)) }, "#current"},
		{"stranger", func(b *tab) { d.meetStranger(b) }, "#last-known"},
		{"error", func(b *tab) { b.open(d.portal + "enter?code=expired&as=mer") }, "#error-code"},
		{"error/not found", func(b *tab) { b.open(d.service + "nothing") }, "#error-code"},
		{"error/retry", func(b *tab) { b.open(errors + "/retry") }, "#retry-status:not(:empty)"},
		{"error/open", func(b *tab) { b.open(errors + "/open") }, "#open-window"},
		{"error/back", func(b *tab) { b.open(errors + "/back") }, "#back"},
		{"error/leave", func(b *tab) { b.open(errors + "/leave") }, "#sign-out"},
		{"error/home", func(b *tab) { b.open(errors + "/home") }, "#home"},
	} {
		for _, lang := range []string{"zh", "en"} {
			t.Run(page.name+"/"+lang, func(t *testing.T) {
				b := newBrowser(t)
				if lang == "en" {
					b.speakEnglish()
				}
				page.visit(b)
				b.see(page.ready)
				b.tokens(d)
				if got := get(b, chromedp.Evaluate[string](`document.documentElement.lang.slice(0, 2)`)); got != lang {
					t.Errorf("the page is in %q", got)
				}
				b.inOneFont(lang)
				b.do(chromedp.Evaluate[chromedp.Void](string(axe)))
				for _, screen := range []device{narrow, desktop} {
					for _, scheme := range []string{"light", "dark"} {
						b.show(screen, scheme)
						b.isAccessible(fmt.Sprintf("%d px, %s", screen.width, scheme))
						if *screenshotDir != "" {
							name := fmt.Sprintf("%s-%s-%d-%s.png", strings.NewReplacer("/", "-", ", ", "-", " ", "-").Replace(page.name), lang, screen.width, scheme)
							if err := os.WriteFile(filepath.Join(*screenshotDir, name), get(b, capture), 0o644); err != nil {
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
func (d *demo) signOut(b *tab) {
	d.t.Helper()
	b.open(d.link(merchant))
	b.at(d.shop(merchant))
	b.open(d.service)
	b.click("#sign-out")
	b.at(d.service + "signed-out")
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
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// show changes the screen and the color scheme, without transitions.
func (b *tab) show(screen device, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(screen.width, screen.height, chromedp.EmulateScale(screen.scale)),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
			return err
		}))
}

// isAccessible runs axe-core, which was evaluated before, and measures what can be pressed.
func (b *tab) isAccessible(where string) {
	b.t.Helper()
	const violations = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v =>
		v.nodes.map(n => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary)))`
	for _, v := range get(b, chromedp.Evaluate[[]string](violations, awaitPromise)) {
		b.t.Errorf("%s: axe: %s", where, v)
	}
	// A link within a sentence is as high as its line; everything else is a target of its own.
	const small = `[...document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), select, textarea")]
		.filter(e => e.checkVisibility() && !(getComputedStyle(e).display === "inline" && [...e.parentNode.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())))
		.map(e => [e, e.getBoundingClientRect()])
		.filter(([e, r]) => r.width < 44 || r.height < 44)
		.map(([e, r]) => r.width + " x " + r.height + " px: " + e.outerHTML)`
	for _, target := range get(b, chromedp.Evaluate[[]string](small)) {
		b.t.Errorf("%s: too small to touch: %s", where, target)
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
	for _, word := range get(b, chromedp.Evaluate[[]string](broken)) {
		b.t.Errorf("%s: a line breaks within %s", where, word)
	}
	if wide := get(b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)); wide {
		b.t.Errorf("%s: the page is wider than the screen", where)
	}
}

func awaitPromise(p *runtime.EvaluateParams) { yes := true; p.AwaitPromise = &yes }

// inOneFont checks that the page's text is in one font of its language: a Chinese font has wide quotation marks, which tear
// English words apart. Text in another language, code and ids may be in other fonts.
func (b *tab) inOneFont(lang string) {
	b.t.Helper()
	const others = `document.querySelectorAll("code, .id, body [lang]")`
	b.do(chromedp.Evaluate[chromedp.Void](others + `.forEach(e => e.style.setProperty("display", "none", "important")); document.body.offsetHeight // lays the page out`))
	fonts := get(b, func(ctx context.Context, t *chromedp.Target) (map[string]bool, error) {
		document, err := cdp.Call(ctx, t, dom.GetDocument, dom.GetDocumentParams{})
		if err != nil {
			return nil, err
		}
		if _, err := cdp.Call(ctx, t, css.Enable, cdp.Empty{}); err != nil {
			return nil, err
		}
		elements, err := cdp.Call(ctx, t, dom.QuerySelectorAll, dom.QuerySelectorAllParams{NodeID: document.Root.NodeID, Selector: "body *"})
		if err != nil {
			return nil, err
		}
		fonts := map[string]bool{}
		for _, element := range elements.NodeIDs {
			used, err := cdp.Call(ctx, t, css.GetPlatformFontsForNode, css.GetPlatformFontsForNodeParams{NodeID: element})
			if err != nil {
				return nil, err
			}
			for _, f := range used.Fonts {
				fonts[f.FamilyName] = true
			}
		}
		return fonts, nil
	})
	if len(fonts) != 1 {
		b.t.Errorf("the page's text is in the fonts %q, want one", slices.Sorted(maps.Keys(fonts)))
	}
	for font := range fonts {
		if chinese := strings.Contains(font, "CJK"); chinese != (lang == "zh") { // fonts-noto-cjk is the Chinese one that tests have
			b.t.Errorf("the page is in %s, its text in %s", lang, font)
		}
	}
	b.do(chromedp.Evaluate[chromedp.Void](others + `.forEach(e => e.style.removeProperty("display"))`))
}
