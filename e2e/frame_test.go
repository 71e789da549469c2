package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// Koubei's merchant centre shows applications in a frame, where our cookies are a third party's. The tests stand on
// sites of their own, over https, because browsers keep the cookies that count there for nothing else.

// newBrowser opens a tab of a fresh profile, and makes sure that the browser keeps the cookies that it is to keep.
func (s *sites) newBrowser(t *testing.T, k keeping) *tab {
	t.Helper()
	b := newBrowserOf(t, k)
	b.open(s.framing(koubeiHost, "/probe", s.at(probeHost, "/")))
	frame := b.inside("iframe", s.at(probeHost, "/"))
	frame.see("#got")
	if got := frame.text("#got"); got != k.probe {
		t.Fatalf("with %s a third party gets %q back, want %q: the browser isn't what this test needs", k.name, got, k.probe)
	}
	return b
}

// frame is the service's frame in a tab.
func (s *sites) frame(b *tab) *tab { b.t.Helper(); return b.inside("iframe", s.at(isvHost, "/")) }

// framedByKoubei lets Koubei show the service's pages.
func framedByKoubei(c *app.Config) {
	c.Session.Cookie.SameSite = http.SameSiteNoneMode
	c.Web.FrameAncestors = []string{"https://" + koubeiHost + ":" + c.Web.PublicURL.Port()}
}

// shows holds a tab to the identity page of somebody.
func (s *sites) shows(b *tab, p koubeisim.Person) {
	b.t.Helper()
	b.at(s.at(isvHost, "/"))
	b.see("#operator-id")
	if got := b.text("#operator-id"); got != p.OperatorID {
		b.t.Errorf("the page says %q, want %q", got, p.OperatorID)
	}
}

// wantSession holds a tab to one session's cookie, in the jar of a site's pages: empty for the one that isn't
// partitioned. It returns the token.
func (s *sites) wantSession(b *tab, jar string) string {
	b.t.Helper()
	var found []*network.Cookie
	for _, c := range s.cookies(b) {
		if c.Name == "__Host-koubei_session" {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		b.t.Fatalf("got %d session cookies, want one", len(found))
	}
	got := ""
	if found[0].PartitionKey != nil {
		got = found[0].PartitionKey.TopLevelSite
	}
	if got != jar {
		b.t.Errorf("the session's cookie lies in the jar of %q, want %q", got, jar)
	}
	return found[0].Value
}

// cookies are those that a tab has for the service; their values must not be in its log.
func (s *sites) cookies(b *tab) []*network.Cookie {
	b.t.Helper()
	cookies := get(b, func(ctx context.Context, t *chromedp.Target) ([]*network.Cookie, error) {
		res, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{URLs: []string{s.at(isvHost, "/")}})
		return res.Cookies, err
	})
	for _, c := range cookies {
		if strings.Contains(s.Log.String(), c.Value) {
			b.t.Errorf("the log holds the value of %s", c.Name)
		}
	}
	return cookies
}

