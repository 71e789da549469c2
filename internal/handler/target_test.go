package handler

import (
	"net/url"
	"strings"
	"testing"
)

func targets(t testing.TB) Targets {
	public, err := url.Parse("https://isv.example/koubei")
	if err != nil {
		t.Fatal(err)
	}
	return Targets{PublicURL: public, CallbackPath: "/koubei/callback", ReturnToOrigins: []string{"https://shop.example", "http://dev.example:8080"}}
}

func TestAllowedTargets(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"/":                                    "/",
		"/shop?id=7&x=a%20b#top":               "/shop?id=7&x=a%20b#top",
		"/店":                                   "/%E5%BA%97",
		"/shop?name=店":                         "/shop?name=%E5%BA%97",
		"/a//b":                                "/a//b",
		"/a?next=//evil.example":               "/a?next=//evil.example",
		"https://isv.example/x":                "https://isv.example/x",
		"HTTPS://ISV.example:443/x":            "https://isv.example/x",
		"https://shop.example":                 "https://shop.example",
		"http://dev.example:8080/a":            "http://dev.example:8080/a",
		"/koubei/":                             "/koubei/",
		"https://shop.example/koubei/callback": "https://shop.example/koubei/callback",
	} {
		if got, err := targets(t).Parse(raw); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", raw, got, err, want)
		}
	}
}

// attacks are addresses that lead to another host, or that some browser or proxy would interpret in this way.
var attacks = []string{
	"", "shop", "./shop", "?x", "#x", "//evil.example", "///evil.example", "////evil.example", `/\evil.example`, `\\evil.example`,
	`/./\evil.example`, "/.//evil.example", "/..//evil.example", "/a/../..//evil.example", "/%2e%2e/x", "/%2E/x", "/\t/evil.example",
	"/\n/evil.example", "/\r\nSet-Cookie: a=b", " /x", "/x ", "/x\x00", "https:evil.example", "https:/evil.example", "https:///evil.example",
	"https://evil.example", "http://isv.example/x", "https://isv.example:8443/", "https://isv.example.evil.example/", "https://evil.example#isv.example",
	"https://isv.example@evil.example/", "https://user@isv.example/", `https://isv.example\@evil.example/`, "https://isv.example%2eevil.example/",
	"https://[::1]/", "javascript:alert(1)", "data:text/html,x", "//isv.example/x", "ftp://isv.example/", "https://shop.example.evil/", "https://*.example/",
	"/koubei/callback", "/koubei/callback?code=x", "/koubei/callback/", "/koubei//callback", "/koubei/callback/switch", "https://isv.example/koubei/callback?code=x",
	"/koubei%2fcallback?code=x", "/%6boubei/callback?code=x", "/%", "/%zz", "https://ｅvil.example/", "/\u2028x", "/\u2029x", "/\ufffd", "/%5cevil.example", "/%2f/evil.example", "/%2fevil.example",
}

func TestRefusedTargets(t *testing.T) {
	t.Parallel()
	for _, raw := range append(attacks, "/"+strings.Repeat("a", maxTarget), "/"+strings.Repeat("店", maxTarget/4)) {
		if got, err := targets(t).Parse(raw); err == nil {
			t.Errorf("%.60q: got %q, want it refused", raw, got)
		}
	}
}

func TestCollision(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ base, callback, want string }{
		{"", "/koubei/callback", ""},
		{"", "/session", "/session"},
		{"", "/session/", "/session"},
		{"", "/static/callback", "/static"},
		{"", "/sessions", ""},
		{"", "/.well-known/callback", "/.well-known"},
		{"/shop", "/shop", "/shop"},
		{"/shop", "/shop/", "/shop"},
		{"/shop", "/shop/signin", "/shop/signin"},
		{"/shop", "/shop/callback", ""},
		{"/shop", "/signin", ""},
		{"/callback/switch", "/callback", "/callback/switch"},
	} {
		if got := Collision(tt.base, tt.callback); got != tt.want {
			t.Errorf("%s below %q: got %q, want %q", tt.callback, tt.base, got, tt.want)
		}
	}
}

func TestHomeTemplates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ template, want string }{
		{"/", "/"},
		{"/p/{partner_id}", "/p/20%2F..%3F%23"},
		{"/p/{partner_id}/{operator_type}", "/p/20%2F..%3F%23/MER%20X"},
		{"/home?partner={partner_id}&by={operator_id}", "/home?partner=20%2F..%3F%23&by="},
		{"https://shop.example/m/{operator_id}", "https://shop.example/m/"},
		{"https://shop.example?p={operator_type}", "https://shop.example?p=MER%20X"},
	} {
		home, err := targets(t).ParseHome(tt.template)
		if err != nil {
			t.Errorf("%s: %v", tt.template, err)
			continue
		}
		if got := home.fill("20/..?#", "..", "MER X"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.template, got, tt.want)
		}
	}
	for _, bad := range []string{"", "home", "/{partner_id}", "/{partner_id}/x", "/p{partner_id}", "//{partner_id}", "https://{partner_id}.example/", "https://shop.example/{partner_id}",
		"https://evil.example/", "/p/{shop_id}", "/p/{partner_id", "/p/}", "/koubei/callback", "/a b"} {
		if _, err := targets(t).ParseHome(bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, raw := range attacks {
		f.Add(raw)
	}
	f.Add("/shop?id=7#top")
	allowed := targets(f)
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := allowed.Parse(raw)
		if err != nil {
			return
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
			t.Fatalf("%q became %q", raw, got)
		}
		u, err := allowed.PublicURL.Parse(got)
		if err != nil {
			t.Fatalf("%q became %q, which can't be read: %v", raw, got, err)
		}
		if origin := Origin(u); origin != "https://isv.example" && origin != "https://shop.example" && origin != "http://dev.example:8080" {
			t.Fatalf("%q became %q, which leads to %s", raw, got, origin)
		}
		if again, err := allowed.Parse(got); err != nil || again != got {
			t.Fatalf("%q became %q, which becomes %q, %v", raw, got, again, err)
		}
	})
}
