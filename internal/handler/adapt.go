package handler

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/web"
)

// handlerFunc writes its answer, or returns what went wrong and has written nothing.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// page adapts a handler whose errors are pages, or problem+json for those who prefer it.
func (h *Handler) page(f handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			h.fail(w, r, err)
		}
	}
}

// api adapts a handler that speaks JSON only.
func (h *Handler) api(f handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			h.failJSON(w, r, err)
		}
	}
}

// landed adapts a landing's handlers: each failure is counted by its code, and has a landing's line as a success has.
func (h *Handler) landed(f handlerFunc) http.HandlerFunc {
	return h.page(func(w http.ResponseWriter, r *http.Request) error {
		noStore(w)
		err := f(w, r)
		if err != nil {
			code := problemFor(err).code
			h.Metrics.Landing(code)
			h.writeLanding(w, r, code)
		}
		return err
	})
}

// sameOrigin refuses a form from a foreign page.
func (h *Handler) sameOrigin(p *http.CrossOriginProtection, f handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := p.Check(r); err != nil {
			return errors.Join(errCrossOrigin, err)
		}
		return f(w, r)
	}
}

// note puts an error into the request's log line, and into the answer what every answer of its kind carries.
func (h *Handler) note(w http.ResponseWriter, r *http.Request, err error) problem {
	p := problemFor(err)
	level := p.level
	if errors.Is(err, context.Canceled) {
		level = slog.LevelInfo // the browser left; nobody reads the answer
	}
	attrs := append([]slog.Attr{slog.String("code", p.code), slog.String("error", err.Error())}, advice(err)...)
	annotate(w, level, attrs...)
	setRetryAfter(w, p.retry)
	noStore(w)
	return p
}

// failFunc answers with an error.
type failFunc func(w http.ResponseWriter, r *http.Request, err error)

// failJSON answers with problem+json, whatever is preferred.
func (h *Handler) failJSON(w http.ResponseWriter, r *http.Request, err error) {
	h.writeProblem(w, r, h.note(w, r, err), "")
}

// fail answers with the page of an error, or its problem+json.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := h.note(w, r, err)
	if prefersJSON(r) || r.URL.Path == h.base+"/session" {
		h.writeProblem(w, r, p, h.questionPage(r, p))
		return
	}
	data := web.ErrorPage{Common: h.common(w), Status: p.status, Code: p.code}
	switch {
	case p.code == "cookies_blocked":
		data.OpenURL = h.callbackURL(unmarked(r.URL.RawQuery))
		w.Header().Set("Content-Security-Policy", h.policy.framedAnywhere)
	case r.Method == http.MethodPost:
		data.BackURL = h.base + "/"
	case p.status == http.StatusServiceUnavailable:
		data.Retry = &web.Retry{URL: r.URL.RequestURI(), After: int(p.retry.Seconds())}
	case errors.Is(err, session.ErrAmbiguous):
		data.LogoutURL = h.base + "/logout"
	}
	if err := h.writePage(w, r, p.status, web.PageError, data); err != nil {
		annotate(w, slog.LevelError, slog.String("render_error", err.Error()))
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// questionPage is where a browser is asked what a JSON client was only told of.
func (h *Handler) questionPage(r *http.Request, p problem) string {
	if p.kind != errOperatorDiffers {
		return ""
	}
	return h.callbackURL(unmarked(r.URL.RawQuery))
}

// logLanding counts a landing that ended well, and writes its line.
func (h *Handler) logLanding(w http.ResponseWriter, r *http.Request, out landing.Outcome) {
	if out.Result != landing.Kept { // an answer, not an arrival
		h.Metrics.Landing(string(out.Result))
	}
	if out.Result == landing.Asked {
		h.writeLanding(w, r, string(out.Result), slog.String("operator_id", out.Question.Arriving.ID),
			slog.String("current_operator_id", out.Question.Current.OperatorID))
		return
	}
	h.writeLanding(w, r, string(out.Result), slog.String("operator_id", out.Session.OperatorID),
		slog.String("operator_type", string(out.Entry.OperatorType)), slog.String("partner_id", out.Entry.PartnerID))
}

// writeLanding writes the one line of a landing. A hop has none: the landing is still to come.
func (h *Handler) writeLanding(w http.ResponseWriter, r *http.Request, result string, who ...slog.Attr) {
	attrs := append([]slog.Attr{slog.String("result", result), slog.String("request_id", requestID(w))}, who...)
	h.Log.LogAttrs(r.Context(), slog.LevelInfo, "landing", attrs...)
}