// wantCalls holds the gateway's calls about a code to these outcomes.
func (s *sites) wantCalls(t *testing.T, code string, outcomes ...string) {
	t.Helper()
	var got []string
	for _, c := range s.Koubei.Calls() {
		if c.Code == code {
			got = append(got, c.Outcome)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(outcomes) {
		t.Errorf("got gateway calls %q, want %q", got, outcomes)
	}
}

// enterFramed clicks through Koubei's own page, which shows the service in a frame, and returns the code that it made.
func (s *sites) enterFramed(b *tab) (code string) {
	b.t.Helper()
	b.open(s.at(koubeiHost, "/frame?as=mer"))
	link, err := url.Parse(get(b, chromedp.Evaluate[string](`document.getElementById("isv").src`)))
	if err != nil {
		b.t.Fatal(err)
	}
	return link.Query().Get("auth_code")
}

// blocked holds a tab to the page that says that cookies are blocked, and returns where it leads.
func (s *sites) blocked(b *tab) string {
	b.t.Helper()
	b.see("#open-window")
	if got := b.text("#error-code"); got != "cookies_blocked" {
		b.t.Errorf("got the page of %q, want cookies_blocked", got)
	}
	return get(b, chromedp.Evaluate[string](`document.getElementById("open-window").href`))
}

// wantBlocked holds the last visit with a code to a refusal that may be shown in anybody's frame.
func (s *sites) wantBlocked(t *testing.T, code string) {
	t.Helper()
	visits := s.visitsOf(code)
	if len(visits) == 0 {
		t.Fatal("nobody came with the code")
	}
	if last := visits[len(visits)-1]; last.status != http.StatusForbidden || last.ancestors != "*" {
		t.Errorf("got status %d for frame-ancestors %s, want 403 for *", last.status, last.ancestors)
	}
	s.wantCalls(t, code)
}

func TestFramedByKoubei(t *testing.T) {
	s := startSites(t, framedByKoubei)
	for _, k := range []keeping{allCookies, noThirdParty} {
		t.Run(k.name, func(t *testing.T) {
			b := s.newBrowser(t, k)
			code := s.enterFramed(b)
			frame := s.frame(b)
			s.shows(frame, testworld.Merchant)
			s.wantSession(frame, "https://"+koubeiHost)
			s.wantCalls(t, code, "success")

			frame.click("#sign-out")
			frame.at(s.at(isvHost, "/signed-out"))
			for _, c := range s.cookies(frame) {
				if c.Name == "__Host-koubei_session" {
					t.Error("signing out in the frame left the session's cookie")
				}
			}
		})
	}
}

// The same link again in the frame finds the session again; in a window of its own the jar is another, and so is the
// browser, as far as anybody can tell.
func TestFramedLinkAgain(t *testing.T) {
	s := startSites(t, framedByKoubei)
	b := s.newBrowser(t, noThirdParty)
	code := s.Koubei.Issue(testworld.Provider)
	page := s.framing(koubeiHost, "/again", s.Landing(code))
	b.open(page)
	frame := s.frame(b)
	s.shows(frame, testworld.Provider)
	token := s.wantSession(frame, "https://"+koubeiHost)
	two := b.another()
	two.open(page)
	again := s.frame(two)
	s.shows(again, testworld.Provider)
	if got := s.wantSession(again, "https://"+koubeiHost); got != token {
		t.Error("the same link again gave another session")
	}
	window := b.another()
	window.open(s.Landing(code))
	window.fails("code_used", http.StatusGone)
	s.wantCalls(t, code, "success")
}

// With a lax cookie nothing can be kept in a frame: the code waits for a window of its own.
func TestFramedWithLaxCookie(t *testing.T) {
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
			frame.click("#open-window")
			window := b.inside("page", s.at(isvHost, "/"))
			s.shows(window, testworld.Merchant)
			s.wantSession(window, "")
			s.wantCalls(t, code, "success")
		})
	}
}

// A page of the service's own site could be given the cookies in its frame, and yet may not show what follows: the code
// must not be spent there either.
func TestFramedBySibling(t *testing.T) {
	s := startSites(t)
	b := s.newBrowser(t, allCookies)
	code := s.Koubei.Issue(testworld.Merchant)
	link := s.Landing(code)
	b.open(s.framing(siblingHost, "/", link)) // and what is in it
	s.wantBlocked(t, code)
	b.open(link)
	s.shows(b, testworld.Merchant)
	s.wantCalls(t, code, "success")
}

// A browser that keeps no cookies at all is told so, in a window and in anybody's frame, and the code waits for another.
func TestNoCookiesAtAll(t *testing.T) {
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
			page.open(row.page)
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
	other.open(link)
	s.shows(other, testworld.Merchant)
	s.wantCalls(t, code, "success")
}

// refusal waits until the browser has refused to show a frame, and returns what it says of it.
func (b *tab) refusal() (said string) {
	b.t.Helper()
	testworld.Eventually(b.t, patience, "the browser refuses to show the frame", func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i, c := range b.complaint {
			if strings.Contains(c, "frame-ancestors") {
				said = c
				b.complaint = append(b.complaint[:i], b.complaint[i+1:]...)
				return nil
			}
		}
		return fmt.Errorf("it has complained of %q", b.complaint)
	})
	return said
}

