package e2e_test

import (
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// elsewhere serves a page of another site with a link to a landing, and with more HTML in its head.
func elsewhere(t *testing.T, link, head string) string {
	return testworld.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>elsewhere</title><link rel="icon" href="data:,">%s<p><a id="enter" href="%s">enter</a></p>`,
			head, html.EscapeString(link))
	})) + "/"
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
func (b tab) wantOneSession(d *demo) string {
	b.T.Helper()
	tokens := b.tokens(d)
	if len(tokens) != 1 {
		b.T.Fatalf("got %d session cookies, want one", len(tokens))
	}
	return tokens[0]
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	b := newBrowser(t)
	code, link := d.issue(merchant)
	b.Open(link)
	b.arrives(d, merchant)
	token := b.wantOneSession(d)

	b.Do(chromedp.Reload())
	b.arrives(d, merchant)
	b.Open(link) // as from the history or a bookmark
	b.arrives(d, merchant)
	if got := b.wantOneSession(d); got != token {
		t.Error("the same link again gave another session")
	}
	d.wantCalls(code, "success")
}

func TestBackButton(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	b := newBrowser(t)
	b.Open(d.portal)
	b.Click("[data-person=provider]")
	b.arrives(d, provider)
	token := b.wantOneSession(d)
	code := d.lastCode()
	b.Click("#identity")
	b.At(d.service)

	b.Travel(-1)
	b.arrives(d, provider)
	b.Travel(-1) // skips the landing, because its redirects are not in the history
	b.At(d.portal)
	b.Travel(1)
	b.arrives(d, provider)
	if got := b.wantOneSession(d); got != token {
		t.Error("going back and forward gave another session")
	}
	d.wantCalls(code, "success")

	// After the sign-out, the back button must not show the operator.
	b.Click("#sign-out")
	b.At(d.service + "signed-out")
	b.Travel(-1)
	b.At(d.service + "signin")
}

func TestDoubleClick(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	t.Run("on the link", func(t *testing.T) {
		b := newBrowser(t)
		code, link := d.issue(merchant)
		b.Open(elsewhere(t, link, ""))
		b.Do(chromedp.DoubleClick(chromedp.CSS("#enter")))
		b.arrives(d, merchant)
		b.wantOneSession(d)
		d.wantCalls(code, "success")
	})
	t.Run("while the first request is in progress", func(t *testing.T) {
		b := newBrowser(t)
		d.goWrong("hold")
		code, link := d.issue(merchant)
		b.Open(elsewhere(t, link, ""))
		press := b.Presser("#enter")
		press()
		d.awaitHeld(code)
		before := b.Requests("/koubei/callback")
		press() // the browser cancels the first navigation
		testworld.Eventually(t, patience, "the second click is sent", func() error {
			if b.Requests("/koubei/callback") == before {
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
		b.Open(d.portal)
		b.Do(chromedp.DoubleClick(chromedp.CSS("[data-person=mer]")))
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
	t.Parallel()
	d := startDemo(t)
	t.Run("with the same link", func(t *testing.T) {
		one := newBrowser(t)
		two := one.another()
		d.goWrong("hold")
		code, link := d.issue(provider)
		page := elsewhere(t, link, "")
		one.Open(page)
		two.Open(page)
		one.Click("#enter")
		d.awaitHeld(code)
		two.Click("#enter")
		testworld.Eventually(t, patience, "the second tab sends its request", func() error {
			if two.Requests("/koubei/callback") == 0 {
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
		_, first := d.issue(personNamed("provider-none"))
		one.Open(first)
		one.At(d.shop(koubeisim.Person{}))
		token := one.wantOneSession(d)

		two := one.another()
		d.goWrong("hold", "hold")
		noodlesCode, noodlesLink := d.issue(provider)
		coffeeCode, coffeeLink := d.issue(providerForCoffee)
		one.Open(elsewhere(t, noodlesLink, ""))
		two.Open(elsewhere(t, coffeeLink, ""))
		one.Click("#enter")
		two.Click("#enter")
		d.awaitHeld(noodlesCode, coffeeCode)
		d.release()
		one.arrives(d, provider)
		two.arrives(d, providerForCoffee)
		one.Do(chromedp.Reload()) // each tab keeps its own merchant
		one.arrives(d, provider)
		if got := one.wantOneSession(d); got != token {
			t.Error("a landing of the session's own operator gave another session")
		}
		one.Click("#identity")
		one.At(d.service)
		for _, partner := range []string{provider.PartnerID, providerForCoffee.PartnerID, ""} {
			one.See(fmt.Sprintf("[data-partner=%q]", partner))
		}
		d.wantCalls(noodlesCode, "success")
		d.wantCalls(coffeeCode, "success")
	})
}

// TestPrefetchThenClick: browsers and their extensions prefetch links. A prefetch must not spend the code.
func TestPrefetchThenClick(t *testing.T) {
	t.Parallel()
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
			b.Open(elsewhere(t, link, strings.ReplaceAll(row.head, "LINK", link)))
			testworld.Eventually(t, patience, "the browser prefetches the link", func() error {
				if strings.Count(d.Log.String(), "status=503") == before {
					return fmt.Errorf("no request was refused: %s", d.Log.String())
				}
				return nil
			})
			d.wantCalls(code)
			b.Click("#enter")
			b.arrives(d, merchant)
			d.wantCalls(code, "success")
		})
	}
}
