package session

import (
	"net/http"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"
)

// maxDropped limits the cookies that one response removes: each takes about 150 bytes of headers.
const maxDropped = 16

// Cookies holds the names and attributes of the service's cookies.
type Cookies struct{ scs.SessionCookie }

// CookieOptions configure the service's cookies.
type CookieOptions struct {
	Name     string // without a prefix
	Secure   bool
	SameSite http.SameSite // Lax or None; None also sets Partitioned
	Domain   string
}

// NewCookies returns the cookies for these options. The name gets the prefix __Host- if the cookie belongs to this host
// only, and __Secure- if sibling hosts share it: another host of the domain can set neither over http.
func NewCookies(o CookieOptions) Cookies {
	name := o.Name
	switch {
	case o.Secure && o.Domain == "":
		name = "__Host-" + name
	case o.Secure:
		name = "__Secure-" + name
	}
	return Cookies{scs.SessionCookie{
		Name: name, Domain: o.Domain, Path: "/", HttpOnly: true, Secure: o.Secure,
		SameSite: o.SameSite, Partitioned: o.SameSite == http.SameSiteNoneMode,
	}}
}

func (c Cookies) cookie(name, value string) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Domain: c.Domain, Path: c.Path, HttpOnly: c.HttpOnly, Secure: c.Secure,
		SameSite: c.SameSite, Partitioned: c.Partitioned,
	}
}

// Session returns the cookie of a session that expires after life.
func (c Cookies) Session(token Token, life time.Duration) *http.Cookie {
	cookie := c.cookie(c.Name, string(token))
	cookie.MaxAge = max(int(life.Round(time.Second)/time.Second), 1)
	return cookie
}

// EndSession returns the cookies that delete the session cookie: for the current setting of SameSite and for the other one,
// because browsers keep partitioned cookies in a separate jar.
func (c Cookies) EndSession() []*http.Cookie { return c.end(c.Name) }

func (c Cookies) end(name string) []*http.Cookie {
	gone := c.cookie(name, "")
	gone.MaxAge = -1
	if !c.Secure {
		return []*http.Cookie{gone}
	}
	other := *gone
	other.Partitioned = !gone.Partitioned
	if other.Partitioned {
		other.SameSite = http.SameSiteNoneMode
	}
	return []*http.Cookie{gone, &other}
}

// Tokens returns the well-formed tokens of a request, each once. Only the size of the headers limits their number: with a
// smaller limit, cookies from another host of the domain could hide the real one.
func (c Cookies) Tokens(r *http.Request) []Token {
	var tokens []Token
	for _, cookie := range r.CookiesNamed(c.Name) {
		if token := Token(cookie.Value); token.WellFormed() {
			tokens = append(tokens, token)
		}
	}
	if len(tokens) > 1 {
		seen := map[Token]bool{}
		tokens = slices.DeleteFunc(tokens, func(t Token) bool { again := seen[t]; seen[t] = true; return again })
	}
	return tokens
}
