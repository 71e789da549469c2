package e2e_test

import (
	"net/url"
	"testing"

	"koubei-landing/internal/testworld/chromium"
)

// foreign are return addresses of other sites, or addresses that some URL parsers take for those of other sites.
var foreign = []string{
	"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, `/./\evil.example`, "/.//evil.example", "/..//evil.example",
	"/a/../..//evil.example", "/%2e%2e//evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example",
	"https:evil.example", "https:/evil.example", "https:///evil.example", "https://evil.example", "https://localhost@evil.example/",
	`https://localhost\@evil.example/`, "https://localhost.evil.example/", "javascript:location='https://evil.example'", "data:text/html,x",
	"/%5cevil.example", "/%2fevil.example", "/%09/evil.example", "/\u2028/evil.example", "//evil%E3%80%82example", "ftp://evil.example/",
}

// lookalikes are return addresses that look similar and stay at the ISV's site.
var lookalikes = []string{"/app//evil.example", "/app?next=//evil.example", "/app#//evil.example", "/app/%252e%252e//evil.example", `/app?x=\evil.example`}

// TestReturnAddressesEndAtHome checks where a landing's redirect ends in a browser, which parses URLs differently from Go.
func TestReturnAddressesEndAtHome(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	b := newBrowser(t)
	_, link := d.issue(merchant)
	home, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range append(lookalikes, foreign...) {
		b.Open(link + "&return_to=" + url.QueryEscape(address))
		if got := chromium.Eval[string](b.Tab, `location.origin`); got != home.Scheme+"://"+home.Host {
			t.Errorf("%q: ended at %s, want %s://%s", address, got, home.Scheme, home.Host)
		}
	}
	if n := b.Requests("://evil"); n != 0 {
		t.Errorf("the browser sent %d requests to other sites", n)
	}
}
