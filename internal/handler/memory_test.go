package handler_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

const knownCookie = "koubei_session_known"

// clerk returns one of several people who share a browser.
func clerk(n int) koubeisim.Person {
	p := testworld.MerchantStaff
	p.OperatorID = fmt.Sprintf("20881021504780%02d", n)
	return p
}

// use lands as each of these people, answers yes if asked, and signs out.
func use(t *testing.T, w *testworld.World, s *testworld.Service, b *testworld.Browser, people ...koubeisim.Person) {
	t.Helper()
	for _, p := range people {
		a := b.Land(testworld.On(s, w.Landing(w.Koubei.Issue(p))))
		if a.StatusCode == http.StatusOK {
			a = b.Post(s.Public+w.Config.Web.CallbackPath+"/switch", formOf(a, "yes"))
		}
		if a.StatusCode != http.StatusSeeOther {
			t.Fatalf("landing as %s: got %d, want 303", p.OperatorID, a.StatusCode)
		}
		signOut(t, s, b)
	}
}

func signOut(t *testing.T, s *testworld.Service, b *testworld.Browser) {
	t.Helper()
	if a := b.Post(s.Public+"/logout", nil); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign-out: got %d, want 303", a.StatusCode)
	}
}

// formOf returns the filled-in form of a page that asks.
func formOf(page testworld.Answer, decision string) url.Values {
	form := url.Values{"decision": {decision}}
	for _, m := range hiddenField.FindAllStringSubmatch(page.Body, -1) {
		form.Set(m[1], m[2])
	}
	return form
}

// secureJar is the cookie jar of a browser behind a proxy with TLS: the browser uses https where the service sees http.
type secureJar struct{ *cookiejar.Jar }

func (j secureJar) over(u *url.URL) *url.URL {
	secure := *u
	secure.Scheme = "https"
	return &secure
}

func (j secureJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.Jar.SetCookies(j.over(u), cookies)
}
func (j secureJar) Cookies(u *url.URL) []*http.Cookie { return j.Jar.Cookies(j.over(u)) }

// framed configures a service that Koubei shows in a frame over https.
func framed(c *app.Config) {
	public := *c.Web.PublicURL
	public.Scheme = "https"
	c.Web.PublicURL = &public
	c.Session.Cookie.Secure, c.Session.Cookie.SameSite = true, http.SameSiteNoneMode
	c.Web.FrameAncestors = []string{"https://koubei.example"}
}

// arrange prepares a browser before somebody lands with it.
type arrange func(*testing.T, *testworld.World, *testworld.Browser)

// used has these people land and sign out.
func used(people ...koubeisim.Person) arrange {
	return func(t *testing.T, w *testworld.World, b *testworld.Browser) { use(t, w, w.Service, b, people...) }
}

// usedAt has one clerk land and sign out at a replica with other settings.
func usedAt(changes ...func(*app.Config)) arrange {
	return func(t *testing.T, w *testworld.World, b *testworld.Browser) {
		use(t, w, w.Replica(changes...), b, clerk(1))
	}
}

// clerks returns the first n clerks.
func clerks(n int) (people []koubeisim.Person) {
	for i := range n {
		people = append(people, clerk(i))
	}
	return people
}

// sealedWith configures one key, which consists of this letter.
func sealedWith(letter string) func(*app.Config) {
	return func(c *app.Config) { c.Session.SealKeys = [][]byte{[]byte(strings.Repeat(letter, 32))} }
}

func TestMemoryOfEarlierOperators(t *testing.T) {
	t.Parallel()
	testMemory(t, []memoryRow{
		{name: "empty"},
		{name: "contains this operator", before: used(testworld.Sales)},
		{name: "contains others", before: used(clerk(1)), known: "••••8001"},
		{name: "contains others, newest first", before: used(clerk(1), clerk(2)), known: "••••8002"},
		{name: "contains this operator and others", before: used(testworld.Sales, clerk(1))},
		{name: "full of others", before: used(clerks(8)...), known: "••••8007"},
		{name: "full, this operator the oldest", before: used(append([]koubeisim.Person{testworld.Sales}, clerks(7)...)...)},
		{name: "full, this operator has left", before: used(append([]koubeisim.Person{testworld.Sales}, clerks(8)...)...), known: "••••8007"},
	})
}

