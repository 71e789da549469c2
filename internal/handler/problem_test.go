package handler

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/web"
)

func TestEveryKindHasARowWithWords(t *testing.T) {
	pages, err := web.New("")
	if err != nil {
		t.Fatal(err)
	}
	foreign := []error{
		alipay.ErrInvalidParameter, alipay.ErrCodeNotExist, alipay.ErrCodeExpired, alipay.ErrAccessNotAllowed,
		alipay.ErrUnavailable, alipay.ErrUntrusted, alipay.ErrRejected,
		landing.ErrCodeUsed, landing.ErrInProgress, landing.ErrOverloaded, landing.ErrRateLimited, landing.ErrSwitchExpired, landing.ErrSwitchStale,
		session.ErrNone, session.ErrAmbiguous, store.ErrUnavailable,
	}
	for _, kind := range foreign {
		if p := problemFor(fmt.Errorf("somewhere: %w", kind)); !errors.Is(p.kind, kind) {
			t.Errorf("%v has no row", kind)
		}
	}
	for _, p := range append(problems, internal) {
		for _, part := range []string{"title", "what", "do"} {
			if !pages.HasText("error." + p.code + "." + part) {
				t.Errorf("error.%s.%s has no text", p.code, part)
			}
		}
		if (p.status == http.StatusServiceUnavailable || p.status == http.StatusTooManyRequests) != (p.retry > 0) {
			t.Errorf("%s: status %d with Retry-After %s", p.code, p.status, p.retry)
		}
	}
}

// TestTheContractsCodes compares the table with the contract's codes and statuses.
func TestTheContractsCodes(t *testing.T) {
	for code, status := range map[string]int{
		"method_not_allowed": 405, "not_a_navigation": 400, "not_a_landing": 400, "invalid_code": 400, "wrong_app": 400,
		"invalid_return_to": 400, "cookies_blocked": 403, "store_unavailable": 503, "code_used": 410, "rate_limited": 429,
		"landing_in_progress": 503, "overloaded": 503, "invalid_parameter": 400, "code_not_exist": 410, "code_expired": 410,
		"access_not_allowed": 403, "gateway_unavailable": 503, "gateway_untrusted": 502, "gateway_rejected": 502,
		"not_found": 404, "cross_origin": 403, "internal": 500, "draining": 503, "operator_differs": 409,
		"switch_stale": 409, "switch_expired": 410, "unknown_partner": 403, "no_session": 401, "ambiguous_session": 401,
	} {
		found := false
		for _, p := range append(problems, internal) {
			if p.code == code {
				found = true
				if p.status != status {
					t.Errorf("%s: got %d, want %d", code, p.status, status)
				}
			}
		}
		if !found {
			t.Errorf("%s has no row", code)
		}
	}
}

func TestWhoPrefersJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                 false,
		"*/*":                              false,
		"text/html,*/*;q=0.8":              false,
		"application/json":                 true,
		"application/problem+json":         true,
		"application/json, text/html":      false,
		"text/html;q=0.5,application/json": true,
		"text/*;q=0.9, application/*":      true,
		"application/json;q=0":             false,
		"application/json;q=x":             false,
		"text/html;q=0, */*":               true,
		strings.Repeat("x/y,", 9000) + "application/json": false, // only the first 1,024 bytes are read
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		if got := prefersJSON(r); got != want {
			t.Errorf("%q: got %v, want %v", accept, got, want)
		}
	}
}

func FuzzCallbackQuery(f *testing.F) {
	for _, q := range []string{"code=a", "auth_code=a&code=a", "code=a&return_to=/x", "arrived=1&code=a", "code=%zz", "app_auth_code=x", "a;b&code=a&arrived=1&arrived=2", "x=%&code=a&%zz=1&auth_code=%", "code=a&app_id=%z"} {
		f.Add(q)
	}
	public := targets(f)
	h := &Handler{Options: Options{AppID: "1", Config: Config{Targets: public}}}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{URL: public.PublicURL.JoinPath("cb"), Header: http.Header{}}
		r.URL.RawQuery = query
		in, err := h.parseArriving(r)
		if err == nil && !operator.IsCode(in.code) {
			t.Fatalf("%q: got code %q", query, in.code)
		}
		if p := problemFor(err); err != nil && p.code == internal.code {
			t.Fatalf("%q: %v has no row", query, err)
		}
		if once := withoutArrived(query); withoutArrived(once) != once {
			t.Fatalf("%q: withoutArrived twice differs", query)
		}
	})
}
