package e2e_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"koubei-landing/internal/app"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/chromium"
)

// kept returns the cookies of a tab for the service, as NAME=VALUE, except those of arrivals.
func (s *sites) kept(b tab) []string {
	b.T.Helper()
	var kept []string
	for _, c := range s.cookies(b) {
		if !strings.Contains(c.Name, "_arrival_") {
			kept = append(kept, c.Name+"="+c.Value)
		}
	}
	slices.Sort(kept)
	return kept
}

// begun reports whether an operator has or had a session.
func (s *sites) begun(t *testing.T, operatorID string) bool {
	t.Helper()
	n, err := s.Redis.Client.Exists(t.Context(), s.Config.Redis.Prefix+"operator:"+operatorID).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// TestAnAttackersLinkTheNextDay: an attacker sends a merchant a link with the attacker's own code. The merchant used the
// application yesterday and has no session now. Until the merchant answers yes, the service shows no page of the attacker's
// session and stores none.
func TestAnAttackersLinkTheNextDay(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		change  func(*app.Config)
		keeping keeping
		page    func(s *sites, path, link string) string // the page that leads to the link
		enter   func(b tab)
		shown   func(s *sites, b tab) tab
	}{
		{"a link on the attacker's page", func(*app.Config) {}, allCookies,
			func(s *sites, path, link string) string { return s.linking(strangerHost, path, link, "") },
			func(b tab) { b.Click("#enter") }, func(_ *sites, b tab) tab { return b }},
		{"framed with SameSite=None", framedByKoubei, noThirdParty,
			func(s *sites, path, link string) string { return s.framing(koubeiHost, path, link) },
			func(tab) {}, (*sites).frame},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startSites(t, row.change)
			victim, attacker := testworld.Merchant, testworld.Sales
			b := s.newBrowser(t, row.keeping)
			b.Open(row.page(s, "/own", s.Landing(s.Koubei.Issue(victim))))
			row.enter(b)
			own := row.shown(s, b)
			s.shows(own, victim)
			before := s.kept(own)
			s.Clock.Turn(24 * time.Hour)

			for _, answer := range []string{"no", "yes"} {
				code := s.Koubei.Issue(attacker)
				b.Open(row.page(s, "/lure-"+answer, s.Landing(code)))
				row.enter(b)
				page := row.shown(s, b)
				page.See("#decision-no")
				if got, want := page.Text("#last-known .id"), "••••"+victim.OperatorID[12:]; got != want {
					t.Errorf("the page says %q was here before, want %q", got, want)
				}
				if got := page.Text("#arriving .id"); got != attacker.OperatorID {
					t.Errorf("the page names %q, want the attacker's account", got)
				}
				nothingYet := func(when string) {
					t.Helper()
					if got := s.kept(page); !slices.Equal(got, before) {
						t.Errorf("%s: the browser keeps %d cookies, want those of before", when, len(got))
					}
					if s.begun(t, attacker.OperatorID) {
						t.Errorf("%s: a session of the attacker's has begun", when)
					}
				}
				nothingYet("asked")
				b.Do(chromedp.Reload())
				page = row.shown(s, b)
				page.See("#decision-no")
				nothingYet("asked again")
				s.wantCalls(t, code, "success")
				if row.name == "a link on the attacker's page" {
					s.attackForm(t, b.another(), code)
					nothingYet("after a form of the attacker's")
					other := b.another()
					other.Open(s.at(isvHost, "/"))
					if got := other.Describe(); !strings.Contains(got, "您还没有登录") || strings.Contains(got, attacker.OperatorID) {
						t.Errorf("another tab shows %s, want nobody signed in", got)
					}
				}
				page.Click("#decision-" + answer)
				if answer == "no" {
					page.At(s.at(isvHost, "/signin"))
					nothingYet("no")
					continue
				}
				s.shows(page, attacker)
				if got := s.kept(page); slices.Equal(got, before) {
					t.Error("yes changed no cookie")
				}
			}
		})
	}
}

// attackForm sends the answer "yes" from the attacker's page. The attacker can compute all fields of the form.
func (s *sites) attackForm(t *testing.T, b tab, code string) {
	t.Helper()
	b.Open(s.page(strangerHost, "/form", fmt.Sprintf(
		`<form method="post" action="%s/switch"><input name="landing" value="%s"><input name="session" value=""><button id="enter" name="decision" value="yes">win</button></form>`,
		s.at(isvHost, s.Config.Web.CallbackPath), operator.HashCode(s.Koubei.AppID(), code))))
	b.Click("#enter")
	b.fails("cross_origin", 403)
}

// TestTheDemoAsksAboutAStranger uses the portal by clicks: one operator enters and signs out, then another enters. The
// service asks about the second operator once.
func TestTheDemoAsksAboutAStranger(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	b := newBrowser(t)
	enter := func(name string) {
		b.Open(d.portal)
		b.Click("[data-person=" + name + "]")
	}
	leave := func() {
		b.Open(d.service)
		b.tokens(d)
		b.Click("#sign-out")
		b.At(d.service + "signed-out")
	}
	enter("mer")
	b.arrives(d, merchant)
	leave()
	enter("provider")
	b.See("#last-known")
	b.Click("#decision-yes")
	b.arrives(d, provider)
	leave()
	for _, name := range []string{"mer", "provider"} {
		enter(name)
		b.arrives(d, personNamed(name))
		leave()
	}
	b.Open(d.service)
	b.Click("#forget")
	testworld.Eventually(t, patience, "the button is gone with the memory", func() error {
		if b.Responses("/koubei/forget", 303) == 0 || chromium.Eval[bool](b.Tab, `!!document.getElementById("forget")`) {
			return errors.New("it is there")
		}
		return nil
	})
	enter("provider-staff")
	b.arrives(d, providerStaff)
	b.tokens(d)
	d.lastCode()
}