func TestMemoryIsSealed(t *testing.T) {
	t.Parallel()
	testMemory(t, []memoryRow{
		{name: "junk", before: func(_ *testing.T, w *testworld.World, b *testworld.Browser) {
			b.SetCookie(w.Public, &http.Cookie{Name: knownCookie, Value: strings.Repeat("J", 300), Path: "/"})
		}},
		{name: "sealed with a key that was lost", before: usedAt(sealedWith("k"))},
		{name: "sealed with a key that was replaced and kept", before: usedAt(sealedWith("o")), known: "••••8001",
			change: func(c *app.Config) { c.Session.SealKeys = append(c.Session.SealKeys, []byte(strings.Repeat("o", 32))) }},
		{name: "another application's", before: func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			other := testworld.New(t, func(c *app.Config) { c.Session.SealKeys = w.Config.Session.SealKeys })
			use(t, other, other.Service, b, clerk(1))
		}},
		{name: "a second cookie of the same name", before: func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			use(t, w, w.Service, b, clerk(1))
			two := w.Browser()
			use(t, w, w.Service, two, testworld.Sales)
			b.SetCookie(w.Public+"/koubei/", &http.Cookie{Name: knownCookie, Value: two.Cookie(w.Public, knownCookie), Path: "/koubei/"})
		}},
	})
}

func TestMemoryEnds(t *testing.T) {
	t.Parallel()
	testMemory(t, []memoryRow{
		{name: "the session ended by itself", before: func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			if a := b.Land(w.Landing(w.Koubei.Issue(clerk(1)))); a.StatusCode != http.StatusSeeOther {
				t.Fatalf("got %d", a.StatusCode)
			}
			w.Clock.Turn(13 * time.Hour)
		}, known: "••••8001"},
		{name: "29 days later", before: func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			use(t, w, w.Service, b, clerk(1))
			w.Clock.Turn(29 * 24 * time.Hour)
		}, known: "••••8001"},
		{name: "30 days later", before: func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			use(t, w, w.Service, b, clerk(1))
			w.Clock.Turn(30 * 24 * time.Hour)
		}},
		{name: "a browser that drops the cookie", before: func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			use(t, w, w.Service, b, clerk(1))
			b.SetCookie(w.Public, &http.Cookie{Name: knownCookie, Path: "/", MaxAge: -1})
		}},
		{name: "forgotten", before: func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			use(t, w, w.Service, b, clerk(1))
			if a := b.Post(w.Public+"/forget", nil); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" {
				t.Errorf("forget: got %d to %q", a.StatusCode, a.Header.Get("Location"))
			}
		}},
	})
}

func TestMemorySettings(t *testing.T) {
	t.Parallel()
	testMemory(t, []memoryRow{
		{name: "OPERATOR_MEMORY=0", change: func(c *app.Config) { c.Landing.Memory = 0 }, before: used(clerk(1)), off: true},
		{name: "OPERATOR_MEMORY=0 after it was on", change: func(c *app.Config) { c.Landing.Memory = 0 }, off: true,
			before: usedAt(func(c *app.Config) { c.Landing.Memory = time.Hour })},
		{name: "switch confirmation off", change: func(c *app.Config) { c.Landing.Confirm = false }, before: used(clerk(1)), off: true},
		{name: "framed with SameSite=None", change: framed, before: func(t *testing.T, w *testworld.World, b *testworld.Browser) {
			b.Client.Jar = secureJar{b.Client.Jar.(*cookiejar.Jar)}
			b.Header.Set("Sec-Fetch-Dest", "iframe")
			use(t, w, w.Service, b, clerk(1))
		}, known: "••••8001"},
		{name: "without the arrival check", change: func(c *app.Config) { c.Web.ArrivalCheck = false }, before: used(clerk(1)), known: "••••8001"},
	})
}

// memoryRow is a browser that others may have used before.
type memoryRow struct {
	name   string
	change func(*app.Config)
	before arrange
	known  string // the operator that the page shows, if it asks
	off    bool   // nothing is remembered after the landing either
}

