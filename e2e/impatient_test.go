package e2e_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"koubei-landing/internal/testworld"
)

// elsewhere serves a page of another site with a link to a landing, and with more HTML in its head.
func elsewhere(t *testing.T, link, head string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>elsewhere</title><link rel="icon" href="data:,">%s<p><a id="enter" href="%s">enter</a></p>`,
			head, html.EscapeString(link))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// awaitHeld waits until the gateway holds the responses for these codes.
func (d *demo) awaitHeld(codes ...string) {
	d.t.Helper()
	testworld.Eventually(d.t, patience, "the gateway holds the calls", func() error {
		for _, code := range codes {
			if got := d.calls(code); len(got) != 1 || got[0].Outcome != "" {
				return fmt.Errorf("got %+v", got)
			}
		}
		return nil
	})
}

func (d *demo) release() { d.t.Helper(); d.api(http.MethodPost, "release", nil, nil) }

// wantOneSession checks that the browser has one session cookie, and returns its token.
func (b *tab) wantOneSession(d *demo) string {
	b.t.Helper()
	tokens := b.tokens(d)
	if len(tokens) != 1 {
		b.t.Fatalf("got %d session cookies, want one", len(tokens))
	}
	return tokens[0]
}

func TestRefresh(t *testing.T) {
	d := startDemo(t)
	b := newBrowser(t)
	code, link := d.issue(merchant)
	b.open(link)
	b.arrives(d, merchant)
	token := b.wantOneSession(d)

	b.reload()
	b.arrives(d, merchant)
	b.open(link) // as from the history or a bookmark
	b.arrives(d, merchant)
	if got := b.wantOneSession(d); got != token {
		t.Error("the same link again gave another session")
	}
	d.wantCalls(code, "success")
}

func TestBackButton(t *testing.T) {
	d := startDemo(t)
	b := newBrowser(t)
	b.open(d.portal)
	b.click("[data-person=provider]")
	b.arrives(d, provider)
	token := b.wantOneSession(d)
	code := d.lastCode()
	b.click("#identity")
	b.at(d.service)

	b.travel(-1)
	b.arrives(d, provider)
	b.travel(-1) // skips the landing, because its redirects are not in the history
	b.at(d.portal)
	b.travel(+1)
	b.arrives(d, provider)
	if got := b.wantOneSession(d); got != token {
		t.Error("going back and forward gave another session")
	}
	d.wantCalls(code, "success")

	// After the sign-out, the back button must not show the operator.
	b.click("#sign-out")
	b.at(d.service + "signed-out")
	b.travel(-1)
	b.at(d.service + "signin")
}

func TestDoubleClick(t *testing.T) {
	d := startDemo(t)
	t.Run("on the link", func(t *testing.T) {
		b := newBrowser(t)
		code, link := d.issue(merchant)
		b.open(elsewhere(t, link, ""))
		b.do(chromedp.DoubleClick(chromedp.CSS("#enter")))
		b.arrives(d, merchant)
		b.wantOneSession(d)
		d.wantCalls(code, "success")
	})
	t.Run("while the first request is in progress", func(t *testing.T) {
		b := newBrowser(t)
		d.goWrong("hold")
		code, link := d.issue(merchant)
		b.open(elsewhere(t, link, ""))
		x, y := b.place("#enter")
		b.do(chromedp.MouseClickXY(x, y))
		d.awaitHeld(code)
		before := b.asked("/koubei/callback")
		b.do(chromedp.MouseClickXY(x, y)) // the browser cancels the first navigation
		testworld.Eventually(t, patience, "the second click is sent", func() error {
			if b.asked("/koubei/callback") == before {
				return fmt.Errorf("still %d requests", before)
			}
			return nil
		})
		d.release()
		b.arrives(d, merchant)
		b.wantOneSession(d)
		d.wantCalls(code, "success")
	})
	t.Run("on the portal", func(t *testing.T) { // each click there issues another code
		b := newBrowser(t)
		already := len(d.calls(""))
		b.open(d.portal)
		b.do(chromedp.DoubleClick(chromedp.CSS("[data-person=mer]")))
		b.arrives(d, merchant)
		b.wantOneSession(d)
		var codes []string
		for _, c := range d.calls("")[already:] {
			d.Log.KeepOut(c.Code)
			codes = append(codes, c.Code)
		}
		if n := len(codes); n == 0 || len(slices.Compact(codes)) != n {
			t.Errorf("got calls about %q, want each code once", codes)
		}
	})
}

func TestTwoTabsAtOnce(t *testing.T) {
	d := startDemo(t)
	t.Run("with the same link", func(t *testing.T) {
		one := newBrowser(t)
		two := one.another()
		d.goWrong("hold")
		code, link := d.issue(provider)
		page := elsewhere(t, link, "")
		one.open(page)
		two.open(page)
		one.click("#enter")
		d.awaitHeld(code)
		two.click("#enter")
		testworld.Eventually(t, patience, "the second tab sends its request", func() error {
			if two.asked("/koubei/callback") == 0 {
				return fmt.Errorf("it has not")
			}
			return nil
		})
		d.release()
		one.arrives(d, provider)
		two.arrives(d, provider)
		one.wantOneSession(d)
		d.wantCalls(code, "success")
	})
	t.Run("for two merchants", func(t *testing.T) {
		one := newBrowser(t)
		_, first := d.issue(person{id: provider.id, typ: provider.typ})
		one.open(first)
		one.at(d.shop(person{}))
		token := one.wantOneSession(d)

		two := one.another()
		d.goWrong("hold", "hold")
		noodlesCode, noodlesLink := d.issue(provider)
		coffeeCode, coffeeLink := d.issue(providerForCoffee)
		one.open(elsewhere(t, noodlesLink, ""))
		two.open(elsewhere(t, coffeeLink, ""))
		one.click("#enter")
		two.click("#enter")
		d.awaitHeld(noodlesCode, coffeeCode)
		d.release()
		one.arrives(d, provider)
		two.arrives(d, providerForCoffee)
		one.reload() // each tab keeps its own merchant
		one.arrives(d, provider)
		if got := one.wantOneSession(d); got != token {
			t.Error("a landing of the session's own operator gave another session")
		}
		one.click("#identity")
		one.at(d.service)
		for _, partner := range []string{noodles, coffee, ""} {
			one.see(fmt.Sprintf("[data-partner=%q]", partner))
		}
		d.wantCalls(noodlesCode, "success")
		d.wantCalls(coffeeCode, "success")
	})
}

// TestPrefetchThenClick: browsers and their extensions prefetch links. A prefetch must not spend the code.
func TestPrefetchThenClick(t *testing.T) {
	d := startDemo(t)
	for _, row := range []struct{ name, head string }{
		{"link", `<link rel="prefetch" href="LINK">`},
		{"speculation rules", `<script type="speculationrules">{"prefetch":[{"source":"list","urls":["LINK"],"eagerness":"immediate"}]}</script>`},
		{"prerender", `<script type="speculationrules">{"prerender":[{"source":"list","urls":["LINK"],"eagerness":"immediate"}]}</script>`},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBrowser(t)
			code, link := d.issue(merchant)
			before := strings.Count(d.Log.String(), "status=503")
			b.open(elsewhere(t, link, strings.ReplaceAll(row.head, "LINK", link)))
			testworld.Eventually(t, patience, "the browser prefetches the link", func() error {
				if strings.Count(d.Log.String(), "status=503") == before {
					return fmt.Errorf("no request was refused: %s", d.Log.String())
				}
				return nil
			})
			d.wantCalls(code)
			b.click("#enter")
			b.arrives(d, merchant)
			d.wantCalls(code, "success")
		})
	}
}
