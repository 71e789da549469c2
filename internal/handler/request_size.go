package handler

import "net/http"

// Limits on the size of a request.
const (
	maxURI     = 8 << 10
	maxHeaders = 32 << 10
	maxForm    = 16 << 10

	// MaxHeaderBytes is for http.Server. It is larger than maxHeaders, so that a request slightly over the limit gets
	// an error page.
	MaxHeaderBytes = 64 << 10
)

// limits refuses requests whose address or headers are too long.
func limits(fail failFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case len(r.RequestURI) > maxURI:
				fail(w, r, errURITooLong)
			case headerSize(r.Header) > maxHeaders:
				fail(w, r, errHeaders)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

func headerSize(header http.Header) int {
	size := 0
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	return size
}