// testMemory lands as sales staff in each browser. Nobody is signed in.
func testMemory(t *testing.T, rows []memoryRow) {
	t.Helper()
	stranger := testworld.Sales
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := testworld.New(t, func(c *app.Config) {
				if tt.change != nil {
					tt.change(c)
				}
			})
			b := w.Browser()
			if tt.before != nil {
				tt.before(t, w, b)
			}
			link := w.Landing(w.Koubei.Issue(stranger))
			a := b.Land(link)
			if tt.known != "" {
				wantStrangersQuestion(t, w, b, a, stranger, tt.known)
				if again := b.Get(link); formOf(again, "yes").Encode() != formOf(a, "yes").Encode() {
					t.Error("a refresh asks something else")
				}
				a = b.Post(switchURL(w), formOf(a, "yes"))
			}
			if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" {
				t.Fatalf("got %d to %q, want 303 to the home address", a.StatusCode, a.Header.Get("Location"))
			}
			wantSignedIn(t, w, b, stranger.OperatorID)
			if n := w.Koubei.CallsFor(codeIn(t, link)); n != 1 {
				t.Errorf("got %d calls, want 1", n)
			}
			if tt.off == slices.ContainsFunc(a.Cookies(), func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "_known") }) {
				t.Errorf("got a memory: %v, want %v", tt.off, !tt.off)
			}
			// The same person is not asked again. Another person is asked if the browser has a memory.
			signOut(t, w.Service, b)
			if a := b.Land(w.Landing(w.Koubei.Issue(stranger))); a.StatusCode != http.StatusSeeOther {
				t.Errorf("again: got %d, want 303", a.StatusCode)
			}
			signOut(t, w.Service, b)
			if a := b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))); (a.StatusCode == http.StatusOK) == tt.off {
				t.Errorf("another person: got %d", a.StatusCode)
			}
		})
	}
}

func codeIn(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("auth_code")
}

// wantStrangersQuestion checks the page that asks about a stranger, and that nothing has changed yet.
func wantStrangersQuestion(t *testing.T, w *testworld.World, b *testworld.Browser, a testworld.Answer, stranger koubeisim.Person, known string) {
	t.Helper()
	if a.StatusCode != http.StatusOK || !strings.Contains(a.Body, stranger.OperatorID) || !strings.Contains(a.Body, ">"+known+"<") {
		t.Fatalf("got %d, want a page that names %s and %s:\n%s", a.StatusCode, stranger.OperatorID, known, a.Body)
	}
	if strings.Contains(a.Body, "20881021504780") {
		t.Error("the page shows the whole id of a remembered operator")
	}
	if a.Header.Get("Referrer-Policy") != "strict-origin" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got headers %v", a.Header)
	}
	for _, c := range a.Cookies() {
		if strings.HasSuffix(c.Name, "koubei_session") || strings.HasSuffix(c.Name, "_known") {
			t.Errorf("%s was set before the answer", c.Name)
		}
	}
	wantSignedIn(t, w, b, "")
	if n := w.Redis.Client.Exists(t.Context(), w.Config.Redis.Prefix+"operator:"+stranger.OperatorID).Val(); n != 0 {
		t.Error("the stranger's session began before the answer")
	}
}

func TestStrangersQuestionAnsweredNo(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) {
		public := *c.Web.PublicURL
		public.Path = "/koubei"
		c.Web.PublicURL = &public
	})
	b := w.Browser()
	s := *w.Service
	s.Public += "/koubei"
	if a := b.Land(w.Landing(w.Koubei.Issue(clerk(1)))); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d", a.StatusCode)
	}
	signOut(t, &s, b)
	memory := b.Cookie(w.Public, knownCookie)
	link, page := asked(t, w, b, testworld.Sales)
	for _, what := range []string{"no", "no twice"} {
		if a := b.Post(switchURL(w), formOf(page, "no")); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/koubei/signin" {
			t.Errorf("%s: got %d to %q, want 303 to /koubei/signin", what, a.StatusCode, a.Header.Get("Location"))
		}
	}
	if b.Cookie(w.Public, knownCookie) != memory || b.Cookie(w.Public, "koubei_session") != "" {
		t.Error("the refused operator is signed in or remembered")
	}
	b.Header.Set("Accept", "application/json")
	if a := b.Post(switchURL(w), formOf(page, "yes")); a.Problem() != "switch_expired" {
		t.Errorf("yes after no: got %d %q", a.StatusCode, a.Problem())
	}
	if a := b.Get(link); a.Problem() != "code_used" {
		t.Errorf("the link again: got %d %q", a.StatusCode, a.Problem())
	}
}

