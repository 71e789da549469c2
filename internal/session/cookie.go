package session

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
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

const (
	pendingInfix = "_pending_"
	pendingName  = 8

	// PendingFor is how long a browser keeps a grant that the service could not save in Redis.
	PendingFor = 5 * time.Minute

	// maxPending limits the size of a sealed grant: a grant has a few hundred bytes.
	maxPending = 3072
)

// pendingOf returns the name of a code's pending cookie. Each code has its own name. Otherwise two tabs that land during
// the same outage would overwrite each other's grant.
func (c Cookies) pendingOf(codeHash string) string {
	return c.Name + pendingInfix + codeHash[:min(pendingName, len(codeHash))]
}

// Pending returns the cookie with a grant that the service could not save in Redis. codeHash is the code's
// operator.HashCode.
func (c Cookies) Pending(codeHash, sealed string) *http.Cookie {
	cookie := c.cookie(c.pendingOf(codeHash), sealed)
	cookie.Domain = ""
	cookie.MaxAge = int(PendingFor / time.Second)
	return cookie
}

// EndPending returns the cookies that delete the pending grant of a code.
func (c Cookies) EndPending(codeHash string) []*http.Cookie {
	host := c
	host.Domain = ""
	return host.end(c.pendingOf(codeHash))
}

// EndPendingOf returns the cookies that delete the pending grants in a request, for at most maxDropped codes.
func (c Cookies) EndPendingOf(r *http.Request) []*http.Cookie {
	var gone []*http.Cookie
	seen := map[string]bool{}
	for _, cookie := range r.Cookies() {
		hash, ok := strings.CutPrefix(cookie.Name, c.Name+pendingInfix)
		if ok && len(hash) == pendingName && !seen[hash] && len(seen) < maxDropped {
			seen[hash] = true
			gone = append(gone, c.EndPending(hash)...)
		}
	}
	return gone
}

// PendingOf returns the pending grants of a code in a request.
func (c Cookies) PendingOf(r *http.Request, codeHash string) []string {
	var sealed []string
	for _, cookie := range r.CookiesNamed(c.pendingOf(codeHash)) {
		if cookie.Value != "" && len(cookie.Value) <= maxPending {
			sealed = append(sealed, cookie.Value)
		}
	}
	return sealed
}

const (
	arrivalInfix = "_arrival_"
	arrivalLife  = 30 * 24 * time.Hour

	// MaxArrivals is the maximum number of arrival cookies that a browser keeps and that a claim is bound to.
	MaxArrivals = 4
)

// Mark is an arrival cookie. It identifies the browser that brings a code before the browser has a session. Its value
// starts with the time of its creation, so the newest can be found.
type Mark struct {
	Name  string
	Value string
	made  int64
}

// NewMark returns an arrival cookie for a browser that has none. Each has its own name, because two tabs that are opened at
// the same time each get one, and must not overwrite the other's.
func (c Cookies) NewMark(now time.Time) Mark {
	made := now.Unix()
	return Mark{
		Name:  c.Name + arrivalInfix + strings.ToLower(rand.Text()[:8]),
		Value: strconv.FormatInt(made, 36) + "." + randomValue(),
		made:  made,
	}
}

// markRandom is the length of 16 random bytes in base64url.
const markRandom = 22

func randomValue() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// parseMark returns an arrival cookie, and false if the cookie is not one.
func (c Cookies) parseMark(cookie *http.Cookie) (Mark, bool) {
	suffix, ok := strings.CutPrefix(cookie.Name, c.Name+arrivalInfix)
	if !ok || len(suffix) != 8 {
		return Mark{}, false
	}
	made, random, ok := strings.Cut(cookie.Value, ".")
	if !ok || len(random) != markRandom || strings.ContainsFunc(random, func(r rune) bool { return r > 0x7f || !base64URL(byte(r)) }) {
		return Mark{}, false
	}
	unix, err := strconv.ParseInt(made, 36, 64)
	if err != nil || unix <= 0 {
		return Mark{}, false
	}
	return Mark{Name: cookie.Name, Value: cookie.Value, made: unix}, true
}

// Marks returns the arrival cookies of a request, newest first: at most MaxArrivals to keep, and at most maxDropped to
// remove. The next response removes the rest.
func (c Cookies) Marks(r *http.Request) (keep, drop []Mark) {
	for _, cookie := range r.Cookies() {
		if m, ok := c.parseMark(cookie); ok {
			keep = append(keep, m)
		}
	}
	slices.SortStableFunc(keep, func(a, b Mark) int { return int(min(max(b.made-a.made, -1), 1)) })
	if len(keep) > MaxArrivals {
		keep, drop = keep[:MaxArrivals], keep[MaxArrivals:min(len(keep), MaxArrivals+maxDropped)]
	}
	return keep, drop
}

// Keep returns the cookie that sets or renews an arrival.
func (c Cookies) Keep(m Mark) *http.Cookie {
	cookie := c.cookie(m.Name, m.Value)
	cookie.Domain = ""
	cookie.MaxAge = int(arrivalLife / time.Second)
	return cookie
}

// Drop returns the cookie that deletes an arrival.
func (c Cookies) Drop(m Mark) *http.Cookie {
	cookie := c.Keep(Mark{Name: m.Name})
	cookie.MaxAge = -1
	return cookie
}
