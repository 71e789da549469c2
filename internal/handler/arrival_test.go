package handler_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

const arrivalPrefix = "koubei_session_arrival_"

func TestNavigationIsRedirectedOnce(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	code := w.Koubei.Issue(testworld.Merchant)
	link := w.Landing(code) + "&x=%E5%8F%A3&return_to=/shop"
	a := b.Get(link)
	location := a.Header.Get("Location")
	mark := "&arrived=" + strconv.FormatInt(time.Now().Unix(), 10)
	if want := strings.TrimPrefix(link, w.Public) + mark[:len(mark)-1]; a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, want) {
		t.Fatalf("got %d to %q, want 303 to %q…", a.StatusCode, location, want)
	}
	cookies := a.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got %d cookies, want the arrival's alone", len(cookies))
	}
	c := cookies[0]
	if !strings.HasPrefix(c.Name, arrivalPrefix) || len(c.Name) != len(arrivalPrefix)+8 || !c.HttpOnly || c.Path != "/" || c.Domain != "" ||
		c.SameSite != http.SameSiteLaxMode || c.MaxAge != 30*24*3600 || c.Secure {
		t.Errorf("got %+v", c)
	}
	if n := len(w.Koubei.Calls()); n != 0 {
		t.Errorf("got %d calls, want none yet", n)
	}
	landed := b.Get(w.Public + location)
	if landed.StatusCode != http.StatusSeeOther || landed.Header.Get("Location") != "/shop" {
		t.Errorf("got %d to %q, want 303 to /shop", landed.StatusCode, landed.Header.Get("Location"))
	}
	if landed.SetsCookie(c.Name) == "" {
		t.Error("the arrival was not renewed")
	}
}

func TestOldWebViewsAreNavigationsToo(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for _, tt := range []struct {
		name, accept, agent string
		hops                bool
	}{
		{"web view", "text/html,*/*", "Mozilla/5.0 AlipayClient/10", true},
		{"upper case", "TEXT/HTML", "Mozilla/5.0", true},
		{"curl", "*/*", "curl/8", false},
		{"a browser's script", "application/json", "Mozilla/5.0", false},
		{"a bot", "text/html", "bot/1", false},
	} {
		b := w.Program()
		b.Header = http.Header{"Accept": {tt.accept}, "User-Agent": {tt.agent}}
		a := b.Get(w.Landing(w.Koubei.Issue(testworld.Merchant)))
		if got := strings.Contains(a.Header.Get("Location"), "arrived="); got != tt.hops {
			t.Errorf("%s: got hop %v, want %v", tt.name, got, tt.hops)
		}
	}
}

func TestCookiesBlocked(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	b.Client.Jar = nil
	code := w.Koubei.Issue(testworld.Merchant)
	hop := b.Get(w.Landing(code))
	a := b.Get(w.Public + hop.Header.Get("Location"))
	checkErrorPage(t, testworld.Answer{Response: a.Response, Body: strings.ReplaceAll(a.Body, code, "")}, code, "cookies_blocked")
	if a.StatusCode != http.StatusForbidden {
		t.Errorf("got %d, want 403", a.StatusCode)
	}
	if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors *") {
		t.Errorf("got %q, want a page that shows in any frame", csp)
	}
	withoutArrived := strings.ReplaceAll(strings.TrimPrefix(w.Landing(code), w.Public), "&", "&amp;")
	if !strings.Contains(a.Body, `href="`+withoutArrived+`" target="_blank"`) {
		t.Errorf("the page has no link to %s in a window of its own", withoutArrived)
	}
	if n := len(w.Koubei.Calls()); n != 0 {
		t.Errorf("got %d calls, want none", n)
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	now := time.Now()
	for _, tt := range []struct {
		name, query string
		status      int
	}{
		{"just now", fmt.Sprintf("arrived=%d", now.Unix()), http.StatusForbidden},
		{"a minute and more ago", fmt.Sprintf("arrived=%d", now.Add(-65*time.Second).Unix()), http.StatusSeeOther},
		{"in the future", fmt.Sprintf("arrived=%d", now.Add(time.Hour).Unix()), http.StatusSeeOther},
		{"no time", "arrived=soon", http.StatusSeeOther},
		{"twice", fmt.Sprintf("arrived=%d&arrived=%d", now.Unix(), now.Unix()), http.StatusSeeOther},
	} {
		a := w.Browser().Get(w.Landing(w.Koubei.Issue(testworld.Merchant)) + "&" + tt.query)
		if a.StatusCode != tt.status || strings.Count(a.Header.Get("Location"), "arrived=") > 1 {
			t.Errorf("%s: got %d to %q, want %d", tt.name, a.StatusCode, a.Header.Get("Location"), tt.status)
		}
	}
}

