package handler

import (
	"context"
	"net/http"
	"time"
)

// health responds 200 while the process runs.
func (h *Handler) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// firstReport is how long a probe waits for the first checks after the start.
const firstReport = time.Second

// ready reports whether requests should be sent to this replica, and the reason if not.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), firstReport)
	defer cancel()
	report := h.Readiness.Report(ctx)
	setNoStore(w)
	if !report.Ready {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "unavailable", "checks": report.Checks})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "checks": report.Checks})
}
