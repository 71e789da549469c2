package e2e_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"koubei-landing/internal/testworld/chromium"
)

// fails waits for the page of an error, and checks its code and status.
func (b tab) fails(code string, status int64) {
	b.T.Helper()
	b.See("#error-code")
	if got := b.Text("#error-code"); got != code {
		b.T.Errorf("got the page of %q, want %q\n%s", got, code, b.Describe())
	}
	if b.Responses("/koubei/callback", status) == 0 {
		b.T.Errorf("no response had status %d", status)
	}
}

func TestExpiredCode(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	b := newBrowser(t)
	b.Open(d.portal)
	b.Click("[data-code=expired]")
	b.See("#chosen")
	b.Click("[data-person=mer]")
	b.fails("code_expired", http.StatusGone)
	code := d.lastCode()
	b.Do(chromedp.Reload())
	b.fails("code_expired", http.StatusGone)
	d.wantCalls(code, "AUTH_CODE_EXPIRES") // the verdict is cached
	if got := b.tokens(d); len(got) != 0 {
		t.Error("there is a session")
	}
	b.Click("#entry")
	b.At(d.portal)
	b.Click("[data-person=mer]")
	b.arrives(d, merchant)
}

func TestUsedCode(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	one, two := newBrowser(t), newBrowser(t)
	code, link := d.issue(merchant)
	one.Open(link)
	one.arrives(d, merchant)
	two.Open(link)
	two.fails("code_used", http.StatusGone)
	if got := two.tokens(d); len(got) != 0 {
		t.Error("the second browser got a session")
	}
	one.Do(chromedp.Reload())
	one.arrives(d, merchant)
	d.wantCalls(code, "success")

	three := newBrowser(t) // the code was used elsewhere
	three.Open(d.portal)
	three.Click("[data-code=used]")
	three.See("#chosen")
	three.Click("[data-person=mer]")
	three.fails("code_not_exist", http.StatusGone)
	d.wantCalls(d.lastCode(), "AUTH_CODE_NOT_EXIST")
}

func TestKoubeiIsBusyAndRecovers(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	t.Run("within the exchange", func(t *testing.T) {
		b := newBrowser(t)
		b.Open(d.portal)
		b.Click("[data-group=refusal] summary")
		b.Click("[data-fault=busy]")
		b.See("#chosen")
		b.Click("[data-person=mer]")
		b.arrives(d, merchant)
		d.wantCalls(d.lastCode(), "isp.unknow-error", "success")
	})
	t.Run("after the page has retried", func(t *testing.T) {
		b := newBrowser(t)
		d.goWrong("busy", "busy", "busy", "busy", "busy") // as many as the attempts of one exchange
		code, link := d.issue(merchant)
		b.Open(link)
		b.fails("gateway_unavailable", http.StatusServiceUnavailable)
		b.See("#retry")
		b.arrives(d, merchant)
		busy := "isp.unknow-error"
		d.wantCalls(code, busy, busy, busy, busy, busy, "success")
		if n := b.Responses("/koubei/callback", http.StatusServiceUnavailable); n != 1 {
			t.Errorf("got %d responses with 503, want one", n)
		}
	})
}

// TestCookiesSwitchedOff: a browser that keeps no cookies must get the page about it before its code is spent.
func TestCookiesSwitchedOff(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	code, link := d.issue(merchant)
	b := tab{noCookies.Tab(t)}
	b.Open(link)
	b.fails("cookies_blocked", http.StatusForbidden)
	d.wantCalls(code)
	elsewhere := chromium.Eval[string](b.Tab, `document.getElementById("open-window").href`)
	if elsewhere != link {
		t.Errorf("the page leads to %s, want the link as it came", elsewhere)
	}
	other := newBrowser(t)
	other.Open(elsewhere)
	other.arrives(d, merchant)
	d.wantCalls(code, "success")
}

// TestFramed: in Koubei's frame the service's cookies are third-party cookies. The page says so and offers a new window.
func TestFramed(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	b := newBrowser(t)
	b.Open(d.portal)
	b.Click("[data-show=frame]")
	b.See("[data-show=frame][aria-current]")
	b.Click("[data-person=mer]")
	frame := b.inside("iframe", d.isv)
	if got := frame.Text("#error-code"); got != "cookies_blocked" {
		t.Errorf("the frame shows %q, want cookies_blocked", got)
	}
	if n := len(d.calls("")); n != 0 {
		t.Errorf("got %d calls before the new window was opened, want none", n)
	}
	frame.Click("#open-window")
	window := b.inside("page", d.isv)
	window.arrives(d, merchant)
	d.wantCalls(d.lastCode(), "success")
}
