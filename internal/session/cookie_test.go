package session_test

import (
	"fmt"
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
	c := session.NewCookies(session.CookieOptions{Name: "s"})
	one, two := strings.Repeat("1", 43), strings.Repeat("2", 43)
	a, b := c.Pending(one, "A"), c.Pending(two, "B")
	if a.Name == b.Name || a.MaxAge != 300 {
		t.Fatalf("got %s and %s, want two names, for five minutes", a, b)
	}
	largest := strings.Repeat("x", 3072)
	r := request(a.Name+"=A", b.Name+"=B", a.Name+"=", a.Name+"="+largest+"x", a.Name+"="+largest)
	if got := c.PendingOf(r, one); !slices.Equal(got, []string{"A", largest}) {
		t.Errorf("got %v, want the grant of this code alone", got)
	}
	if gone := c.EndPending(one); len(gone) != 1 || gone[0].Name != a.Name || gone[0].MaxAge >= 0 {
		t.Errorf("got %v", gone)
	}
	if gone := c.EndPendingOf(r); len(gone) != 2 || gone[0].Name != a.Name || gone[1].Name != b.Name {
		t.Errorf("got %v, want both taken away", gone)
	}
	var many []string
	for i := range 20 {
		many = append(many, c.Pending(fmt.Sprintf("%08d", i), "").Name+"=x")
	}
	if gone := c.EndPendingOf(request(many...)); len(gone) != 16 {
		t.Errorf("got %d taken away, want 16", len(gone))
	}
}

func TestArrivalsIgnoreInvalidCookies(t *testing.T) {
	t.Parallel()
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
	if keep, drop := c.Arrivals(request(cookies[:4]...)); len(keep) != 4 || len(drop) != 0 {
		t.Errorf("of four: got %d kept and %d dropped, want all kept", len(keep), len(drop))
	}
	if a, b := c.NewArrival(now), c.NewArrival(now); a.Name == b.Name || a.Value == b.Value {
		t.Errorf("got %s and %s, want two", a.Value, b.Value)
	}
	for i, m := range keep {
		if m.Value != arrivals[5-i].Value {
			t.Errorf("%d: want the newest first", i)
		}
	}
}

// TestDeletedCookies: browsers keep partitioned cookies in a separate jar, so the response deletes the cookie in both.
func TestDeletedCookies(t *testing.T) {
	t.Parallel()
	const (
		lax         = "; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
		none        = "; Max-Age=0; HttpOnly; Secure; SameSite=None"
		partitioned = none + "; Partitioned"
	)
	for name, row := range map[string]struct {
		options session.CookieOptions
		session []string
		pending []string
	}{
		"plain": {session.CookieOptions{Name: "s", SameSite: http.SameSiteLaxMode},
			[]string{"s=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"}, []string{"s_pending_hash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"}},
		"lax": {session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteLaxMode},
			[]string{"__Host-s=; Path=/" + lax, "__Host-s=; Path=/" + partitioned},
			[]string{"__Host-s_pending_hash=; Path=/" + lax, "__Host-s_pending_hash=; Path=/" + partitioned}},
		"none": {session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteNoneMode},
			[]string{"__Host-s=; Path=/" + partitioned, "__Host-s=; Path=/" + none},
			[]string{"__Host-s_pending_hash=; Path=/" + partitioned, "__Host-s_pending_hash=; Path=/" + none}},
		"domain": {session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteLaxMode, Domain: "isv.example"},
			[]string{"__Secure-s=; Path=/; Domain=isv.example" + lax, "__Secure-s=; Path=/; Domain=isv.example" + partitioned},
			[]string{"__Secure-s_pending_hash=; Path=/" + lax, "__Secure-s_pending_hash=; Path=/" + partitioned}},
	} {
		c := session.NewCookies(row.options)
		for what, pair := range map[string]struct {
			got  []*http.Cookie
			want []string
		}{"session": {c.EndSession(), row.session}, "pending": {c.EndPending("hash"), row.pending}} {
			var got []string
			for _, cookie := range pair.got {
				got = append(got, cookie.String())
			}
			if !slices.Equal(got, pair.want) {
				t.Errorf("%s, %s: got %q, want %q", name, what, got, pair.want)
			}
		}
	}
}

func TestArrivalCookiesLiveForAMonth(t *testing.T) {
	t.Parallel()
	c := session.NewCookies(session.CookieOptions{Name: "s", Domain: "isv.example"})
	a := c.NewArrival(time.Now())
	if got := c.SetArrival(a); got.Name != a.Name || got.Value != a.Value || got.MaxAge != 30*24*60*60 || got.Domain != "" {
		t.Errorf("set: got %s", got)
	}
	if got := c.EndArrival(a); got.Name != a.Name || got.Value != "" || got.MaxAge >= 0 || got.Domain != "" {
		t.Errorf("deleted: got %s", got)
	}
}
