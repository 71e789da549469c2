package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/history"
	"koubei-landing/koubeisim"
)

// browser keeps cookies and belongs to one scene.
type browser struct {
	*testworld.Browser
	s     *scene
	name  string
	links map[string]link // by partner: those that it has opened
}

func (s *scene) browser() *browser {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &browser{testworld.NewBrowser(s.t, s.log), s, fmt.Sprint("browser ", len(s.opened)), map[string]link{}}
	s.opened = append(s.opened, b)
	return b
}

// answer is a response with its body. Its status is 0 if no response arrived.
type answer struct {
	status int
	header http.Header
	body   string
	token  string // of the session that it sets
}

// ask sends a request to a replica. The contract must allow the response.
func (b *browser) ask(n int, method, uri string, form url.Values) answer {
	public, internal := b.s.nodes[n].addresses()
	base := public
	if strings.HasPrefix(uri, "/auth/") || strings.HasPrefix(uri, "/admin/") {
		base = internal
	}
	r, err := http.NewRequest(method, base+uri, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err) // our own address
	}
	switch {
	case base == internal:
		r.Header.Set("Authorization", "Bearer "+adminToken)
		r.Header.Set("Sec-Fetch-Mode", "cors")
		r.Header.Set("Accept", "application/json")
	case method == http.MethodPost:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", base)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	a := b.send(r)
	b.s.judge(method+" "+r.URL.Path, a)
	return a
}

func (b *browser) send(r *http.Request) answer {
	res, err := b.Try(r)
	if err != nil {
		return answer{header: http.Header{}}
	}
	a := answer{status: res.StatusCode, header: res.Header, body: res.Body}
	for _, c := range res.Cookies() {
		if c.Name == sessionCookie && c.MaxAge >= 0 {
			a.token = c.Value
		}
	}
	return a
}

var problemCode = regexp.MustCompile(`"code":\s*"(\w+)"|id="error-code">(\w+)<`)

// problem returns the error code of a response.
func problem(a answer) string {
	if m := problemCode.FindStringSubmatch(a.body); m != nil {
		return m[1] + m[2]
	}
	return ""
}

func (a answer) unsettled() bool { return a.status == 0 || a.status == http.StatusServiceUnavailable }

func (a answer) landed() bool { return a.status == http.StatusSeeOther && a.token != "" }

func (a answer) String() string { return strings.TrimSpace(fmt.Sprint(a.status, " ", problem(a))) }

// open opens a link.
func (b *browser) open(n int, l link) answer {
	b.s.mu.Lock()
	b.links[l.PartnerID] = l
	b.s.mu.Unlock()
	began := time.Now()
	a := b.ask(n, http.MethodGet, l.uri, nil)
	if !strings.Contains(a.header.Get("Location"), "arrived=") {
		b.s.history.Add(history.Operation{Kind: history.Land, Code: l.code, Browser: b.name, Token: a.token, Person: l.OperatorID,
			Result: a.result(), Began: began, Ended: time.Now()})
	}
	return a
}

// verdicts maps the error codes of the service to those of the gateway.
var verdicts = map[string]string{"invalid_parameter": "INVALID_PARAMETER", "code_not_exist": "AUTH_CODE_NOT_EXIST",
	"code_expired": "AUTH_CODE_EXPIRES", "access_not_allowed": "ACCESS_NOT_ALLOWED"}

// result returns what a response means for the code.
func (a answer) result() history.Result {
	verdict, ok := verdicts[problem(a)]
	switch {
	case ok:
		return history.Verdict(verdict)
	case a.landed():
		return history.OK
	case a.status == http.StatusOK:
		return history.Asked
	case a.status == http.StatusGone || a.status == http.StatusConflict:
		return history.Used
	}
	return history.Unknown
}

// hop follows the arrival hop, so that the next request lands. A browser with an arrival cookie gets no hop.
func (b *browser) hop(l *link) {
	if len(b.Client.Jar.Cookies(home)) > 0 {
		return
	}
	a := b.open(0, *l)
	if location := a.header.Get("Location"); strings.Contains(location, "arrived=") {
		l.uri = location
		return
	}
	b.s.fail("the arrival hop: %s", a)
}

// arrive returns a new link of a person in a browser that has followed the hop.
func (b *browser) arrive(p koubeisim.Person) link {
	l := b.s.issue(p)
	b.hop(&l)
	return l
}

// signIn lands before the fault.
func (b *browser) signIn(p koubeisim.Person) link {
	l := b.arrive(p)
	a := b.s.settle(func(n int) answer { return b.open(n, l) })
	if !a.landed() {
		b.s.fail("signing in before the fault: %s", a)
	}
	return l
}

var home, _ = url.Parse("http://127.0.0.1/koubei/callback")

