package handler_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

const pendingPrefix = "koubei_session_pending_"

// arrive sends a browser through the hop, and returns the address that lands.
func arrive(t *testing.T, b *testworld.Browser, link string) string {
	t.Helper()
	hop := b.Get(link)
	marked, err := hop.Request.URL.Parse(hop.Header.Get("Location"))
	if err != nil || hop.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d to %v", hop.StatusCode, err)
	}
	return marked.String()
}

// background navigates in the background.
func background(t *testing.T, b *testworld.Browser, address string) <-chan testworld.Answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan testworld.Answer, 1)
	go func() {
		a, err := b.Try(r)
		if err != nil {
			t.Error(err)
			a.Response = &http.Response{}
		}
		done <- a
	}()
	return done
}

func awaitHeld(t *testing.T, w *testworld.World, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.Koubei.AwaitHeld(ctx, n); err != nil {
		t.Fatal(err)
	}
}

// dying returns a replica that is killed before it writes to the ledger.
func dying(w *testworld.World) *testworld.Service {
	return w.Replica(func(c *app.Config) { c.Operations.ShutdownTimeout = 50 * time.Millisecond })
}

// restart restarts Redis with empty data, and waits until the replicas are connected again.
func restart(t *testing.T, w *testworld.World, others ...*testworld.Service) {
	t.Helper()
	w.Redis.Start()
	for _, s := range append(others, w.Service) {
		wantReady(t, w, s, http.StatusOK)
	}
}

// lose makes Redis fail between exchange and save of each landing.
func lose(t *testing.T, w *testworld.World, b *testworld.Browser, away func(), addresses ...string) []testworld.Answer {
	t.Helper()
	var done []<-chan testworld.Answer
	for i, address := range addresses {
		w.Koubei.Next(koubeisim.SpendThenHold)
		done = append(done, background(t, b, address))
		awaitHeld(t, w, i+1)
	}
	away()
	w.Koubei.Release()
	var answers []testworld.Answer
	for _, d := range done {
		a := <-d
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.SetsCookie(pendingPrefix) == "" || a.SetsCookie("koubei_session=") != "" {
			t.Fatalf("got %d, want 503 with Retry-After and the grant in a cookie", a.StatusCode)
		}
		answers = append(answers, a)
	}
	return answers
}

func pendingCookies(cookies []*http.Cookie) []*http.Cookie {
	return slices.DeleteFunc(cookies, func(c *http.Cookie) bool { return !strings.HasPrefix(c.Name, pendingPrefix) })
}

func TestRedisLostAfterTheExchangeTheRetryLandsOnAnotherReplica(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	replica := w.Replica()
	for _, tt := range []struct {
		name       string
		away, back func()
	}{
		{"restarted empty", w.Redis.Kill, func() { restart(t, w, replica) }},
		{"intact", w.Redis.Freeze, w.Redis.Thaw},
	} {
		b := w.Browser()
		code := w.Koubei.Issue(testworld.Provider)
		link := w.Landing(code) + "&return_to=/shop"
		a := lose(t, w, b, tt.away, arrive(t, b, link))[0]
		c := pendingCookies(a.Cookies())[0]
		if !c.HttpOnly || c.MaxAge != 300 || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || len(c.Value) > 2000 {
			t.Errorf("%s: got %+v", tt.name, c)
		}
		for _, secret := range []string{code, testworld.Provider.OperatorID, testworld.Provider.PartnerID} {
			if strings.Contains(c.String(), secret) {
				t.Errorf("%s: the cookie can be read", tt.name)
			}
		}
		// Redis is still unavailable: nothing changes.
		if again := b.Get(link); again.StatusCode != http.StatusServiceUnavailable || len(pendingCookies(b.Client.Jar.Cookies(again.Request.URL))) != 1 {
			t.Errorf("%s: while away: got %d, want 503 and the grant kept", tt.name, again.StatusCode)
		}
		tt.back()
		landed := b.Get(testworld.On(replica, link))
		if landed.StatusCode != http.StatusSeeOther || landed.Header.Get("Location") != "/shop" {
			t.Fatalf("%s: got %d to %q, want 303 to /shop", tt.name, landed.StatusCode, landed.Header.Get("Location"))
		}
		if left := pendingCookies(b.Client.Jar.Cookies(landed.Request.URL)); len(left) != 0 {
			t.Errorf("%s: the grant is still in the jar", tt.name)
		}
		wantSignedIn(t, w, b, testworld.Provider.OperatorID)
		if n := w.Koubei.CallsFor(code); n != 1 {
			t.Errorf("%s: got %d calls, want 1", tt.name, n)
		}
		// Sent again after the sign-out, the pending grant does not restore the session.
		token := b.Cookie(w.Public, "koubei_session")
		b.Post(w.Public+"/logout", nil)
		b.SetCookie(w.Public, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/"})
		b.Header.Set("Accept", "application/json")
		if a := b.Get(link); a.Problem() != "code_used" || a.SetsCookie("koubei_session=") != "" {
			t.Errorf("%s: replayed: got %d %q, want code_used", tt.name, a.StatusCode, a.Problem())
		}
		b.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: token, Path: "/"})
		wantSignedIn(t, w, b, "")
	}
}

