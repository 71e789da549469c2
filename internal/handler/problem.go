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

// problem is one row of the table of errors: what a kind of error looks like from outside.
type problem struct {
	kind   error
	code   string // the member of problem+json, the key of the texts and, for a landing, the metric's label
	status int
	retry  time.Duration // Retry-After; 0 where a retry does not help
	level  slog.Level    // of the log line
	help   help
}

// help is what helps the user, besides a retry.
type help int

const (
	enterAgain help = iota // entering again from Koubei
	goBack                 // going back, or the home page
)

// The kinds of errors that arise in this package.
var (
	errMethod            = errors.New("method not allowed")
	errNotNavigation     = errors.New("the request is not a navigation")
	errNotLanding        = errors.New("app_auth_code or error instead of a code")
	errInvalidCode       = errors.New("code missing or malformed")
	errWrongApp          = errors.New("app_id or auth_type of another application")
	errInvalidReturnTo   = errors.New("return_to is not allowed")
	errCookiesBlocked    = errors.New("the browser did not keep the arrival cookie")
	errUnknownPartner    = errors.New("no entry for this partner")
	errForbiddenType     = errors.New("operator type not allowed")
	errForbiddenAudience = errors.New("audience not allowed")
	errNotFound          = errors.New("no such page")
	errCrossOrigin       = errors.New("form from another origin")
	errRequestTimeout    = errors.New("the form did not arrive in time")
	errTooLarge          = errors.New("request body too large")
	errURITooLong        = errors.New("address too long")
	errHeaders           = errors.New("request headers too large")
	errBadRequest        = errors.New("malformed form")
	errBusy              = errors.New("MAX_REQUESTS exceeded")
	errUnauthorized      = errors.New("admin token missing or wrong")
	errOperatorDiffers   = errors.New("another operator is signed in")
)

// problems is the table of errors. The first row whose kind matches is used.
var problems = []problem{
	{errMethod, "method_not_allowed", http.StatusMethodNotAllowed, 0, slog.LevelInfo, enterAgain},
	{errNotNavigation, "not_a_navigation", http.StatusBadRequest, 0, slog.LevelInfo, enterAgain},
	{errNotLanding, "not_a_landing", http.StatusBadRequest, 0, slog.LevelInfo, enterAgain},
	{errInvalidCode, "invalid_code", http.StatusBadRequest, 0, slog.LevelInfo, enterAgain},
	{errWrongApp, "wrong_app", http.StatusBadRequest, 0, slog.LevelInfo, enterAgain},
	{errInvalidReturnTo, "invalid_return_to", http.StatusBadRequest, 0, slog.LevelInfo, enterAgain},
	{errCookiesBlocked, "cookies_blocked", http.StatusForbidden, 0, slog.LevelInfo, enterAgain},
	{errOperatorDiffers, "operator_differs", http.StatusConflict, 0, slog.LevelInfo, goBack},
	{errUnknownPartner, "unknown_partner", http.StatusForbidden, 0, slog.LevelInfo, enterAgain},
	{errForbiddenType, "forbidden", http.StatusForbidden, 0, slog.LevelInfo, enterAgain},
	{errForbiddenAudience, "forbidden", http.StatusForbidden, 0, slog.LevelInfo, enterAgain},
	{errNotFound, "not_found", http.StatusNotFound, 0, slog.LevelInfo, enterAgain},
	{errCrossOrigin, "cross_origin", http.StatusForbidden, 0, slog.LevelWarn, goBack},
	{errRequestTimeout, "request_timeout", http.StatusRequestTimeout, 0, slog.LevelInfo, goBack},
	{errTooLarge, "too_large", http.StatusRequestEntityTooLarge, 0, slog.LevelInfo, goBack},
	{errURITooLong, "uri_too_long", http.StatusRequestURITooLong, 0, slog.LevelInfo, enterAgain},
	{errHeaders, "headers_too_large", http.StatusRequestHeaderFieldsTooLarge, 0, slog.LevelInfo, enterAgain},
	{errBadRequest, "bad_request", http.StatusBadRequest, 0, slog.LevelInfo, enterAgain},
	{errUnauthorized, "unauthorized", http.StatusUnauthorized, 0, slog.LevelWarn, goBack},
	{errBusy, "overloaded", http.StatusServiceUnavailable, 2 * time.Second, slog.LevelWarn, enterAgain},

	{session.ErrAmbiguous, "ambiguous_session", http.StatusUnauthorized, 0, slog.LevelWarn, enterAgain},
	{landing.ErrCodeUsed, "code_used", http.StatusGone, 0, slog.LevelInfo, enterAgain},
	{landing.ErrRateLimited, "rate_limited", http.StatusTooManyRequests, 30 * time.Second, slog.LevelWarn, enterAgain},
	{landing.ErrInProgress, "landing_in_progress", http.StatusServiceUnavailable, 2 * time.Second, slog.LevelWarn, enterAgain},
	{landing.ErrOverloaded, "overloaded", http.StatusServiceUnavailable, 5 * time.Second, slog.LevelWarn, enterAgain},
	{landing.ErrDraining, "draining", http.StatusServiceUnavailable, 2 * time.Second, slog.LevelInfo, enterAgain},
	{landing.ErrSwitchStale, "switch_stale", http.StatusConflict, 0, slog.LevelInfo, enterAgain},
	{landing.ErrSwitchExpired, "switch_expired", http.StatusGone, 0, slog.LevelInfo, enterAgain},
	{session.ErrNone, "no_session", http.StatusUnauthorized, 0, slog.LevelInfo, enterAgain},
	{store.ErrUnavailable, "store_unavailable", http.StatusServiceUnavailable, 2 * time.Second, slog.LevelError, enterAgain},

	{alipay.ErrInvalidParameter, "invalid_parameter", http.StatusBadRequest, 0, slog.LevelWarn, enterAgain},
	{alipay.ErrCodeNotExist, "code_not_exist", http.StatusGone, 0, slog.LevelInfo, enterAgain},
	{alipay.ErrCodeExpired, "code_expired", http.StatusGone, 0, slog.LevelInfo, enterAgain},
	{alipay.ErrAccessNotAllowed, "access_not_allowed", http.StatusForbidden, 0, slog.LevelWarn, enterAgain},
	{alipay.ErrUnavailable, "gateway_unavailable", http.StatusServiceUnavailable, 3 * time.Second, slog.LevelError, enterAgain},
	{alipay.ErrUntrusted, "gateway_untrusted", http.StatusBadGateway, 0, slog.LevelError, enterAgain},
	{alipay.ErrRejected, "gateway_rejected", http.StatusBadGateway, 0, slog.LevelError, enterAgain},
}

// internal is the row of all other errors: a defect of the service.
var internal = problem{nil, "internal", http.StatusInternalServerError, 0, slog.LevelError, enterAgain}

// problemFor returns the row of an error.
func problemFor(err error) problem {
	for _, p := range problems {
		if errors.Is(err, p.kind) {
			return p
		}
	}
	return internal
}

// advice returns log attributes that explain the gateway's response to the administrator; none for other errors.
func advice(err error) []slog.Attr {
	var e *alipay.Error
	if !errors.As(err, &e) {
		return nil
	}
	return []slog.Attr{slog.String("trace_id", e.TraceID), slog.String("advice", e.Advice())}
}