func (b *browser) token() string {
	for _, c := range b.Client.Jar.Cookies(home) {
		if c.Name == sessionCookie {
			return c.Value
		}
	}
	return ""
}

func (b *browser) setToken(token string) {
	c := &http.Cookie{Name: sessionCookie, Value: token, Path: "/"}
	if token == "" {
		c.MaxAge = -1
	}
	b.Client.Jar.SetCookies(home, []*http.Cookie{c})
}

// copyWith returns a browser that has only an earlier session token of this one.
func (b *browser) copyWith(token string) *browser {
	c := b.s.browser()
	c.name, c.links = b.name, b.links
	c.setToken(token)
	return c
}

// mustBe checks at both replicas who is signed in.
func (b *browser) mustBe(what string, p koubeisim.Person) {
	for n := range b.s.nodes {
		for way, got := range b.identities(n, p.PartnerID) {
			if want := fmt.Sprint(http.StatusOK, " ", p.OperatorID, " ", p.PartnerID); got != want {
				b.s.lost("%s: %s at replica %d: got %s, want %s", what, way, n, got, want)
			}
		}
	}
}

// mustNotBe checks at both replicas that nobody is signed in for this partner.
func (b *browser) mustNotBe(what string, p koubeisim.Person) {
	for n := range b.s.nodes {
		for way, got := range b.identities(n, p.PartnerID) {
			if !strings.HasPrefix(got, "401") && !strings.HasPrefix(got, "403") {
				b.s.fail("%s: %s at replica %d: got %s, want nobody", what, way, n, got)
			}
		}
	}
}

// identities returns the responses of /session and /auth/verify of a replica, after Redis is back.
func (b *browser) identities(n int, partner string) map[string]string {
	session := b.s.settle(func(int) answer { return b.check(n, "/session?partner_id="+partner, partner) })
	verify := b.s.settle(func(int) answer { return b.check(n, "/auth/verify?partner_id="+partner, partner) })
	return map[string]string{"/session": inBody(session), "/auth/verify": inHeader(verify)}
}

// check asks who is signed in for a partner.
func (b *browser) check(n int, uri, partner string) answer {
	token, began := b.token(), time.Now()
	a := b.ask(n, http.MethodGet, uri, nil)
	o := history.Operation{Kind: history.Check, Code: b.links[partner].code, Browser: b.name, Token: token,
		Result: history.Unknown, Began: began, Ended: time.Now()}
	switch a.status {
	case http.StatusOK:
		o.Result = history.OK
	case http.StatusUnauthorized, http.StatusForbidden:
		o.Result = history.Nobody
	}
	b.s.history.Add(o)
	return a
}

// signOut ends the browser's session.
func (b *browser) signOut(n int) answer {
	token, began := b.token(), time.Now()
	a := b.ask(n, http.MethodPost, "/logout", nil)
	b.signedOut(token, began, a)
	return a
}

// signedOut records that a session should have ended.
func (b *browser) signedOut(token string, began time.Time, a answer) {
	o := history.Operation{Kind: history.SignOut, Browser: b.name, Token: token, Result: history.OK, Began: began, Ended: time.Now()}
	if a.status != http.StatusSeeOther {
		o.Result = history.Unknown
	}
	b.s.history.Add(o)
}

func inBody(a answer) string {
	var id testworld.Identity
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &id) != nil || id.PartnerID == nil {
		return a.String()
	}
	return fmt.Sprint(a.status, " ", id.OperatorID, " ", *id.PartnerID)
}

func inHeader(a answer) string {
	if a.status != http.StatusOK {
		return a.String()
	}
	return fmt.Sprint(a.status, " ", a.header.Get("X-Koubei-Operator-Id"), " ", a.header.Get("X-Koubei-Partner-Id"))
}

var formField = regexp.MustCompile(`name="(\w+)" value="([^"]*)"`)

// decide answers the question on a page about a link; old is the token of the session that yes replaces.
func (b *browser) decide(n int, l link, page answer, decision history.Kind, old string) answer {
	form := url.Values{}
	for _, m := range formField.FindAllStringSubmatch(page.body, -1) {
		form.Set(m[1], m[2])
	}
	form.Set("decision", string(decision))
	began := time.Now()
	a := b.ask(n, http.MethodPost, "/koubei/callback/switch", form)
	o := history.Operation{Kind: decision, Code: l.code, Browser: b.name, Token: a.token, Result: a.result(), Began: began, Ended: time.Now()}
	if decision == history.No && a.status == http.StatusSeeOther {
		o.Result, o.Token = history.OK, ""
	}
	b.s.history.Add(o)
	if decision == history.Yes && o.Result != history.Used {
		b.signedOut(old, began, a)
	}
	return a
}