// Nothing in a request names the page around a frame, so a stranger's frame lands like Koubei's, and the code is spent;
// but the browser shows nothing of it, and what was earned lies in a jar that only the stranger's frames open.
func TestFramedByStranger(t *testing.T) {
	s := startSites(t, framedByKoubei)
	for _, k := range []keeping{allCookies, noThirdParty} {
		t.Run(k.name, func(t *testing.T) {
			b := s.newBrowser(t, k)
			code := s.Koubei.Issue(testworld.Merchant)
			b.open(s.framing(strangerHost, "/", s.Landing(code)))
			if said := b.refusal(); !strings.Contains(said, s.origin(koubeiHost)) {
				t.Errorf("the browser says %q, want a refusal for the sake of Koubei", said)
			}
			refused := s.frame(b) // which goes by the address that it doesn't show
			if got := get(refused, chromedp.Evaluate[string](`document.URL`)); !strings.HasPrefix(got, "chrome-error://") {
				t.Errorf("the frame shows %s, want the browser's own page", got)
			}
			if strings.Contains(refused.describe(), testworld.Merchant.OperatorID) {
				t.Error("the frame shows who is signed in")
			}
			s.wantCalls(t, code, "success")

			b.open(s.framing(koubeiHost, "/late", s.Landing(code)))
			frame := s.frame(b)
			frame.see("#error-code")
			if got := frame.text("#error-code"); got != "code_used" {
				t.Errorf("Koubei's frame shows %q, want code_used", got)
			}
			if got := len(s.cookies(frame)); got != 1 {
				t.Errorf("Koubei's frame has %d cookies, want the arrival's alone", got)
			}
			s.wantCalls(t, code, "success")
		})
	}
	t.Run("nobody may", func(t *testing.T) { // and then nothing is spent
		s := startSites(t)
		b := s.newBrowser(t, allCookies)
		code := s.Koubei.Issue(testworld.Merchant)
		b.open(s.framing(strangerHost, "/", s.Landing(code)))
		frame := s.frame(b)
		if got, want := s.blocked(frame), s.Landing(code); got != want {
			t.Errorf("the page leads to %s, want %s", got, want)
		}
		s.wantBlocked(t, code)
	})
}

// Two tabs are opened before either has an arrival cookie: each gets its own, and neither loses the code.
func TestTwoTabsOpenedAtOnce(t *testing.T) {
	top, framed := startSites(t), startSites(t, framedByKoubei)
	for _, row := range []struct {
		name string
		*sites
		jar   string
		page  func(link string) string
		shown func(*tab) *tab
	}{
		{"in windows", top, "", func(link string) string { return link }, func(b *tab) *tab { return b }},
		{"in frames", framed, "https://" + koubeiHost,
			func(link string) string { return framed.framing(koubeiHost, "/tabs", link) }, framed.frame},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := row.sites
			one := s.newBrowser(t, noThirdParty)
			two := one.another()
			for _, b := range []*tab{one, two} { // a browser asks once for two where it has a cache to share the answer by
				b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
					_, err := cdp.Call(ctx, t, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
					return err
				}))
			}
			code := s.Koubei.Issue(testworld.Provider)
			page := row.page(s.Landing(code))
			s.Koubei.Next(koubeisim.Hold)
			gates := s.keep(2)
			for _, b := range []*tab{one, two} {
				b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`void (location.href = %q)`, page)))
			}
			s.awaitVisits(t, code, 2)
			close(gates[0]) // this one's code is under way when the other gets its arrival cookie
			s.awaitHeld(t)
			close(gates[1])
			s.awaitVisits(t, code, 4)
			s.Koubei.Release()
			tokens := map[string]bool{}
			for _, b := range []*tab{one, two} {
				shown := row.shown(b)
				s.shows(shown, testworld.Provider)
				tokens[s.wantSession(shown, row.jar)] = true
			}
			if len(tokens) != 1 {
				t.Errorf("got %d sessions, want one", len(tokens))
			}
			hops := 0
			for _, v := range s.visitsOf(code) {
				if v.status == http.StatusSeeOther && !strings.Contains(v.query, "arrived=") && v.cookies == 0 {
					hops++
				}
			}
			if hops != 2 {
				t.Errorf("got %d visits without a cookie, want both tabs'", hops)
			}
			s.wantCalls(t, code, "success")
		})
	}
}

// Over https, and from another site, a browser sends a prefetch only where it has no cookies yet: as here.
func TestPrefetchFromAnotherSite(t *testing.T) {
	s := startSites(t)
	b := s.newBrowser(t, noThirdParty)
	code := s.Koubei.Issue(testworld.Merchant)
	link := s.Landing(code)
	b.open(s.linking(koubeiHost, "/ahead", link, fmt.Sprintf(
		`<script type="speculationrules">{"prefetch":[{"source":"list","urls":[%q],"eagerness":"immediate"}]}</script>`, link)))
	testworld.Eventually(t, patience, "the browser loads the link ahead", func() error {
		visits := s.visitsOf(code)
		if len(visits) == 0 || !strings.Contains(visits[0].purpose, "prefetch") || visits[0].status == 0 {
			return fmt.Errorf("got %+v", visits)
		}
		if visits[0].status != http.StatusServiceUnavailable {
			t.Errorf("it was answered with %d, want 503", visits[0].status)
		}
		return nil
	})
	s.wantCalls(t, code)
	b.click("#enter")
	s.shows(b, testworld.Merchant)
	s.wantSession(b, "")
	s.wantCalls(t, code, "success")
}

