package faults_test

import (
	"fmt"
	"net/http"
	"sync"

	"koubei-landing/internal/testworld/history"
	"koubei-landing/koubeisim"
)

// operations are the operations into which faults are injected. Each prepares, calls begin, makes the requests of its table row
// at the first replica, calls end, and then retries as a person does.
var operations = []struct {
	name string
	run  func(*scene)
}{
	{"first landing", firstLanding},
	{"second partner", secondPartner},
	{"replay", replay},
	{"replay by arrival", replayByArrival},
	{"two tabs", twoTabs},
	{"question", question},
	{"switch yes", switchYes},
	{"switch no", switchNo},
	{"switch yes, cookie lost", switchWithoutCookie},
	{"sign-out", signOut},
	{"revocation", revocation},
	{"revoked before the save", revokedBeforeSave},
	{"revoked before the retry", revokedBeforeRetry},
	{"landing after a revocation", landingAfterRevocation},
	{"check", check},
	{"who is signed in", whoIsSignedIn},
}

func firstLanding(s *scene) {
	b := s.browser()
	l := b.arrive(stranger())
	s.begin()
	a := b.open(0, l)
	s.end()
	b.mustLand(l, a)
	b.mustStaySignedOut(l)
}

func secondPartner(s *scene) {
	b := s.browser()
	first := b.signIn(stranger())
	token := b.token()
	l := b.arrive(forPartner(first.Person))
	s.begin()
	a := b.open(0, l)
	s.end()
	b.mustLand(l, a)
	b.mustBe("the first partner", first.Person)
	if b.token() != token {
		s.lost("another token for the same operator")
	}
	b.mustStaySignedOut(first, l)
}

func replay(s *scene) {
	b := s.browser()
	l := b.signIn(stranger())
	s.begin()
	a := b.open(0, l)
	s.end()
	b.mustLand(l, a)
}

func replayByArrival(s *scene) {
	b := s.browser()
	l := b.signIn(stranger())
	token := b.token()
	b.setToken("")
	s.begin()
	a := b.open(0, l)
	s.end()
	b.mustLand(l, a)
	if b.token() != token {
		s.lost("another token for the same code")
	}
}

func twoTabs(s *scene) {
	b := s.browser()
	p := stranger()
	links := []link{b.arrive(p), b.arrive(forPartner(p))}
	s.begin()
	answers := make([]answer, len(links))
	var tabs sync.WaitGroup
	for i, l := range links {
		tabs.Go(func() { answers[i] = b.open(i, l) })
	}
	tabs.Wait()
	s.end()
	tokens := map[string]bool{}
	for i, l := range links {
		a := s.persist(answers[i], func(n int) answer { return b.open(n, l) })
		if !a.landed() {
			if !s.excused(l, a) {
				s.lost("tab %d: %s", i, a)
			}
			continue
		}
		s.exchangedOnce(l)
		tokens[a.token] = true
		b.copyWith(a.token).mustBe(fmt.Sprint("tab ", i, " alone"), l.Person)
	}
	if len(tokens) > 1 && s.apart() {
		return
	}
	for _, l := range links {
		if s.unsaved(l) == "" {
			b.mustBe("both tabs", l.Person)
		}
	}
	b.mustStaySignedOut(links...)
}

// meetings are the commands by which two tabs find each other's session. They are optional.
var meetings = map[string]bool{"get arrival": true, "eval arrival": true, "get session": true, "eval revoked": true}

// apart reports whether the fault prevented that the tabs find each other's session. Each then has its own session.
func (s *scene) apart() bool {
	if s.fired == nil || s.fault.Lasts == nil && !meetings[labelOf(*s.fired)] {
		return false
	}
	s.unavoidable("the fault kept two tabs from meeting")
	return true
}

func question(s *scene) {
	b := s.browser()
	old := b.signIn(stranger())
	l := b.arrive(stranger())
	s.begin()
	a := b.open(0, l)
	s.end()
	a = s.persist(a, func(n int) answer { return b.open(n, l) })
	if s.excused(l, a) {
		return
	}
	s.exchangedOnce(l)
	if a.status != http.StatusOK {
		s.lost("the question: %s", a)
		return
	}
	b.mustBe("before the decision", old.Person)
	token := b.token()
	b.mustSwitch(l, token, a, b.decide(0, l, a, history.Yes, token))
}