func TestStrangersQuestionIsAsSafeAsTheSwitch(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	use(t, w, w.Service, b, clerk(1))
	link, page := asked(t, w, b, testworld.Sales)
	problem := func(b *testworld.Browser, form url.Values) string {
		t.Helper()
		json := w.Browser()
		json.Client.Jar = b.Client.Jar
		json.Header.Set("Accept", "application/json")
		if form == nil {
			return json.Get(link).Problem()
		}
		a := json.Post(switchURL(w), form)
		if a.StatusCode == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		return a.Problem()
	}
	if got := problem(b, nil); got != "operator_differs" {
		t.Errorf("JSON: got %q, want operator_differs", got)
	}
	thief := w.Browser() // an attacker with the link and the form
	if got := problem(thief, formOf(page, "yes")); got != "switch_expired" {
		t.Errorf("another browser's yes: got %q", got)
	}
	if got := thief.Land(link); got.StatusCode != http.StatusGone {
		t.Errorf("another browser's refresh: got %d", got.StatusCode)
	}
	w.Redis.Freeze()
	for _, decision := range []string{"yes", "no"} {
		if got := problem(b, formOf(page, decision)); got != "store_unavailable" {
			t.Errorf("Redis away, %s: got %q", decision, got)
		}
	}
	w.Redis.Thaw()
	w.Clock.Turn(14 * time.Minute)
	if again := b.Get(link); again.StatusCode != http.StatusOK {
		t.Errorf("after 14 minutes: got %d, want the question", again.StatusCode)
	}
	// A known operator lands in another tab: the question was about a browser without a session.
	if a := b.Land(w.Landing(w.Koubei.Issue(clerk(1)))); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d", a.StatusCode)
	}
	for _, decision := range []string{"yes", "no"} {
		if got := problem(b, formOf(page, decision)); got != "switch_stale" {
			t.Errorf("another operator signed in during the question, %s: got %q", decision, got)
		}
	}
	wantSignedIn(t, w, b, clerk(1).OperatorID)
	if again := b.Get(link); !strings.Contains(again.Body, clerk(1).OperatorID) || answerTo(t, again, "yes").Get("session") == "" {
		t.Error("asked again, but not about the session that is live now")
	}
	signOut(t, w.Service, b)
	w.Clock.Turn(time.Minute)
	for _, decision := range []string{"yes", "no"} {
		if got := problem(b, formOf(page, decision)); got != "switch_expired" {
			t.Errorf("after 15 minutes, %s: got %q", decision, got)
		}
	}
	wantSignedIn(t, w, b, "")
}

// TestAProgramIsAskedAboutAStranger: a client without the hop gets an arrival with the question, so that it can answer.
func TestAProgramIsAskedAboutAStranger(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	p := w.Program()
	use := func(person koubeisim.Person) (string, testworld.Answer) {
		link := w.Landing(w.Koubei.Issue(person))
		return link, p.Get(link)
	}
	use(clerk(1))
	p.Post(w.Public+"/logout", nil)
	link, a := use(testworld.Sales)
	if a.StatusCode != http.StatusConflict || a.Problem() != "operator_differs" || !strings.Contains(a.Body, `"page":"`+strings.TrimPrefix(link, w.Public)+`"`) {
		t.Fatalf("got %d %s", a.StatusCode, a.Body)
	}
	p.Header.Set("Accept", "text/html")
	if a := p.Post(switchURL(w), formOf(p.Get(link), "yes")); a.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d, want 303", a.StatusCode)
	}
	wantSignedIn(t, w, p, testworld.Sales.OperatorID)
}

// TestThreeClerksShareAComputer: each of them except the first is asked once.
func TestThreeClerksShareAComputer(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	questions := map[int]int{}
	for day := range 40 {
		for n := range 3 {
			a := b.Land(w.Landing(w.Koubei.Issue(clerk(n))))
			if a.StatusCode == http.StatusOK {
				questions[n]++
				a = b.Post(switchURL(w), formOf(a, "yes"))
			}
			if a.StatusCode != http.StatusSeeOther {
				t.Fatalf("day %d, clerk %d: got %d", day, n, a.StatusCode)
			}
			wantSignedIn(t, w, b, clerk(n).OperatorID)
			signOut(t, w.Service, b)
		}
		w.Clock.Turn(24 * time.Hour)
	}
	if got := fmt.Sprint(questions); got != "map[1:1 2:1]" {
		t.Errorf("got questions %s, want one about each but the first", got)
	}
}

