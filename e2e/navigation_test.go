package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"

	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/chromium"
	"koubei-landing/koubeisim"
)

// TestTwoTabsOpenedAtOnce opens two tabs before either has an arrival cookie. Each gets its own cookie, and both get the
// session.
func TestTwoTabsOpenedAtOnce(t *testing.T) {
	t.Parallel()
	top, framed := startSites(t), startSites(t, framedByKoubei)
	for _, row := range []struct {
		name string
		*sites
		jar   string
		page  func(link string) string
		shown func(tab) tab
	}{
		{"in windows", top, "", func(link string) string { return link }, func(b tab) tab { return b }},
		{"in frames", framed, "https://" + koubeiHost,
			func(link string) string { return framed.framing(koubeiHost, "/tabs", link) }, framed.frame},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := row.sites
			one := s.newBrowser(t, noThirdParty)
			two := one.another()
			for _, b := range []tab{one, two} { // with a cache the browser would send one request for both
				chromium.Call(b.Tab, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
			}
			code := s.Koubei.Issue(testworld.Provider)
			page := row.page(s.Landing(code))
			s.Koubei.Next(koubeisim.Hold)
			gates := s.holdVisits(2)
			for _, b := range []tab{one, two} {
				b.Run(fmt.Sprintf(`void (location.href = %q)`, page))
			}
			s.awaitVisits(t, code, 2)
			close(gates[0]) // the first tab's exchange is in progress when the second tab gets its arrival cookie
			s.awaitHeld(t)
			close(gates[1])
			s.awaitVisits(t, code, 4)
			s.Koubei.Release()
			tokens := map[string]bool{}
			for _, b := range []tab{one, two} {
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
				t.Errorf("got %d visits without a cookie, want one of each tab", hops)
			}
			s.wantCalls(t, code, "success")
		})
	}
}

// TestPrefetchFromAnotherSite: over https and from another site, browsers prefetch only if they have no cookies of the
// target.
func TestPrefetchFromAnotherSite(t *testing.T) {
	t.Parallel()
	s := startSites(t)
	b := s.newBrowser(t, noThirdParty)
	code := s.Koubei.Issue(testworld.Merchant)
	link := s.Landing(code)
	b.Open(s.linking(koubeiHost, "/ahead", link, fmt.Sprintf(
		`<script type="speculationrules">{"prefetch":[{"source":"list","urls":[%q],"eagerness":"immediate"}]}</script>`, link)))
	testworld.Eventually(t, patience, "the browser prefetches the link", func() error {
		visits := s.visitsOf(code)
		if len(visits) == 0 || !strings.Contains(visits[0].purpose, "prefetch") || visits[0].status == 0 {
			return fmt.Errorf("got %+v", visits)
		}
		if visits[0].status != http.StatusServiceUnavailable {
			t.Errorf("got status %d, want 503", visits[0].status)
		}
		return nil
	})
	s.wantCalls(t, code)
	b.Click("#enter")
	s.shows(b, testworld.Merchant)
	s.wantSession(b, "")
	s.wantCalls(t, code, "success")
}

// TestCancelledNavigation cancels a navigation while its code is being exchanged. The exchange continues, and a browser that
// returns gets its session.
func TestCancelledNavigation(t *testing.T) {
	t.Parallel()
	const buttons = `<p><button id="stop" onclick="window.stop()">stop</button> <p><a id="away" href="/away">away</a>`
	for _, row := range []struct {
		name  string
		fault koubeisim.Fault
		away  bool
		late  bool // the browser returns after the end of the exchange
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
			b.Open(page)
			// While a navigation is pending, a tab handles only mouse events.
			press := map[string]func(){}
			for _, id := range []string{"#enter", "#stop", "#away"} {
				press[id] = b.Presser(id)
			}
			leave := func() {
				if !row.away {
					press["#stop"]()
					return
				}
				press["#away"]()
				b.At(away)
			}
			back := func() {
				if row.away {
					b.Travel(-1)
					b.At(page)
				}
				press["#enter"]()
			}
			s.cancelled(t, code, departure{fault: row.fault, late: row.late, enter: press["#enter"], leave: leave, back: back})
			s.shows(b, testworld.Provider)
			s.wantSession(b, "")
			s.wantCalls(t, code, "success")
		})
	}
}

func TestCancelledNavigationInFrame(t *testing.T) {
	t.Parallel()
	s := startSites(t, framedByKoubei)
	away := s.page(koubeiHost, "/away", "away")
	run := func(script string) func(tab, string) {
		return func(b tab, _ string) { b.T.Helper(); b.Run(script) }
	}
	for _, row := range []struct {
		name        string
		fault       koubeisim.Fault
		leave, back func(b tab, page string)
		late        bool
	}{
		{"the frame removed", koubeisim.SpendThenHold,
			run(`void (gone = document.getElementById("isv"), gone.remove())`), run(`void document.body.append(gone)`), false},
		{"the framing page left", koubeisim.Hold,
			func(b tab, _ string) { b.Open(away) }, func(b tab, page string) { b.Open(page) }, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := s.newBrowser(t, noThirdParty)
			code := s.Koubei.Issue(testworld.Provider)
			page := s.framing(koubeiHost, "/leaving", s.Landing(code))
			s.cancelled(t, code, departure{
				fault: row.fault, late: row.late,
				enter: func() { run(fmt.Sprintf(`void (location.href = %q)`, page))(b, page) },
				leave: func() { row.leave(b, page) }, back: func() { row.back(b, page) },
			})
			frame := s.frame(b)
			s.shows(frame, testworld.Provider)
			s.wantSession(frame, "https://"+koubeiHost)
			s.wantCalls(t, code, "success")
		})
	}
}

// departure is how a browser leaves a landing while the gateway holds the response, and returns.
type departure struct {
	fault              koubeisim.Fault // holds the response
	late               bool            // the browser returns after the end of the exchange
	enter, leave, back func()
}

// cancelled has a browser enter with a code, leave and return.
func (s *sites) cancelled(t *testing.T, code string, d departure) {
	t.Helper()
	s.Koubei.Next(d.fault)
	d.enter()
	s.awaitHeld(t)
	before := len(s.visitsOf(code))
	d.leave()
	testworld.Eventually(t, patience, "the browser has left", func() error {
		if visits := s.visitsOf(code); !visits[before-1].left {
			return fmt.Errorf("got %+v", visits)
		}
		return nil
	})
	if d.late {
		s.Koubei.Release()
		testworld.Eventually(t, patience, "the exchange is over", func() error {
			if calls := s.Koubei.Calls(); calls[len(calls)-1].Outcome != "success" {
				return fmt.Errorf("got %+v", calls)
			}
			return nil
		})
	}
	d.back()
	s.awaitVisits(t, code, before+1)
	if !d.late {
		s.Koubei.Release()
	}
}

// awaitVisits waits until the callback has got n requests with a code.
func (s *sites) awaitVisits(t *testing.T, code string, n int) {
	t.Helper()
	testworld.Eventually(t, patience, fmt.Sprintf("the callback has got %d requests", n), func() error {
		if visits := s.visitsOf(code); len(visits) < n {
			return fmt.Errorf("got %+v", visits)
		}
		return nil
	})
}

// awaitHeld waits until the gateway holds a response.
func (s *sites) awaitHeld(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Koubei.AwaitHeld(ctx, 1); err != nil {
		t.Fatal(err)
	}
}
