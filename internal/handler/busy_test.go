package handler_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestMoreThanMaxRequestsAreRefused fills the service twice. If a place is not given back, or is given back twice, the
// second round fails.
func TestMoreThanMaxRequestsAreRefused(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.MaxRequests = 2 })
	proxy := land(t, w, testworld.Merchant)
	for range 2 {
		first, second := w.Browser(), w.Browser()
		links := []string{arrive(t, first, w.Landing(w.Koubei.Issue(testworld.Provider))), arrive(t, second, w.Landing(w.Koubei.Issue(testworld.Provider)))}
		w.Koubei.Next(koubeisim.Hold, koubeisim.Hold)
		inWork := []<-chan testworld.Answer{background(t, first, links[0]), background(t, second, links[1])}
		awaitHeld(t, w, 2)

		third := w.Browser()
		code := w.Koubei.Issue(testworld.Provider)
		wantOverloaded(t, w, third, w.Landing(code), code)
		wantOverloaded(t, w, third, w.Public+"/signin", code)
		for _, route := range publicRoutes(t, w.Config.Web.PublicURL, "") {
			if route == "public HEAD /arrive" { // of a link preview, which does nothing
				continue
			}
			method, path, _ := strings.Cut(strings.TrimPrefix(route, "public "), " ")
			r, err := http.NewRequest(method, w.Public+strings.Replace(path, "/arrive", w.Config.Web.CallbackPath, 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if a := third.Do(r); a.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s: got %d, want 503: it needs admit in routes.go", route, a.StatusCode)
			}
		}
		if n := w.Koubei.CallsFor(code); n != 0 {
			t.Errorf("got %d calls for a landing that was refused", n)
		}
		// The internal listener has no such limit: users who are signed in can continue.
		if a := verify(t, w, proxy, http.MethodGet, "", nil); a.StatusCode != http.StatusOK {
			t.Errorf("/auth/verify: got %d, want 200", a.StatusCode)
		}

		w.Koubei.Release()
		for _, done := range inWork {
			if a := <-done; a.StatusCode != http.StatusSeeOther {
				t.Errorf("a landing that was let in: got %d, want 303", a.StatusCode)
			}
		}
		if a := third.Land(w.Landing(code)); a.StatusCode != http.StatusSeeOther {
			t.Errorf("the refused landing, afterwards: got %d, want 303", a.StatusCode)
		}
	}
}

// wantOverloaded sends a request as a browser and as a program.
func wantOverloaded(t *testing.T, w *testworld.World, b *testworld.Browser, address, code string) {
	t.Helper()
	page := b.Get(address)
	if page.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d in work: got %d, want 503", w.Config.Web.MaxRequests, page.StatusCode)
	}
	checkErrorPage(t, page, code, "overloaded")
	p := w.Program().Get(address)
	after, err := strconv.Atoi(p.Header.Get("Retry-After"))
	if p.StatusCode != http.StatusServiceUnavailable || p.Problem() != "overloaded" || err != nil || after <= 0 {
		t.Errorf("JSON: got %d %q with Retry-After %q, want 503 overloaded with one", p.StatusCode, p.Problem(), p.Header.Get("Retry-After"))
	}
}
