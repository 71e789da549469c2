package handler

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"koubei-landing/internal/session"
)

// The arrival check. Koubei starts the landing, so no cookie of the service tells one browser from another when the same
// link is loaded twice. A navigation without an arrival cookie is redirected once (the hop) to the same address with the
// parameter arrived, and gets the cookie. So no code is spent before the browser has shown that it keeps cookies.

// arrivedParam is the parameter that the hop adds: the time of the hop in Unix seconds.
const arrivedParam = "arrived"

// arrivedFresh is how long after a hop the cookie must come back. An older address was bookmarked or passed on.
const arrivedFresh = time.Minute

// renewArrivals renews the arrival cookies of the request and removes those that a browser does not need.
func (h *Handler) renewArrivals(w http.ResponseWriter, r *http.Request) []session.ArrivalCookie {
	keep, drop := h.Cookies.Arrivals(r)
	for _, a := range keep {
		http.SetCookie(w, h.Cookies.SetArrival(a))
	}
	for _, a := range drop {
		http.SetCookie(w, h.Cookies.EndArrival(a))
	}
	return keep
}

// checkArrival reports whether the browser needs the hop first. It fails with errCookiesBlocked.
func (h *Handler) checkArrival(r *http.Request, arrivals []session.ArrivalCookie) (hop bool, err error) {
	if isFramed(r) && len(h.FrameAncestors) == 0 {
		return false, errCookiesBlocked
	}
	if !h.ArrivalCheck || len(arrivals) > 0 || !isNavigation(r) {
		return false, nil
	}
	if !h.justArrived(r) {
		return true, nil
	}
	if len(h.Cookies.Tokens(r)) == 0 {
		return false, errCookiesBlocked
	}
	return false, nil // the browser keeps cookies: it has a session
}

// justArrived reports whether the request is the one that a hop led to, just now.
func (h *Handler) justArrived(r *http.Request) bool {
	values := landingQuery(r.URL.RawQuery)[arrivedParam]
	if len(values) != 1 {
		return false
	}
	at, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil {
		return false
	}
	return h.Now().Sub(time.Unix(at, 0)).Abs() <= arrivedFresh
}

// hop redirects the browser to the same address and gives it an arrival cookie.
func (h *Handler) hop(w http.ResponseWriter, r *http.Request) {
	now := h.Now()
	http.SetCookie(w, h.Cookies.SetArrival(h.Cookies.NewArrival(now)))
	h.Metrics.Landing("arrived")
	query := withoutArrived(r.URL.RawQuery)
	if query != "" {
		query += "&"
	}
	goTo(w, h.callbackURL(query+arrivedParam+"="+strconv.FormatInt(now.Unix(), 10)))
}

// withoutArrived returns a query without the parameter arrived. Everything else stays as it came.
func withoutArrived(rawQuery string) string {
	var kept []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && name == arrivedParam {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

// callbackURL returns the callback's address with a query. It is relative to the host: the request's Host is not trusted.
func (h *Handler) callbackURL(rawQuery string) string {
	if rawQuery == "" {
		return h.CallbackPath
	}
	return h.CallbackPath + "?" + escapeRest(rawQuery)
}
