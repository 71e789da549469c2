package handler

import (
	"net/http"

	"github.com/rs/cors"
)

// share lets pages of CORS_ORIGINS read /session with credentials, sign out, and clear the browser's memory. It comes before
// everything that may refuse a request, so that a page can read the errors too.
func (h *Handler) share(next http.Handler) http.Handler {
	if len(h.CORSOrigins) == 0 {
		return next
	}
	shared := cors.New(cors.Options{
		AllowedOrigins:   h.CORSOrigins,
		AllowedMethods:   []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders:   []string{"Accept", "Accept-Language", "Content-Type"},
		ExposedHeaders:   []string{"Retry-After", "X-Request-Id"},
		AllowCredentials: true,
		MaxAge:           600,
	}).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case h.base + "/session", h.base + "/logout", h.base + "/forget":
			shared.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
