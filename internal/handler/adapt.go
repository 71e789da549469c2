package handler

import (
	"errors"
	"net/http"
)

// handlerFunc writes its response, or writes nothing and returns an error.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// page adapts a handler whose errors are pages, or problem+json for clients that prefer it.
func (h *Handler) page(f handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			h.fail(w, r, err)
		}
	}
}

// api adapts a handler whose errors are always problem+json.
func (h *Handler) api(f handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			h.failJSON(w, r, err)
		}
	}
}

// noStore keeps a response that involves a session or a code out of caches.
func noStore(f handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		setNoStore(w)
		return f(w, r)
	}
}

// sameOrigin refuses a form from a foreign page. It fails with errCrossOrigin.
func sameOrigin(p *http.CrossOriginProtection, f handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := p.Check(r); err != nil {
			return errors.Join(errCrossOrigin, err)
		}
		return f(w, r)
	}
}
