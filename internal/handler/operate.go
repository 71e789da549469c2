package handler

import (
	"net/http"
)

// health says that the process lives.
func (h *Handler) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready says whether requests should be sent here: Redis answers, and nobody is shutting down.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	setNoStore(w)
	checks := map[string]string{"redis": "ok", "serving": "ok"}
	status, word := http.StatusOK, "ok"
	if err := h.Store.Ping(r.Context()); err != nil {
		checks["redis"] = "out of reach"
		status, word = http.StatusServiceUnavailable, "unavailable"
	}
	if h.unready.Load() {
		checks["serving"] = "shutting down"
		status, word = http.StatusServiceUnavailable, "unavailable"
	}
	writeJSON(w, status, map[string]any{"status": word, "checks": checks})
}

// Unready makes /readyz fail from now on, while everything is still served: load balancers look away first.
func (h *Handler) Unready() { h.unready.Store(true) }