func TestTwoTabsInOneOutageBothKeepTheirGrants(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	lost := dying(w)
	b := w.Browser()
	links := []string{w.Landing(w.Koubei.Issue(with("2088000000000002"))), w.Landing(w.Koubei.Issue(with("2088000000000003")))}
	arrive(t, b, links[0])
	lose(t, w, b, w.Redis.Kill, testworld.On(lost, links[0]), testworld.On(lost, links[1]))
	_ = lost.Stop()
	restart(t, w)
	for _, link := range links {
		if a := b.Get(link); a.StatusCode != http.StatusSeeOther {
			t.Errorf("got %d, want 303 for each tab", a.StatusCode)
		}
	}
	if _, id := b.Session(w.Service, ""); len(id.Partners) != 2 {
		t.Errorf("got %v, want both partners", partnerIDs(id))
	}
	if n := len(w.Koubei.Calls()); n != 2 {
		t.Errorf("got %d calls, want 2", n)
	}
}

func TestPendingCookieIsBoundToItsBrowser(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Provider)
	link := w.Landing(code)
	lost := dying(w)
	c := pendingCookies(lose(t, w, b, w.Redis.Kill, testworld.On(lost, arrive(t, b, link)))[0].Cookies())[0]
	_ = lost.Stop()
	restart(t, w)
	for name, bend := range map[string]func(thief *testworld.Browser, value string) string{
		"stolen":        func(_ *testworld.Browser, value string) string { return value },
		"forged":        func(_ *testworld.Browser, value string) string { return value[:len(value)-1] + "A" },
		"made up":       func(*testworld.Browser, string) string { return strings.Repeat("A", 300) },
		"far too long":  func(*testworld.Browser, string) string { return strings.Repeat("A", 4000) },
		"not base64url": func(*testworld.Browser, string) string { return "<>" },
	} {
		thief := w.Browser()
		thief.Header.Set("Accept", "application/json")
		thief.SetCookie(w.Public, &http.Cookie{Name: c.Name, Value: bend(thief, c.Value), Path: "/"})
		if a := thief.Land(link); a.Problem() != "code_not_exist" || a.SetsCookie("koubei_session=") != "" {
			t.Errorf("%s: got %d %q, want the gateway's refusal", name, a.StatusCode, a.Problem())
		}
		wantSignedIn(t, w, thief, "")
	}
	// Another code of the same browser: the grants are not mixed up.
	other := w.Landing(w.Koubei.Issue(testworld.Merchant))
	b.SetCookie(w.Public, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/"})
	if a := b.Get(other); a.StatusCode != http.StatusSeeOther {
		t.Errorf("another code: got %d", a.StatusCode)
	}
	wantSignedIn(t, w, b, testworld.Merchant.OperatorID)
	// The grant is still valid for its own code. The browser is asked, because it is signed in as the merchant now.
	if a := b.Get(link); a.StatusCode != http.StatusOK || !strings.Contains(a.Body, testworld.Provider.OperatorID) {
		t.Errorf("its own browser: got %d, want the question", a.StatusCode)
	}
}

func TestStalePendingCookieIsIgnored(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	link := w.Landing(w.Koubei.Issue(testworld.Provider))
	lost := dying(w)
	lose(t, w, b, w.Redis.Kill, testworld.On(lost, arrive(t, b, link)))
	_ = lost.Stop()
	restart(t, w)
	w.Clock.Turn(15 * time.Minute)
	if a := b.Get(link); a.StatusCode != http.StatusGone || a.SetsCookie("koubei_session=") != "" {
		t.Errorf("got %d, want 410", a.StatusCode)
	}
	wantSignedIn(t, w, b, "")
}

func TestAPendingGrantWithoutTheArrivalCheck(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.ArrivalCheck = false })
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Provider)
	a := lose(t, w, b, w.Redis.Kill, w.Landing(code))[0]
	if a.SetsCookie(arrivalPrefix) == "" {
		t.Error("no arrival came with the grant, which is bound to one")
	}
	restart(t, w)
	if a := b.Get(w.Landing(code)); a.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d, want 303", a.StatusCode)
	}
	if n := w.Koubei.CallsFor(code); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
}

func TestParallelRetriesOfAPendingCookie(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.AdminToken = adminToken })
	b := w.Browser()
	link := w.Landing(w.Koubei.Issue(testworld.Provider))
	lose(t, w, b, w.Redis.Kill, arrive(t, b, link))
	restart(t, w)
	replica := w.Replica()
	wantReady(t, w, replica, http.StatusOK)
	var done []<-chan testworld.Answer
	for i := range 8 {
		done = append(done, background(t, b, []string{link, testworld.On(replica, link)}[i%2]))
	}
	for _, d := range done {
		if a := <-d; a.StatusCode != http.StatusSeeOther {
			t.Errorf("got %d, want 303", a.StatusCode)
		}
	}
	if n := len(listed(t, w, testworld.Provider.OperatorID)); n != 1 {
		t.Errorf("got %d sessions, want 1", n)
	}
}

func TestSignOutDeletesPendingGrants(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, with("2088000000000001"))
	lose(t, w, b, w.Redis.Freeze, w.Landing(w.Koubei.Issue(with("2088000000000002"))))
	w.Redis.Thaw()
	a := b.Post(w.Public+"/logout", nil)
	if left := pendingCookies(b.Client.Jar.Cookies(a.Request.URL)); a.StatusCode != http.StatusSeeOther || len(left) != 0 {
		t.Errorf("got %d and %d grants left, want none", a.StatusCode, len(left))
	}
}
