package session_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/session"
)

func request(cookies ...string) *http.Request {
	return &http.Request{Header: http.Header{"Cookie": {strings.Join(cookies, "; ")}}}
}

func TestCookieNamePrefixes(t *testing.T) {
	for _, tt := range []struct {
		options session.CookieOptions
		want    string
	}{
		{session.CookieOptions{Name: "s", SameSite: http.SameSiteLaxMode}, "s=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"},
		{session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteLaxMode}, "__Host-s=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"},
		{session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteNoneMode}, "__Host-s=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=None; Partitioned"},
		{session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteLaxMode, Domain: "isv.example"}, "__Secure-s=v; Path=/; Domain=isv.example; Max-Age=60; HttpOnly; Secure; SameSite=Lax"},
	} {
		c := session.NewCookies(tt.options)
		if got := c.Session("v", time.Minute).String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
		for _, other := range []*http.Cookie{c.SetArrival(c.NewArrival(time.Now())), c.Pending(strings.Repeat("h", 43), "v")} {
			if other.Domain != "" || !other.HttpOnly || other.Path != "/" || other.Secure != tt.options.Secure || other.SameSite != tt.options.SameSite {
				t.Errorf("got %s, want the session's attributes, without a domain", other)
			}
		}
	}
}

func TestTokensIgnoreInvalidCookies(t *testing.T) {
	c := session.NewCookies(session.CookieOptions{Name: "s"})
	a, b := session.Token(strings.Repeat("a", 43)), session.Token(strings.Repeat("b", 43))
	for _, tt := range []struct {
		name    string
		cookies []string
		want    []session.Token
	}{
		{"none", nil, nil},
		{"one", []string{"s=" + string(a)}, []session.Token{a}},
		{"twice the same", []string{"s=" + string(a), "s=" + string(a)}, []session.Token{a}},
		{"two", []string{"s=" + string(a), "x=y", "s=" + string(b)}, []session.Token{a, b}},
		{"junk before", []string{"s=", "s=junk", "s=" + strings.Repeat("a", 44), "s=" + strings.Repeat("a", 42) + "!", "s=" + string(a)}, []session.Token{a}},
		{"quoted", []string{`s="` + string(a) + `"`}, []session.Token{a}},
		{"odd names", []string{"S=" + string(a), "s[]=" + string(a), "__Host-s=" + string(a), "ss=" + string(a), "=s=" + string(a)}, nil},
		{"behind a broken one", []string{"\x01=x", "s=" + string(a)}, []session.Token{a}},
	} {
		if got := c.Tokens(request(tt.cookies...)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %d tokens, want %d", tt.name, len(got), len(tt.want))
		}
	}
	var flood []string
	for i := range 200 {
		flood = append(flood, "s="+strings.Repeat(string(rune('0'+i%10)), 42)+string(rune('a'+i/10)))
	}
	if got := c.Tokens(request(append(flood, flood...)...)); len(got) != len(flood) {
		t.Errorf("got %d tokens, want each of %d once", len(got), len(flood))
	}
}

func TestPendingCookiesHaveSeparateNames(t *testing.T) {
	c := session.NewCookies(session.CookieOptions{Name: "s"})
	one, two := strings.Repeat("1", 43), strings.Repeat("2", 43)
	a, b := c.Pending(one, "A"), c.Pending(two, "B")
	if a.Name == b.Name || a.MaxAge != 300 {
		t.Fatalf("got %s and %s, want two names, for five minutes", a, b)
	}
	r := request(a.Name+"=A", b.Name+"=B", a.Name+"=", a.Name+"="+strings.Repeat("x", 4000))
	if got := c.PendingOf(r, one); !slices.Equal(got, []string{"A"}) {
		t.Errorf("got %v, want the grant of this code alone", got)
	}
	if gone := c.EndPending(one); len(gone) != 1 || gone[0].Name != a.Name || gone[0].MaxAge >= 0 {
		t.Errorf("got %v", gone)
	}
	if gone := c.EndPendingOf(r); len(gone) != 2 || gone[0].Name != a.Name || gone[1].Name != b.Name {
		t.Errorf("got %v, want both taken away", gone)
	}
}

func TestArrivalsIgnoreInvalidCookies(t *testing.T) {
	c := session.NewCookies(session.CookieOptions{Name: "s"})
	now := time.Now()
	var arrivals []session.ArrivalCookie
	var cookies []string
	for i := range 6 {
		m := c.NewArrival(now.Add(time.Duration(i) * time.Minute))
		arrivals = append(arrivals, m)
		cookies = append(cookies, m.Name+"="+m.Value)
	}
	good := strings.Repeat("A", 22)
	cookies = append(cookies,
		"s_arrival_short=1."+good, "s_arrival_=1."+good, "s_arrival_abcdefghi=1."+good, "s_arrival_abcdefgh="+good,
		"s_arrival_abcdefgh=1."+good+"A", "s_arrival_abcdefgh=-1."+good, "s_arrival_abcdefgh=0."+good,
		"s_arrival_abcdefgh=1."+strings.Repeat("!", 22), "s_arrival_abcdefgh=zzzzzzzzzzzzzzzz."+good, "t_arrival_abcdefgh=1."+good,
	)
	keep, drop := c.Arrivals(request(cookies...))
	if len(keep) != 4 || len(drop) != 2 {
		t.Fatalf("got %d kept and %d dropped, want 4 and 2", len(keep), len(drop))
	}
	for i, m := range keep {
		if m.Value != arrivals[5-i].Value {
			t.Errorf("%d: want the newest first", i)
		}
	}
}
