package e2e_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/chromium"
	"koubei-landing/koubeisim"
)

// Koubei's merchant center shows applications in a frame, where the service's cookies are third-party cookies. These tests
// use separate sites over https, because browsers keep such cookies only there.

// newBrowser opens a tab of a new profile, and checks that the browser keeps the cookies that k says.
func (s *sites) newBrowser(t *testing.T, k keeping) tab {
	t.Helper()
	b := tab{k.Tab(t)}
	b.Open(s.framing(koubeiHost, "/probe", s.at(probeHost, "/")))
	frame := b.inside("iframe", s.at(probeHost, "/"))
	frame.See("#got")
	if got := frame.Text("#got"); got != k.probe {
		t.Fatalf("with %s the browser returns the cookies %q to a third party, want %q", k.name, got, k.probe)
	}
	return b
}

// frame is the service's frame in a tab.
func (s *sites) frame(b tab) tab { b.T.Helper(); return b.inside("iframe", s.at(isvHost, "/")) }

// framedByKoubei lets Koubei show the service's pages.
func framedByKoubei(c *app.Config) {
	c.Session.Cookie.SameSite = http.SameSiteNoneMode
	c.Web.FrameAncestors = []string{"https://" + koubeiHost + ":" + c.Web.PublicURL.Port()}
}

// shows checks that a tab shows the identity page of an operator.
func (s *sites) shows(b tab, p koubeisim.Person) {
	b.T.Helper()
	b.At(s.at(isvHost, "/"))
	b.See("#operator-id")
	if got := b.Text("#operator-id"); got != p.OperatorID {
		b.T.Errorf("the page says %q, want %q", got, p.OperatorID)
	}
}