// A navigation is cancelled while its code is being exchanged. The exchange goes on, and who comes back has its session.
func TestCancelledNavigation(t *testing.T) {
	const buttons = `<p><button id="stop" onclick="window.stop()">stop</button> <p><a id="away" href="/away">away</a>`
	for _, row := range []struct {
		name  string
		fault koubeisim.Fault
		away  bool
		late  bool // back when the exchange is over
	}{
		{"window.stop before the code is spent", koubeisim.Hold, false, false},
		{"window.stop after", koubeisim.SpendThenHold, false, true},
		{"another page before the code is spent", koubeisim.Hold, true, true},
		{"another page after", koubeisim.SpendThenHold, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startSites(t)
			b := s.newBrowser(t, noThirdParty)
			code := s.Koubei.Issue(testworld.Provider)
			page := s.linking(koubeiHost, "/leaving", s.Landing(code), buttons)
			away := s.page(koubeiHost, "/away", "away")
			b.open(page)
			// A tab that is on its way hears nothing but its mouse.
			press := map[string]func(){}
			for _, id := range []string{"#enter", "#stop", "#away"} {
				x, y := b.place(id)
				press[id] = func() { b.t.Helper(); b.do(chromedp.MouseClickXY(x, y)) }
			}
			s.cancelled(t, code, row.fault, row.late, func() { press["#enter"]() }, func() {
				if !row.away {
					press["#stop"]()
					return
				}
				press["#away"]()
				b.at(away)
			}, func() {
				if row.away {
					b.travel(-1)
					b.at(page)
				}
				press["#enter"]()
			})
			s.shows(b, testworld.Provider)
			s.wantSession(b, "")
			s.wantCalls(t, code, "success")
		})
	}
}

func TestCancelledNavigationInFrame(t *testing.T) {
	s := startSites(t, framedByKoubei)
	away := s.page(koubeiHost, "/away", "away")
	run := func(script string) func(*tab, string) {
		return func(b *tab, _ string) { b.t.Helper(); b.do(chromedp.Evaluate[chromedp.Void](script)) }
	}
	for _, row := range []struct {
		name        string
		fault       koubeisim.Fault
		leave, back func(b *tab, page string)
		late        bool
	}{
		{"the frame taken away", koubeisim.SpendThenHold,
			run(`void (gone = document.getElementById("isv"), gone.remove())`), run(`void document.body.append(gone)`), false},
		{"the framing page left", koubeisim.Hold,
			func(b *tab, _ string) { b.open(away) }, func(b *tab, page string) { b.open(page) }, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := s.newBrowser(t, noThirdParty)
			code := s.Koubei.Issue(testworld.Provider)
			page := s.framing(koubeiHost, "/leaving", s.Landing(code))
			s.cancelled(t, code, row.fault, row.late,
				func() { run(fmt.Sprintf(`void (location.href = %q)`, page))(b, page) },
				func() { row.leave(b, page) }, func() { row.back(b, page) })
			frame := s.frame(b)
			s.shows(frame, testworld.Provider)
			s.wantSession(frame, "https://"+koubeiHost)
			s.wantCalls(t, code, "success")
		})
	}
}

// cancelled has a browser enter, leave while the gateway keeps the answer back, and come back: before that answer, or
// late.
func (s *sites) cancelled(t *testing.T, code string, fault koubeisim.Fault, late bool, enter, leave, back func()) {
	t.Helper()
	s.Koubei.Next(fault)
	enter()
	s.awaitHeld(t)
	before := len(s.visitsOf(code))
	leave()
	testworld.Eventually(t, patience, "the browser has gone", func() error {
		if visits := s.visitsOf(code); !visits[before-1].left {
			return fmt.Errorf("got %+v", visits)
		}
		return nil
	})
	if late {
		s.Koubei.Release()
		testworld.Eventually(t, patience, "the exchange is over", func() error {
			if calls := s.Koubei.Calls(); calls[len(calls)-1].Outcome != "success" {
				return fmt.Errorf("got %+v", calls)
			}
			return nil
		})
	}
	back()
	s.awaitVisits(t, code, before+1)
	if !late {
		s.Koubei.Release()
	}
}

// awaitVisits waits until the callback was asked with a code so often.
func (s *sites) awaitVisits(t *testing.T, code string, n int) {
	t.Helper()
	testworld.Eventually(t, patience, fmt.Sprintf("the callback was asked %d times", n), func() error {
		if visits := s.visitsOf(code); len(visits) < n {
			return fmt.Errorf("got %+v", visits)
		}
		return nil
	})
}

// awaitHeld waits until the gateway keeps an answer back.
func (s *sites) awaitHeld(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Koubei.AwaitHeld(ctx, 1); err != nil {
		t.Fatal(err)
	}
}
