// Package handler is the service's HTTP and nothing else: it reads requests, calls one thing, and writes answers.
//
// There are two listeners. The public one is for browsers; the internal one is for proxies and operators, tells
// identities without a cookie of its own, and must never be reached by a browser. The line between them is the security
// boundary.
//
// Handlers return their errors. An adapter turns each into a row of the one table in problem.go, and that into a page or
// problem+json, one attribute of the request's log line and, for a landing, one metric.
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

// Options is what a Handler is made of.
type Options struct {
	Config
	AppID string

	Landing   *landing.Lander
	Sessions  *session.Manager
	Cookies   session.Cookies
	Memory    *session.Memory
	Readiness *readiness.Checker
	Metrics   *metrics.Metrics

	// Assertions is nil where no keys are set.
	Assertions *assertion.Issuer

	Log *slog.Logger
	Now func() time.Time
}

// Handler answers on both listeners.
type Handler struct {
	Options
	base    string // the path of PUBLIC_URL, without a slash at its end
	pages   *web.Pages
	policy  policy
	forms   *http.CrossOriginProtection // for the switch
	leaving *http.CrossOriginProtection // for signing out and forgetting
	gate    *gate

	warnings proxyWarnings
	limited  limitedLog
}

// New returns a Handler. It fails when a page can't be rendered, and on origins that are none.
func New(o Options) (*Handler, error) {
	base := strings.TrimSuffix(o.PublicURL.EscapedPath(), "/")
	pages, err := web.New(base)
	if err != nil {
		return nil, err
	}
	h := &Handler{Options: o, base: base, pages: pages, policy: newPolicy(o), gate: newGate(o.MaxRequests)}
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

// common is what every page shows.
func (h *Handler) common(w http.ResponseWriter) web.Common {
	return web.Common{RequestID: requestID(w), EntryURL: h.EntryURL}
}
