package handler_test

import (
	"bufio"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

var linkOnPage = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)

// TestPagesLinkToOwnHostOnly: no requested address makes a page link to another host. Browsers read //evil.example and
// /\evil.example as another host.
func TestPagesLinkToOwnHostOnly(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.MaxRequests = 1 })
	b := w.Browser()
	link := arrive(t, b, w.Landing(w.Koubei.Issue(testworld.Provider)))
	w.Koubei.Next(koubeisim.SpendThenHold)
	landing := background(t, b, link) // takes the only slot
	awaitHeld(t, w, 1)
	host := strings.TrimPrefix(w.Public, "http://")
	look := func(state string) {
		t.Helper()
		for _, address := range []string{
			"//evil.example", "//evil.example/x?y=z", "///evil.example", "/\\evil.example", "/%5Cevil.example", "/%5c%5cevil.example/", "//%65vil.example/",
			"/.//evil.example", "/x/..//evil.example", "/x/%2e%2e//evil.example", "/%2F/evil.example", "http://evil.example/", "http://evil.example//evil.example/x",
			"javascript:evil.example", "https:evil.example", "x://evil.example/", "/signin?x=//evil.example", "/koubei/callback?code=x&x=//evil.example", "/;//evil.example",
		} {
			s := connectWith(t, w.Public, func(int) error { return nil })
			s.send(t, "GET "+address+" HTTP/1.1\r\nHost: "+host+"\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
			res, err := http.ReadResponse(s.r, nil)
			if err != nil {
				t.Fatalf("%s: %v", address, err)
			}
			body := new(strings.Builder)
			if _, err := bufio.NewReader(res.Body).WriteTo(body); err != nil {
				t.Fatal(err)
			}
			if res.StatusCode == http.StatusBadRequest && !strings.Contains(body.String(), "<html") {
				continue // net/http's own
			}
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Location") != "" {
				t.Errorf("%s, %s: got %d to %q, want 503", state, address, res.StatusCode, res.Header.Get("Location"))
			}
			for _, m := range linkOnPage.FindAllStringSubmatch(body.String(), -1) {
				target := html.UnescapeString(m[1])
				u, err := url.Parse(target)
				if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(target, "/") || len(target) > 1 && strings.ContainsRune("/\\.", rune(target[1])) || strings.HasPrefix(u.Path, "//") {
					t.Errorf("%s, %s: the page links to %q", state, address, target)
				}
			}
		}
	}
	look("overloaded")
	if a := w.Browser().Get(w.Public + "/signin?x=a%20b&y=;"); !strings.Contains(a.Body, `href="/signin?x=a%20b&amp;y=;"`) {
		t.Error("the page does not link to the address that was asked for")
	}
	w.Signal()
	wantReady(t, w, w.Service, http.StatusServiceUnavailable)
	look("draining")
	w.Koubei.Release()
	if a := <-landing; a.StatusCode != http.StatusSeeOther {
		t.Errorf("the landing: got %d, want 303", a.StatusCode)
	}
}

// TestProblemsAreInEnglish checks programs that request no language.
func TestProblemsAreInEnglish(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for language, want := range map[string]string{"": "en", "*": "en", " *;q=0.5": "en", "en-US": "en", "zh-CN,en;q=0.5": "zh-CN", "zh": "zh-CN"} {
		for _, address := range []string{w.Public + "/session", w.Public + "/nothing", w.Internal + "/auth/verify"} {
			p := w.Program()
			if language != "" {
				p.Header.Set("Accept-Language", language)
			}
			if a := p.Get(address); a.Header.Get("Content-Language") != want || a.Problem() == "" {
				t.Errorf("%q: %s: got %q %q, want %q", language, address, a.Problem(), a.Header.Get("Content-Language"), want)
			}
		}
	}
	b := w.Browser()
	b.Header.Del("Accept-Language")
	if a := b.Get(w.Public + "/nothing"); a.Header.Get("Content-Language") != "zh-CN" {
		t.Errorf("a page: got %q, want zh-CN", a.Header.Get("Content-Language"))
	}
}
