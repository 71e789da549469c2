package session

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	arrivalInfix = "_arrival_"
	arrivalLife  = 30 * 24 * time.Hour

	// MaxArrivals is the maximum number of arrival cookies that a browser keeps and that a claim is bound to.
	MaxArrivals = 4
)

// ArrivalCookie identifies the browser that brings a code before the browser has a session. Its value
// starts with the time of its creation, so the newest can be found.
type ArrivalCookie struct {
	Name  string
	Value string
	made  int64
}

// NewArrival returns an arrival cookie for a browser that has none. Each has its own name, because two tabs that are opened at
// the same time each get one, and must not overwrite the other's.
func (c Cookies) NewArrival(now time.Time) ArrivalCookie {
	made := now.Unix()
	return ArrivalCookie{
		Name:  c.Name + arrivalInfix + strings.ToLower(rand.Text()[:8]),
		Value: strconv.FormatInt(made, 36) + "." + randomValue(),
		made:  made,
	}
}

// arrivalRandom is the length of 16 random bytes in base64url.
const arrivalRandom = 22

func randomValue() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// parseArrival returns an arrival cookie, and false if the cookie is not one.
func (c Cookies) parseArrival(cookie *http.Cookie) (ArrivalCookie, bool) {
	suffix, ok := strings.CutPrefix(cookie.Name, c.Name+arrivalInfix)
	if !ok || len(suffix) != 8 {
		return ArrivalCookie{}, false
	}
	made, random, ok := strings.Cut(cookie.Value, ".")
	if !ok || !base64URL(random, arrivalRandom) {
		return ArrivalCookie{}, false
	}
	unix, err := strconv.ParseInt(made, 36, 64)
	if err != nil || unix <= 0 {
		return ArrivalCookie{}, false
	}
	return ArrivalCookie{Name: cookie.Name, Value: cookie.Value, made: unix}, true
}

// Arrivals returns the arrival cookies of a request, newest first: at most MaxArrivals to keep, and at most maxDropped to
// remove. The next response removes the rest.
func (c Cookies) Arrivals(r *http.Request) (keep, drop []ArrivalCookie) {
	for _, cookie := range r.Cookies() {
		if a, ok := c.parseArrival(cookie); ok {
			keep = append(keep, a)
		}
	}
	slices.SortStableFunc(keep, func(a, b ArrivalCookie) int { return int(min(max(b.made-a.made, -1), 1)) })
	n := min(len(keep), MaxArrivals)
	return keep[:n], keep[n:min(len(keep), n+maxDropped)]
}

// SetArrival returns the cookie that sets or renews an arrival cookie.
func (c Cookies) SetArrival(a ArrivalCookie) *http.Cookie {
	cookie := c.cookie(a.Name, a.Value)
	cookie.Domain = ""
	cookie.MaxAge = int(arrivalLife / time.Second)
	return cookie
}

// EndArrival returns the cookie that deletes an arrival cookie.
func (c Cookies) EndArrival(a ArrivalCookie) *http.Cookie {
	cookie := c.SetArrival(ArrivalCookie{Name: a.Name})
	cookie.MaxAge = -1
	return cookie
}
