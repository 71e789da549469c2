package handler

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// problem is one row of the table of errors: what a kind looks like from outside. Its code is the member of
// problem+json, the key of its texts and, for a landing, the metric's label.
type problem struct {
	kind   error
	code   string
	status int
	retry  time.Duration // Retry-After; 0 where trying again helps nobody
	level  slog.Level    // of the log line
}

// The kinds that arise in this package: what a request itself gives away.
var (
	errMethod            = errors.New("method not allowed")
	errNotNavigation     = errors.New("a landing that is no navigation")
	errNotLanding        = errors.New("another of Koubei's returns")
	errInvalidCode       = errors.New("no code, or none that could be one")
	errWrongApp          = errors.New("meant for another application")
	errInvalidReturnTo   = errors.New("return_to is not allowed")
	errCookiesBlocked    = errors.New("the browser keeps no cookies here")
	errUnknownPartner    = errors.New("no entry for this partner")
	errForbiddenType     = errors.New("this operator type is not allowed")
	errForbiddenAudience = errors.New("this audience is not allowed")
	errNotFound          = errors.New("no such page")
	errCrossOrigin       = errors.New("a form from a foreign page")
	errRequestTimeout    = errors.New("the form did not arrive in time")
	errTooLarge          = errors.New("request body too large")
	errURITooLong        = errors.New("address too long")
	errHeaders           = errors.New("request header fields too large")
	errBadRequest        = errors.New("malformed request")
	errBusy              = errors.New("too many requests in work")
	errUnauthorized      = errors.New("no admin token")
	errOperatorDiffers   = errors.New("another operator is signed in")
)

// problems is the one table of errors. The first row whose kind an error is decides.
var problems = []problem{
	{errMethod, "method_not_allowed", http.StatusMethodNotAllowed, 0, slog.LevelInfo},
	{errNotNavigation, "not_a_navigation", http.StatusBadRequest, 0, slog.LevelInfo},
	{errNotLanding, "not_a_landing", http.StatusBadRequest, 0, slog.LevelInfo},
	{errInvalidCode, "invalid_code", http.StatusBadRequest, 0, slog.LevelInfo},
	{errWrongApp, "wrong_app", http.StatusBadRequest, 0, slog.LevelInfo},
	{errInvalidReturnTo, "invalid_return_to", http.StatusBadRequest, 0, slog.LevelInfo},
	{errCookiesBlocked, "cookies_blocked", http.StatusForbidden, 0, slog.LevelInfo},
	{errOperatorDiffers, "operator_differs", http.StatusConflict, 0, slog.LevelInfo},
	{errUnknownPartner, "unknown_partner", http.StatusForbidden, 0, slog.LevelInfo},
	{errForbiddenType, "forbidden", http.StatusForbidden, 0, slog.LevelInfo},
	{errForbiddenAudience, "forbidden", http.StatusForbidden, 0, slog.LevelInfo},
	{errNotFound, "not_found", http.StatusNotFound, 0, slog.LevelInfo},
	{errCrossOrigin, "cross_origin", http.StatusForbidden, 0, slog.LevelWarn},
	{errRequestTimeout, "request_timeout", http.StatusRequestTimeout, 0, slog.LevelInfo},
	{errTooLarge, "too_large", http.StatusRequestEntityTooLarge, 0, slog.LevelInfo},
	{errURITooLong, "uri_too_long", http.StatusRequestURITooLong, 0, slog.LevelInfo},
	{errHeaders, "headers_too_large", http.StatusRequestHeaderFieldsTooLarge, 0, slog.LevelInfo},
	{errBadRequest, "bad_request", http.StatusBadRequest, 0, slog.LevelInfo},
	{errUnauthorized, "unauthorized", http.StatusUnauthorized, 0, slog.LevelWarn},
	{errBusy, "overloaded", http.StatusServiceUnavailable, 2 * time.Second, slog.LevelWarn},

	{session.ErrAmbiguous, "ambiguous_session", http.StatusUnauthorized, 0, slog.LevelWarn},
	{landing.ErrCodeUsed, "code_used", http.StatusGone, 0, slog.LevelInfo},
	{landing.ErrRateLimited, "rate_limited", http.StatusTooManyRequests, 30 * time.Second, slog.LevelWarn},
	{landing.ErrInProgress, "landing_in_progress", http.StatusServiceUnavailable, 2 * time.Second, slog.LevelWarn},
	{landing.ErrOverloaded, "overloaded", http.StatusServiceUnavailable, 5 * time.Second, slog.LevelWarn},
	{landing.ErrDraining, "draining", http.StatusServiceUnavailable, 2 * time.Second, slog.LevelInfo},
	{landing.ErrSwitchStale, "switch_stale", http.StatusConflict, 0, slog.LevelInfo},
	{landing.ErrSwitchExpired, "switch_expired", http.StatusGone, 0, slog.LevelInfo},
	{session.ErrNone, "no_session", http.StatusUnauthorized, 0, slog.LevelInfo},
	{store.ErrUnavailable, "store_unavailable", http.StatusServiceUnavailable, 2 * time.Second, slog.LevelError},

	{alipay.ErrInvalidParameter, "invalid_parameter", http.StatusBadRequest, 0, slog.LevelWarn},
	{alipay.ErrCodeNotExist, "code_not_exist", http.StatusGone, 0, slog.LevelInfo},
	{alipay.ErrCodeExpired, "code_expired", http.StatusGone, 0, slog.LevelInfo},
	{alipay.ErrAccessNotAllowed, "access_not_allowed", http.StatusForbidden, 0, slog.LevelWarn},
	{alipay.ErrUnavailable, "gateway_unavailable", http.StatusServiceUnavailable, 3 * time.Second, slog.LevelError},
	{alipay.ErrUntrusted, "gateway_untrusted", http.StatusBadGateway, 0, slog.LevelError},
	{alipay.ErrRejected, "gateway_rejected", http.StatusBadGateway, 0, slog.LevelError},
}

// internal is what anything else looks like: a mistake of ours.
var internal = problem{nil, "internal", http.StatusInternalServerError, 0, slog.LevelError}

// problemFor returns the row of an error.
func problemFor(err error) problem {
	for _, p := range problems {
		if errors.Is(err, p.kind) {
			return p
		}
	}
	return internal
}

// advice returns what the gateway's own words mean for whoever runs the service; empty where there are none.
func advice(err error) []slog.Attr {
	var e *alipay.Error
	if !errors.As(err, &e) {
		return nil
	}
	return []slog.Attr{slog.String("trace_id", e.TraceID), slog.String("advice", e.Advice())}
}