func switchYes(s *scene) {
	b := s.browser()
	b.signIn(stranger())
	token := b.token()
	l, page := b.ask2(stranger())
	s.begin()
	a := b.decide(0, l, page, history.Yes, token)
	s.end()
	b.mustSwitch(l, token, page, a)
}

func switchNo(s *scene) {
	b := s.browser()
	old := b.signIn(stranger())
	l, page := b.ask2(stranger())
	s.begin()
	a := b.decide(0, l, page, history.No, "")
	s.end()
	a = s.persist(a, func(n int) answer { return b.decide(n, l, page, history.No, "") })
	if a.status != http.StatusSeeOther {
		s.lost("the decision: %s", a)
	}
	b.mustBe("after no", old.Person)
	b.mustNotBe("after no", l.Person)
	if again := s.settle(func(n int) answer { return b.open(n, l) }); again.status != http.StatusGone {
		s.lost("the link after no: %s", again)
	}
	s.exchangedOnce(l)
}

// switchWithoutCookie is a switch after the response with the old session's cookie was lost.
func switchWithoutCookie(s *scene) {
	b := s.browser()
	b.signIn(stranger())
	token := b.token()
	b.setToken("")
	l, page := b.ask2(stranger())
	s.begin()
	a := b.decide(0, l, page, history.Yes, token)
	s.end()
	b.mustSwitch(l, token, page, a)
}

func signOut(s *scene) {
	b := s.browser()
	l := b.signIn(stranger())
	token := b.token()
	s.begin()
	a := b.signOut(0)
	s.end()
	if a.unsettled() && b.token() != token {
		s.fail("%s, and the cookie is gone", a)
	}
	a = s.persist(a, func(n int) answer { return b.signOut(n) })
	if a.status != http.StatusSeeOther {
		s.fail("the sign-out: %s", a)
	}
	b.copyWith(token).mustNotBe("after the sign-out", l.Person)
	b.mustNotReturn(l)
	b.copyWith(token).mustNotBe("after the sign-out and a replay", l.Person)
}

func revocation(s *scene) {
	p := stranger()
	browsers := []*browser{s.browser(), s.browser()}
	for _, b := range browsers {
		b.signIn(p)
	}
	s.begin()
	a := s.revokeOnce(0, p.OperatorID)
	s.end()
	for _, b := range browsers {
		if a.status == http.StatusOK {
			b.mustNotBe("after the revocation's first answer", p)
		}
	}
	if n := s.keepRevoking(a, p.OperatorID); n > len(browsers) {
		s.fail("%d sessions revoked, and there were %d", n, len(browsers))
	}
	for _, b := range browsers {
		b.mustNotBe("after the revocation", p)
	}
	l := browsers[0].arrive(p)
	browsers[0].mustLand(l, browsers[0].open(0, l))
}

// revokedBeforeSave is a landing whose operator is revoked after the gateway's response.
func revokedBeforeSave(s *scene) {
	b := s.browser()
	l := b.arrive(stranger())
	var revocations sync.WaitGroup
	s.front.onAnswer(l.code, func() {
		revocations.Add(1)
		defer revocations.Done()
		s.revoke(l.OperatorID)
	})
	s.begin()
	a := b.open(0, l)
	s.end()
	b.mustNotLand(l, a)
	revocations.Wait() // the landing may have given up before the gateway's response
	b.mayLandAgain(l)
}

// revokedBeforeRetry is a landing whose response may be lost. Before the browser retries, the operator is revoked and lands with
// another code.
func revokedBeforeRetry(s *scene) {
	b := s.browser()
	l := b.arrive(stranger())
	s.begin()
	a := b.open(0, l)
	s.end()
	exchanged := len(s.front.of(l.code)) > 0
	s.revoke(l.OperatorID)
	b.mustNotBe("after the revocation", l.Person)
	if !exchanged { // it begins after the revocation
		b.mustLand(l, a)
		return
	}
	b.mayLandAgain(l)
	b.mustNotLand(l, b.open(0, l))
}

func landingAfterRevocation(s *scene) {
	b := s.browser()
	first := b.signIn(stranger())
	s.revoke(first.OperatorID)
	l := b.arrive(forPartner(first.Person))
	s.begin()
	a := b.open(0, l)
	s.end()
	b.mustLand(l, a)
	b.mustNotBe("the revoked partner", first.Person)
}