// tabs are two tabs of one browser with concurrent requests. Both send the cookies that the browser had at the start.
type tabs struct {
	t      *testing.T
	w      *testworld.World
	b      *testworld.Browser
	cookie string
}

// openTabs saves the cookies that both tabs send.
func openTabs(t *testing.T, w *testworld.World, b *testworld.Browser) *tabs {
	t.Helper()
	u, err := url.Parse(w.Public)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, c := range b.Client.Jar.Cookies(u) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return &tabs{t, w, b, strings.Join(pairs, "; ")}
}

// send sends a request with the saved cookies, and does not store the cookies of the response.
func (s *tabs) send(send func(*testworld.Browser) testworld.Answer) testworld.Answer {
	s.t.Helper()
	tab := s.w.Browser()
	tab.Client.Jar = nil
	tab.Header.Set("Cookie", s.cookie)
	return send(tab)
}

func (s *tabs) get(link string) testworld.Answer {
	s.t.Helper()
	return s.send(func(b *testworld.Browser) testworld.Answer { return b.Get(link) })
}

func (s *tabs) post(form url.Values) testworld.Answer {
	s.t.Helper()
	return s.send(func(b *testworld.Browser) testworld.Answer { return b.Post(switchURL(s.w), form) })
}

// arrive stores the cookies of a response in the browser.
func (s *tabs) arrive(answers ...testworld.Answer) {
	for _, a := range answers {
		s.b.Client.Jar.SetCookies(a.Request.URL, a.Cookies())
	}
}

// wantRemembered checks that each of these people lands without a question.
func (s *tabs) wantRemembered(people ...koubeisim.Person) {
	s.t.Helper()
	for _, p := range people {
		s.b.Post(s.w.Public+"/logout", nil)
		if a := s.b.Land(s.w.Landing(s.w.Koubei.Issue(p))); a.StatusCode != http.StatusSeeOther {
			s.t.Errorf("%s: got %d, want 303: remembered", p.OperatorID, a.StatusCode)
		}
	}
}

// TestTwoTabsLandAtOnce: the memory gets both operators, in whatever order the responses arrive.
func TestTwoTabsLandAtOnce(t *testing.T) {
	t.Parallel()
	one, two := clerk(1), clerk(2)
	for name, arrive := range map[string]func(s *tabs, first, second testworld.Answer){
		"in order":             func(s *tabs, first, second testworld.Answer) { s.arrive(first, second) },
		"the first is late":    func(s *tabs, first, second testworld.Answer) { s.arrive(second, first) },
		"the first gets lost":  func(s *tabs, _, second testworld.Answer) { s.arrive(second) },
		"the second gets lost": func(s *tabs, first, _ testworld.Answer) { s.arrive(first) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testworld.New(t)
			links := []string{w.Landing(w.Koubei.Issue(one)), w.Landing(w.Koubei.Issue(two))}
			b := w.Browser()
			b.Get(links[0]) // the arrival hop
			s := openTabs(t, w, b)
			first, second := s.get(links[0]), s.get(links[1])
			if first.StatusCode != http.StatusSeeOther || second.StatusCode != http.StatusOK {
				t.Fatalf("got %d and %d, want the second to meet the first and to ask", first.StatusCode, second.StatusCode)
			}
			arrive(s, first, second)
			if a := s.b.Post(switchURL(w), formOf(second, "yes")); a.StatusCode != http.StatusSeeOther {
				t.Fatalf("yes: got %d", a.StatusCode)
			}
			wantSignedIn(t, w, s.b, two.OperatorID)
			s.wantRemembered(one, two)
		})
	}
	t.Run("both are asked and say yes", func(t *testing.T) {
		w := testworld.New(t)
		b := w.Browser()
		use(t, w, w.Service, b, clerk(0))
		links := []string{w.Landing(w.Koubei.Issue(one)), w.Landing(w.Koubei.Issue(two))}
		pages := []testworld.Answer{b.Land(links[0]), b.Land(links[1])}
		s := openTabs(t, w, b)
		first, second := s.post(formOf(pages[0], "yes")), s.post(formOf(pages[1], "yes"))
		if first.StatusCode != http.StatusSeeOther || second.StatusCode != http.StatusConflict {
			t.Fatalf("got %d and %d, want 303, and 409: another session than none is live", first.StatusCode, second.StatusCode)
		}
		s.arrive(second, first)
		if a := b.Post(switchURL(w), formOf(b.Get(links[1]), "yes")); a.StatusCode != http.StatusSeeOther {
			t.Fatalf("asked again: got %d", a.StatusCode)
		}
		s.wantRemembered(clerk(0), one, two)
	})
	t.Run("one operator for two partners", func(t *testing.T) {
		w := testworld.New(t)
		b := w.Browser()
		use(t, w, w.Service, b, clerk(0), testworld.Provider)
		links := []string{w.Landing(w.Koubei.Issue(with("2088000000000001"))), w.Landing(w.Koubei.Issue(with("2088000000000002")))}
		s := openTabs(t, w, b)
		s.arrive(s.get(links[1]), s.get(links[0]))
		wantSignedIn(t, w, b, testworld.Provider.OperatorID)
		s.wantRemembered(clerk(0), testworld.Provider)
	})
}

