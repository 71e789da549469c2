package handler

import (
	"net/http"

	"koubei-landing/internal/metrics"
)

// logout ends every session whose cookie is in the request, and then deletes the cookies. If Redis is unavailable, it
// deletes none: the browser would look signed out while its session is still valid. The browser's memory stays.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) error {
	ended, err := h.Sessions.EndAll(r.Context(), h.Cookies.Tokens(r))
	h.Metrics.SessionsEnded(metrics.SignedOut, ended)
	if err != nil {
		return err
	}
	for _, c := range append(h.Cookies.EndSession(), h.Cookies.EndPendingOf(r)...) {
		http.SetCookie(w, c)
	}
	// The back button must not show the operator's pages again.
	w.Header().Set("Clear-Site-Data", `"cache"`)
	if prefersJSON(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	goTo(w, h.base+"/signed-out")
	return nil
}
