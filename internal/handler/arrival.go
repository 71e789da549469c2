package handler

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"koubei-landing/internal/session"
)

// The arrival check. The redirect is Koubei's idea, so no cookie of ours tells one browser from another when the same
// link is loaded twice. A navigation that brings none is sent round once, to the same address with a mark, and given one
// on the way: no code is spent before the browser has shown that it keeps cookies.

// markParam marks an address that has been sent round, with the time of it.
const markParam = "arrived"

// markFresh is how long a mark says "just now". An older one was bookmarked or passed on.
const markFresh = time.Minute

// renewMarks renews the arrival cookies that came along, and takes away what is more than a browser needs.
func (h *Handler) renewMarks(w http.ResponseWriter, r *http.Request) []session.Mark {
	keep, drop := h.Cookies.Marks(r)
	for _, m := range keep {
		http.SetCookie(w, h.Cookies.Keep(m))
	}
	for _, m := range drop {
		http.SetCookie(w, h.Cookies.Drop(m))
	}
	return keep
}

// checkArrival reports whether the browser has to be sent round first. It fails with errCookiesBlocked.
func (h *Handler) checkArrival(r *http.Request, marks []session.Mark) (hop bool, err error) {
	if isFramed(r) && len(h.FrameAncestors) == 0 {
		return false, errCookiesBlocked
	}
	if !h.ArrivalCheck || len(marks) > 0 || !isNavigation(r) {
		return false, nil
	}
	if !h.justArrived(r) {
		return true, nil
	}
	if len(h.Cookies.Tokens(r)) == 0 {
		return false, errCookiesBlocked
	}
	return false, nil // it keeps cookies, though not this one
}

func (h *Handler) justArrived(r *http.Request) bool {
	values := landingQuery(r.URL.RawQuery)[markParam]
	if len(values) != 1 {
		return false
	}
	at, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil {
		return false
	}
	return h.Now().Sub(time.Unix(at, 0)).Abs() <= markFresh
}

// hop sends the browser to the same address again, with an arrival cookie.
func (h *Handler) hop(w http.ResponseWriter, r *http.Request) {
	now := h.Now()
	http.SetCookie(w, h.Cookies.Keep(h.Cookies.NewMark(now)))
	h.Metrics.Landing("arrived")
	query := unmarked(r.URL.RawQuery)
	if query != "" {
		query += "&"
	}
	goTo(w, h.callbackURL(query+markParam+"="+strconv.FormatInt(now.Unix(), 10)))
}

// unmarked returns a query as it came, without the mark.
func unmarked(rawQuery string) string {
	var kept []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && name == markParam {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

// callbackURL is the callback's address, relative to the host, so that the request's own Host is not believed.
func (h *Handler) callbackURL(rawQuery string) string {
	if rawQuery == "" {
		return h.CallbackPath
	}
	return h.CallbackPath + "?" + escapeRest(rawQuery)
}