// wantSession checks that a tab has one session cookie, partitioned by the site jar. An empty jar means that the cookie is
// not partitioned. It returns the token.
func (s *sites) wantSession(b tab, jar string) string {
	b.T.Helper()
	var found []*network.Cookie
	for _, c := range s.cookies(b) {
		if c.Name == "__Host-koubei_session" {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		b.T.Fatalf("got %d session cookies, want one", len(found))
	}
	got := ""
	if found[0].PartitionKey != nil {
		got = found[0].PartitionKey.TopLevelSite
	}
	if got != jar {
		b.T.Errorf("the session cookie is partitioned by %q, want %q", got, jar)
	}
	return found[0].Value
}

// cookies returns the cookies of a tab for the service, and checks that the service's log contains no value of them.
func (s *sites) cookies(b tab) []*network.Cookie {
	b.T.Helper()
	cookies := chromium.Call(b.Tab, network.GetCookies, network.GetCookiesParams{URLs: []string{s.at(isvHost, "/")}}).Cookies
	for _, c := range cookies {
		if strings.Contains(s.Log.String(), c.Value) {
			b.T.Errorf("the log contains the value of %s", c.Name)
		}
	}
	return cookies
}

// wantCalls checks the outcomes of the gateway calls for a code.
func (s *sites) wantCalls(t *testing.T, code string, outcomes ...string) {
	t.Helper()
	calls := slices.DeleteFunc(s.Koubei.Calls(), func(c koubeisim.Call) bool { return c.Code != code })
	wantOutcomes(t, calls, outcomes)
}

// enterFramed opens Koubei's page that shows the service in a frame, and returns the code that Koubei issued.
func (s *sites) enterFramed(b tab) (code string) {
	b.T.Helper()
	b.Open(s.at(koubeiHost, "/frame?as=mer"))
	link, err := url.Parse(chromium.Eval[string](b.Tab, `document.getElementById("isv").src`))
	if err != nil {
		b.T.Fatal(err)
	}
	return link.Query().Get("auth_code")
}

// blocked checks that a tab shows the page about blocked cookies, and returns the address of its link.
func (s *sites) blocked(b tab) string {
	b.T.Helper()
	b.See("#open-window")
	if got := b.Text("#error-code"); got != "cookies_blocked" {
		b.T.Errorf("got the page of %q, want cookies_blocked", got)
	}
	return chromium.Eval[string](b.Tab, `document.getElementById("open-window").href`)
}

// wantBlocked checks that the last visit with a code was refused, with a page that every site may frame.
func (s *sites) wantBlocked(t *testing.T, code string) {
	t.Helper()
	visits := s.visitsOf(code)
	if len(visits) == 0 {
		t.Fatal("got no visit with the code")
	}
	if last := visits[len(visits)-1]; last.status != http.StatusForbidden || last.ancestors != "*" {
		t.Errorf("got status %d for frame-ancestors %s, want 403 for *", last.status, last.ancestors)
	}
	s.wantCalls(t, code)
}

func TestFramedByKoubei(t *testing.T) {
	t.Parallel()
	s := startSites(t, framedByKoubei)
	for _, k := range []keeping{allCookies, noThirdParty} {
		t.Run(k.name, func(t *testing.T) {
			b := s.newBrowser(t, k)
			code := s.enterFramed(b)
			frame := s.frame(b)
			s.shows(frame, testworld.Merchant)
			s.wantSession(frame, "https://"+koubeiHost)
			s.wantCalls(t, code, "success")

			frame.Click("#sign-out")
			frame.At(s.at(isvHost, "/signed-out"))
			for _, c := range s.cookies(frame) {
				if c.Name == "__Host-koubei_session" {
					t.Error("signing out in the frame left the session's cookie")
				}
			}
		})
	}
}

// TestFramedLinkAgain: in the frame, the same link leads to the same session. A new window has other cookies, so to the
// service it is another browser.
func TestFramedLinkAgain(t *testing.T) {
	t.Parallel()
	s := startSites(t, framedByKoubei)
	b := s.newBrowser(t, noThirdParty)
	code := s.Koubei.Issue(testworld.Provider)
	page := s.framing(koubeiHost, "/again", s.Landing(code))
	b.Open(page)
	frame := s.frame(b)
	s.shows(frame, testworld.Provider)
	token := s.wantSession(frame, "https://"+koubeiHost)
	two := b.another()
	two.Open(page)
	again := s.frame(two)
	s.shows(again, testworld.Provider)
	if got := s.wantSession(again, "https://"+koubeiHost); got != token {
		t.Error("the same link again gave another session")
	}
	window := b.another()
	window.Open(s.Landing(code))
	window.fails("code_used", http.StatusGone)
	s.wantCalls(t, code, "success")
}

// TestFramedWithLaxCookie: a browser keeps no lax cookie of a frame, so the code is spent only in a new window.
func TestFramedWithLaxCookie(t *testing.T) {
	t.Parallel()
	s := startSites(t)
	for _, k := range []keeping{allCookies, noThirdParty} {
		t.Run(k.name, func(t *testing.T) {
			b := s.newBrowser(t, k)
			code := s.enterFramed(b)
			frame := s.frame(b)
			if got, want := s.blocked(frame), s.Landing(code); got != want {
				t.Errorf("the page leads to %s, want %s", got, want)
			}
			s.wantBlocked(t, code)
			if got := s.cookies(frame); len(got) != 0 {
				t.Errorf("the refusal set %d cookies", len(got))
			}
			frame.Click("#open-window")
			window := b.inside("page", s.at(isvHost, "/"))
			s.shows(window, testworld.Merchant)
			s.wantSession(window, "")
			s.wantCalls(t, code, "success")
		})
	}
}

// TestFramedBySibling: a frame in a page of the service's own site can have the cookies, but FRAME_ANCESTORS does not allow
// this page. The code must not be spent there either.
func TestFramedBySibling(t *testing.T) {
	t.Parallel()
	s := startSites(t)
	b := s.newBrowser(t, allCookies)
	code := s.Koubei.Issue(testworld.Merchant)
	link := s.Landing(code)
	b.Open(s.framing(siblingHost, "/", link)) // opens the frame too
	s.wantBlocked(t, code)
	b.Open(link)
	s.shows(b, testworld.Merchant)
	s.wantCalls(t, code, "success")
}

// TestNoCookiesAtAll: a browser that keeps no cookies gets the page about blocked cookies, in a window and in every frame.
// The code is not spent.
func TestNoCookiesAtAll(t *testing.T) {
	t.Parallel()
	s := startSites(t, framedByKoubei)
	code := s.Koubei.Issue(testworld.Merchant)
	link := s.Landing(code)
	b := s.newBrowser(t, noCookies)
	for _, row := range []struct {
		name string
		page string
	}{
		{"in a window", link},
		{"in Koubei's frame", s.framing(koubeiHost, "/no-cookies", link)},
		{"in a stranger's frame", s.framing(strangerHost, "/no-cookies", link)},
	} {
		t.Run(row.name, func(t *testing.T) {
			page := b.another()
			page.Open(row.page)
			if row.page != link {
				page = s.frame(page)
			}
			if got := s.blocked(page); got != link {
				t.Errorf("the page leads to %s, want the link as it came", got)
			}
			s.wantBlocked(t, code)
		})
	}
	other := s.newBrowser(t, allCookies)
	other.Open(link)
	s.shows(other, testworld.Merchant)
	s.wantCalls(t, code, "success")
}

// TestFramedByStranger: no request names the page around a frame, so the landing succeeds and the code is spent. But the
// browser does not show the frame, and its cookies are partitioned: only frames of that page have them.
func TestFramedByStranger(t *testing.T) {
	t.Parallel()
	s := startSites(t, framedByKoubei)
	for _, k := range []keeping{allCookies, noThirdParty} {
		t.Run(k.name, func(t *testing.T) {
			b := s.newBrowser(t, k)
			code := s.Koubei.Issue(testworld.Merchant)
			b.Open(s.framing(strangerHost, "/", s.Landing(code)))
			testworld.Eventually(t, patience, "the browser refuses to show the frame", func() error {
				complaints := b.Complaints()
				for _, said := range complaints {
					if !strings.Contains(said, "frame-ancestors") || !strings.Contains(said, s.origin(koubeiHost)) {
						t.Errorf("the browser says %q, want a refusal that names Koubei's origin", said)
					}
				}
				if len(complaints) == 0 {
					return errors.New("it has not complained")
				}
				return nil
			})
			refused := s.frame(b) // found by the address that the browser refuses to show
			if got := chromium.Eval[string](refused.Tab, `document.URL`); !strings.HasPrefix(got, "chrome-error://") {
				t.Errorf("the frame shows %s, want the browser's own page", got)
			}
			if strings.Contains(refused.Describe(), testworld.Merchant.OperatorID) {
				t.Error("the frame shows who is signed in")
			}
			s.wantCalls(t, code, "success")

			b.Open(s.framing(koubeiHost, "/late", s.Landing(code)))
			frame := s.frame(b)
			frame.See("#error-code")
			if got := frame.Text("#error-code"); got != "code_used" {
				t.Errorf("Koubei's frame shows %q, want code_used", got)
			}
			if got := len(s.cookies(frame)); got != 1 {
				t.Errorf("Koubei's frame has %d cookies, want only the arrival's", got)
			}
			s.wantCalls(t, code, "success")
		})
	}
	t.Run("no site may frame the service, and the code is not spent", func(t *testing.T) {
		s := startSites(t)
		b := s.newBrowser(t, allCookies)
		code := s.Koubei.Issue(testworld.Merchant)
		b.Open(s.framing(strangerHost, "/", s.Landing(code)))
		frame := s.frame(b)
		if got, want := s.blocked(frame), s.Landing(code); got != want {
			t.Errorf("the page leads to %s, want %s", got, want)
		}
		s.wantBlocked(t, code)
	})
}
