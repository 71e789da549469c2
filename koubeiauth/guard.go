package koubeiauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The kinds of errors.
var (
	ErrUnauthenticated = errors.New("koubeiauth: nobody is signed in")                  // 401: the user must enter again from Koubei
	ErrForbidden       = errors.New("koubeiauth: not allowed")                          // 403: the operator is signed in but may not pass
	ErrUnavailable     = errors.New("koubeiauth: the operator could not be determined") // 503: try again
)

func unauthenticated(why string) error { return fmt.Errorf("%w: %s", ErrUnauthenticated, why) }
func forbidden(why string) error       { return fmt.Errorf("%w: %s", ErrForbidden, why) }
func unavailable(err error) error      { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

// Status returns the HTTP status of an error: 401, 403 or 503.
func Status(err error) int {
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return http.StatusUnauthorized
	case errors.Is(err, ErrForbidden):
		return http.StatusForbidden
	}
	return http.StatusServiceUnavailable
}

// RefuseFunc responds to a request that may not pass. [Status] says what the error means. Its text is for the log only.
type RefuseFunc func(w http.ResponseWriter, r *http.Request, err error)

// refuse is the default RefuseFunc. It sends the bare status.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	status := Status(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(status), status)
}

// guard passes requests on to next with their operator in the context, and refuses the others.
func guard(identify func(*http.Request) (Operator, error), refused RefuseFunc, next http.Handler) http.Handler {
	if refused == nil {
		refused = refuse
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, err := identify(r)
		r = r.WithContext(r.Context()) // a copy: the caller's request keeps its headers
		r.Header = withoutIdentity(r.Header)
		if err != nil {
			refused(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, o)))
	})
}

// withoutIdentity returns the headers without the identity headers, which a client may have sent itself. It also removes
// spellings with underscores, which some servers treat as the same name.
func withoutIdentity(h http.Header) http.Header {
	clean := make(http.Header, len(h))
	for name, values := range h {
		if !strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "x-koubei-") {
			clean[name] = values
		}
	}
	return clean
}
