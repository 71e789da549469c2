// Package handler is the HTTP part of the service: a handler reads the request, makes one call and writes the response.
//
// There are two listeners. The public one is for browsers. The internal one is for proxies and administrators: it trusts
// every caller, so browsers must never reach it. This separation is the security boundary.
//
// Handlers return their errors. An adapter looks up each error in the table in problem.go. It writes a page or
// problem+json, attributes of the request's log line and, for a landing, one metric.
//
// Admission counts work, not waiting clients. A request takes a place when it is complete and gives it back when its
// response is ready to be sent. Handlers read a request's body only if they need a form, and never wait for other bodies.
package handler

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"koubei-landing/internal/assertion"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/metrics"
	"koubei-landing/internal/readiness"
	"koubei-landing/internal/session"
	"koubei-landing/web"
)

// Options are what New needs.
type Options struct {
	Config
	AppID string

	Landing   *landing.Lander
	Sessions  *session.Manager
	Cookies   session.Cookies
	Memory    *session.Memory
	Readiness *readiness.Checker
	Metrics   *metrics.Metrics

	// Assertions is nil when no keys are set.
	Assertions *assertion.Issuer

	Log *slog.Logger
	Now func() time.Time
}

// Handler serves both listeners.
type Handler struct {
	Options
	base      string // the path of PUBLIC_URL, without a slash at its end
	pages     *web.Pages
	policy    policy
	forms     *http.CrossOriginProtection // for the switch
	leaving   *http.CrossOriginProtection // for signing out and forgetting
	admission *admission

	warnings proxyWarnings
	limited  limitedLog
}

// New returns a Handler. It fails when a page cannot be rendered, and on malformed origins.
func New(o Options) (*Handler, error) {
	base := strings.TrimSuffix(o.PublicURL.EscapedPath(), "/")
	pages, err := web.New(base)
	if err != nil {
		return nil, err
	}
	h := &Handler{Options: o, base: base, pages: pages, policy: newPolicy(o), admission: newAdmission(o.MaxRequests)}
	if h.forms, err = trusting(Origin(o.PublicURL)); err != nil {
		return nil, err
	}
	h.leaving, err = trusting(append([]string{Origin(o.PublicURL)}, o.CORSOrigins...)...)
	return h, err
}

func trusting(origins ...string) (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if err := p.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// common returns what every page shows.
func (h *Handler) common(w http.ResponseWriter) web.Common {
	return web.Common{RequestID: requestID(w), EntryURL: h.EntryURL}
}