func TestTwoTabsAtOnceEachGetAnArrivalAndBothBind(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	link := w.Landing(w.Koubei.Issue(testworld.Merchant))
	plain := *b.Client
	plain.Jar = nil
	r, _ := http.NewRequest(http.MethodGet, link, nil)
	r.Header = b.Header.Clone()
	other, err := plain.Do(r) // the second tab's hop, sent before the first tab's cookie arrived
	if err != nil {
		t.Fatal(err)
	}
	other.Body.Close()
	b.Get(link)
	for _, c := range other.Cookies() {
		b.SetCookie(w.Public, c)
	}
	for range 2 {
		if a := b.Get(link); a.StatusCode != http.StatusSeeOther {
			t.Fatalf("got %d, want 303", a.StatusCode)
		}
	}
	// Each arrival alone identifies the same browser.
	for _, c := range other.Cookies() {
		alone := w.Browser()
		alone.SetCookie(w.Public, c)
		if a := alone.Get(link); a.StatusCode != http.StatusSeeOther || alone.Cookie(w.Public, "koubei_session") != b.Cookie(w.Public, "koubei_session") {
			t.Errorf("got %d, want 303 with the same session", a.StatusCode)
		}
	}
}

func TestStolenArrivalNameIsUseless(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	link := w.Landing(w.Koubei.Issue(testworld.Merchant))
	name := b.Get(link).Cookies()[0].Name
	b.Get(link)
	for _, value := range []string{"", "x", "1.AAAAAAAAAAAAAAAAAAAAAA", strings.Repeat("a", 4096)} {
		thief := w.Browser()
		thief.SetCookie(w.Public, &http.Cookie{Name: name, Value: value, Path: "/"})
		thief.Header.Set("Accept", "application/json")
		if a := thief.Land(link); a.Problem() != "code_used" {
			t.Errorf("%.30q: got %d %q, want code_used", value, a.StatusCode, a.Problem())
		}
	}
}

func TestTheNewestFourArrivalsAreKept(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	for range 6 {
		fresh := w.Browser()
		c := fresh.Get(w.Landing(w.Koubei.Issue(testworld.Merchant))).Cookies()[0]
		b.SetCookie(w.Public, c)
		w.Clock.Turn(time.Minute)
	}
	a := b.Get(w.Landing(w.Koubei.Issue(testworld.Merchant)))
	kept, dropped := 0, 0
	for _, c := range a.Cookies() {
		if strings.HasPrefix(c.Name, arrivalPrefix) && c.MaxAge > 0 {
			kept++
		} else if strings.HasPrefix(c.Name, arrivalPrefix) {
			dropped++
		}
	}
	if kept != 4 || dropped != 2 {
		t.Errorf("got %d kept and %d dropped, want 4 and 2", kept, dropped)
	}
}

func TestArrivalCheckOff(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.ArrivalCheck = false })
	a := w.Browser().Get(w.Landing(w.Koubei.Issue(testworld.Merchant)))
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" {
		t.Errorf("got %d to %q, want 303 home at once", a.StatusCode, a.Header.Get("Location"))
	}
}
