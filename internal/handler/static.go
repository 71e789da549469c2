package handler

import "net/http"

// static serves the embedded assets. Their names contain a hash, so they may be cached for good.
func (h *Handler) static(w http.ResponseWriter, r *http.Request) error {
	if _, ok := h.pages.Asset(r.URL.Path); !ok {
		return errNotFound
	}
	h.pages.Static().ServeHTTP(w, r)
	return nil
}
