package handler

import (
	"errors"
	"log/slog"
	"net/http"

	"koubei-landing/internal/landing"
)

// landed adapts the handlers of a landing. It counts each failure by its code and writes its landing line.
func (h *Handler) landed(f handlerFunc) http.HandlerFunc {
	return h.page(func(w http.ResponseWriter, r *http.Request) error {
		err := f(w, r)
		if err != nil {
			code := problemFor(err).code
			h.Metrics.Landing(code)
			h.writeLanding(w, r, code)
		}
		if errors.Is(err, landing.ErrRateLimited) {
			h.logLimited(r)
		}
		return err
	})
}

// logLanding counts a landing that succeeded and writes its landing line.
func (h *Handler) logLanding(w http.ResponseWriter, r *http.Request, out landing.Outcome) {
	if out.Result != landing.Kept { // a "no" is not counted
		h.Metrics.Landing(string(out.Result))
	}
	if out.Result == landing.Asked {
		q := out.Question
		other := slog.String("current_operator_id", q.Current.OperatorID)
		if q.Sessions == "" {
			other = slog.String("last_known_operator_id", q.LastKnown)
		}
		h.writeLanding(w, r, string(out.Result), slog.String("operator_id", q.Arriving.ID), other)
		return
	}
	h.writeLanding(w, r, string(out.Result), slog.String("operator_id", out.Session.OperatorID),
		slog.String("operator_type", string(out.Entry.OperatorType)), slog.String("partner_id", out.Entry.PartnerID))
}

// writeLanding writes the one log line of a landing. The arrival hop has none: its landing follows.
func (h *Handler) writeLanding(w http.ResponseWriter, r *http.Request, result string, who ...slog.Attr) {
	attrs := append([]slog.Attr{slog.String("result", result), slog.String("request_id", requestID(w))}, who...)
	h.Log.LogAttrs(r.Context(), slog.LevelInfo, "landing", attrs...)
}
