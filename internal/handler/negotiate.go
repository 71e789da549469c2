package handler

import (
	"net/http"
	"strconv"
	"strings"
)

// maxAccept bounds what is parsed of an Accept header. Browsers send about 150 bytes.
const maxAccept = 1024

// prefersJSON reports whether a request prefers JSON to a page. Without a preference it gets a page.
func prefersJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	accept = accept[:min(len(accept), maxAccept)]
	json := max(quality(accept, "application", "json"), quality(accept, "application", "problem+json"))
	return json > quality(accept, "text", "html")
}

// quality returns the weight of a type in an Accept header, from 0 to 1. The most specific range decides (RFC 9110, section
// 12.5.1).
func quality(accept, typ, subtype string) float64 {
	best, specificity := 0.0, 0
	for r := range strings.SplitSeq(accept, ",") {
		media, params, _ := strings.Cut(r, ";")
		t, s, _ := strings.Cut(strings.ToLower(strings.TrimSpace(media)), "/")
		if at := specific(t, s, typ, subtype); at > specificity {
			best, specificity = weight(params), at
		}
	}
	return best
}

// specific returns how exactly a media range matches a type; 0 when it does not.
func specific(t, s, typ, subtype string) int {
	switch {
	case t == typ && s == subtype:
		return 3
	case t == typ && s == "*":
		return 2
	case t == "*" && s == "*":
		return 1
	}
	return 0
}

func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || q < 0 || q > 1 {
				return 0
			}
			return q
		}
	}
	return 1
}

// isNavigation reports whether the request is a browser's navigation to a page. It uses Fetch Metadata or, for older web
// views that do not send it, Accept and User-Agent.
func isNavigation(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/html") &&
		strings.HasPrefix(r.UserAgent(), "Mozilla/")
}

// isSpeculative reports whether a browser loads a page in advance, before the user has asked for it. The headers contain
// lists with parameters, such as prefetch;prerender.
func isSpeculative(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		for _, value := range r.Header.Values(name) {
			value = strings.ToLower(value)
			if strings.Contains(value, "prefetch") || strings.Contains(value, "prerender") || strings.Contains(value, "preview") {
				return true
			}
		}
	}
	return false
}

// isFramed reports whether a page is loaded into another.
func isFramed(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "iframe", "frame", "fencedframe", "embed", "object":
		return true
	}
	return false
}