func check(s *scene) { s.checkAt("/auth/verify") }

func whoIsSignedIn(s *scene) { s.checkAt("/session") }

func (s *scene) checkAt(uri string) {
	b := s.browser()
	l := b.signIn(stranger())
	s.begin()
	a := b.check(0, uri, l.PartnerID)
	s.end()
	if !a.unsettled() && a.status != http.StatusOK {
		s.lost("the check: %s", a)
	}
	b.mustBe("after the fault", l.Person)
}

// mustLand retries a landing whose first response was a, and fails unless it gets its session.
func (b *browser) mustLand(l link, a answer) {
	s := b.s
	a = s.persist(a, func(n int) answer { return b.open(n, l) })
	if !a.landed() {
		if !s.excused(l, a) {
			s.lost("the landing: %s", a)
		}
		return
	}
	s.exchangedOnce(l)
	b.mustBe("after the landing", l.Person)
	for n := range s.nodes {
		if again := s.settle(func(int) answer { return b.open(n, l) }); !again.landed() || again.token != a.token {
			s.lost("the link again at replica %d: %s, the same token: %t", n, again, again.token == a.token)
		}
	}
	s.exchangedOnce(l)
}

// mustStaySignedOut signs out at once. A write that is still retried from before must not bring a session back.
func (b *browser) mustStaySignedOut(links ...link) {
	if a := b.s.settle(b.signOut); a.status != http.StatusSeeOther {
		b.s.fail("the sign-out afterwards: %s", a)
	}
	b.mustNotReturn(links...)
}

// mustNotReturn opens links again after a sign-out.
func (b *browser) mustNotReturn(links ...link) {
	for _, l := range links {
		for n := range b.s.nodes {
			if again := b.s.settle(func(int) answer { return b.open(n, l) }); again.status != http.StatusGone {
				b.s.lost("the link after the sign-out, at replica %d: %s", n, again)
			}
		}
	}
}

// mustNotLand retries a landing whose grant was revoked.
func (b *browser) mustNotLand(l link, a answer) {
	a = b.s.persist(a, func(n int) answer { return b.open(n, l) })
	if b.s.emptied.Load() && a.landed() {
		b.s.unavoidable("Redis lost the revocation")
		return
	}
	if a.landed() || a.unsettled() {
		b.s.fail("the revoked grant: %s", a)
	}
	b.mustNotBe("the revoked grant", l.Person)
}

// mayLandAgain lands with another code after a revocation, in the same browser. The revoked session must not come back.
func (b *browser) mayLandAgain(revoked link) {
	fresh := b.arrive(forPartner(revoked.Person))
	b.mustLand(fresh, b.open(0, fresh))
	if b.s.emptied.Load() {
		return // Redis may have lost the revocation
	}
	b.mustNotBe("the revoked grant, after another landing", revoked.Person)
}

// ask2 arrives as another operator and returns the page that asks.
func (b *browser) ask2(p koubeisim.Person) (link, answer) {
	l := b.arrive(p)
	page := b.s.settle(func(n int) answer { return b.open(n, l) })
	if page.status != http.StatusOK {
		b.s.fail("the question before the fault: %s", page)
	}
	return l, page
}

// mustSwitch answers yes until it succeeds: the new operator is signed in with a new token, and the old session has ended.
func (b *browser) mustSwitch(l link, old string, page, a answer) {
	s := b.s
	a = s.persist(a, func(n int) answer { return b.decide(n, l, page, history.Yes, old) })
	if !a.landed() {
		s.lost("the decision: %s", a)
		return
	}
	if a.token == old {
		s.fail("the old token for the new operator")
	}
	b.mustBe("after yes", l.Person)
	for n := range s.nodes {
		if got := s.settle(func(int) answer { return b.copyWith(old).ask(n, http.MethodGet, "/session", nil) }); got.status != http.StatusUnauthorized {
			s.fail("the replaced session at replica %d: %s", n, got)
		}
	}
	s.exchangedOnce(l)
	b.mustStaySignedOut(l)
}

// excused reports whether a code is lost for a reason that the service cannot prevent.
func (s *scene) excused(l link, a answer) bool {
	why := s.unsaved(l)
	if a.status != http.StatusGone || why == "" {
		return false
	}
	s.unavoidable(why)
	return true
}
