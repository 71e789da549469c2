package session

import (
	"net/http"
	"strings"
	"time"
)

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