// TestTheOperatorWhoIsReplacedIsRemembered also covers an operator who landed before the memory was turned on.
func TestTheOperatorWhoIsReplacedIsRemembered(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, clerk(1))
	b.SetCookie(w.Public, &http.Cookie{Name: knownCookie, Path: "/", MaxAge: -1})
	_, page := asked(t, w, b, clerk(2))
	if a := b.Post(switchURL(w), answerTo(t, page, "yes")); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d", a.StatusCode)
	}
	(&tabs{t: t, w: w, b: b}).wantRemembered(clerk(1), clerk(2))
}

// TestAReplayRenewsTheMemory: a reload renews the memory too.
func TestAReplayRenewsTheMemory(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Session.Lifetime, c.Session.Idle = 24*time.Hour, 0 })
	b := w.Browser()
	link := w.Landing(w.Koubei.Issue(clerk(1)))
	b.Land(link)
	w.Clock.Turn(23 * time.Hour)
	if a := b.Get(link); a.StatusCode != http.StatusSeeOther || a.SetsCookie(knownCookie) == "" {
		t.Fatalf("got %d, want a replay that renews the memory", a.StatusCode)
	}
	signOut(t, w.Service, b)
	w.Clock.Turn(29*24*time.Hour + 12*time.Hour)
	if _, a := asked(t, w, b, testworld.Sales); a.StatusCode != http.StatusOK {
		t.Errorf("got %d, want the question: the clerk is still remembered", a.StatusCode)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	if strings.Contains(b.Get(w.Public+"/").Body, "/forget") {
		t.Error("a button where nothing is remembered")
	}
	b = land(t, w, testworld.Provider)
	page := b.Get(w.Public + "/")
	if !strings.Contains(page.Body, `action="/forget"`) || page.Header.Get("Referrer-Policy") != "strict-origin" {
		t.Error("no button for who is signed in")
	}
	w.Redis.Freeze() // it needs no Redis
	b.Header.Set("Accept", "application/json")
	a := b.Post(w.Public+"/forget", nil)
	if a.StatusCode != http.StatusNoContent || a.Header.Get("Cache-Control") != "no-store" || b.Cookie(w.Public, knownCookie) != "" {
		t.Errorf("got %d, want 204 and the cookie gone", a.StatusCode)
	}
	w.Redis.Thaw()
	wantSignedIn(t, w, b, testworld.Provider.OperatorID)
	b.Header.Set("Accept", "text/html")
	use(t, w, w.Service, b, testworld.Provider)
	page = b.Get(w.Public + "/")
	if !strings.Contains(page.Body, `action="/forget"`) || page.Header.Get("Referrer-Policy") != "strict-origin" {
		t.Error("no button for who has signed out")
	}
	if a := b.Post(w.Public+"/forget", nil); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" || b.Cookie(w.Public, knownCookie) != "" {
		t.Errorf("got %d to %q, want 303 to the identity page", a.StatusCode, a.Header.Get("Location"))
	}
	if a := b.Post(w.Public+"/forget", nil); a.StatusCode != http.StatusSeeOther {
		t.Errorf("nothing to forget: got %d, want 303", a.StatusCode)
	}
}
