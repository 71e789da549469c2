package handler

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/web"
)

// note adds err to the request's log line and sets the headers that every response of its kind carries.
func (h *Handler) note(w http.ResponseWriter, err error) problem {
	p := problemFor(err)
	level := p.level
	if errors.Is(err, context.Canceled) {
		level = slog.LevelInfo // the browser has left; nobody reads the response
	}
	attrs := append([]slog.Attr{slog.String("code", p.code), slog.String("error", err.Error())}, advice(err)...)
	annotate(w, level, attrs...)
	setRetryAfter(w, p.retry)
	if errors.Is(p.kind, landing.ErrDraining) {
		w.Header().Set("Connection", "close") // the next request goes to another replica
	}
	setNoStore(w)
	requestID(w) // for its header
	return p
}

// failFunc writes the response to an error.
type failFunc func(w http.ResponseWriter, r *http.Request, err error)

// failJSON writes an error as problem+json, whatever the client prefers.
func (h *Handler) failJSON(w http.ResponseWriter, r *http.Request, err error) {
	h.writeProblem(w, r, h.note(w, err), "")
}

// fail writes an error as a page, or as problem+json where the client prefers that.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := h.note(w, err)
	if prefersJSON(r) || r.URL.Path == h.base+"/session" {
		h.writeProblem(w, r, p, h.questionPage(r, p))
		return
	}
	data := web.ErrorPage{Common: h.common(w), Status: p.status, Code: p.code, Enter: p.help == enterAgain}
	switch {
	case p.code == "cookies_blocked":
		data.OpenURL = h.callbackURL(withoutArrived(r.URL.RawQuery))
		w.Header().Set("Content-Security-Policy", h.policy.framedAnywhere)
	case r.Method == http.MethodPost:
		data.BackURL = h.base + "/"
	case p.status == http.StatusServiceUnavailable:
		data.Retry = &web.Retry{URL: h.ownAddress(r), After: int(p.retry.Seconds())}
	case errors.Is(err, session.ErrAmbiguous):
		data.LogoutURL = h.base + "/logout"
	}
	if err := h.writePage(w, r, p.status, web.PageError, data); err != nil {
		annotate(w, slog.LevelError, slog.String("render_error", err.Error()))
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// questionPage returns the address of the page with the question that err stands for; empty for other errors.
func (h *Handler) questionPage(r *http.Request, p problem) string {
	if !errors.Is(p.kind, errOperatorDiffers) {
		return ""
	}
	return h.callbackURL(withoutArrived(r.URL.RawQuery))
}

// ownAddress returns the address of a request for a link to it, relative to the host. If a browser may read the address as
// another host's, ownAddress returns the identity page's.
func (h *Handler) ownAddress(r *http.Request) string {
	if !strings.HasPrefix(r.URL.Path, "/") || !plainPath(r.URL) {
		return h.base + "/"
	}
	return rebuild(&url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery})
}
