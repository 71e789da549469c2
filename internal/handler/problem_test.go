package handler

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"koubei-landing/internal/operator"
	"koubei-landing/web"
)

// handled are the errors that never reach the table, because a package or a handler deals with them.
var handled = []string{
	"errTarget",             // becomes errInvalidReturnTo
	"assertion.ErrAudience", // becomes errForbiddenAudience
	"session.ErrRevoked",    // landing adds ErrCodeUsed
	"session.ErrSeal",       // landing adds ErrCodeUsed
}

// TestEveryKindHasARowWithWords compares the table with the errors that the packages define, and with the texts.
func TestEveryKindHasARowWithWords(t *testing.T) {
	t.Parallel()
	pages, err := web.New("")
	if err != nil {
		t.Fatal(err)
	}
	rows := rowKinds(t)
	for _, kind := range definedErrors(t) {
		if !rows[kind] && !slices.Contains(handled, kind) {
			t.Errorf("%s has no row in problems (problem.go); if it never arrives there, add it to handled with the reason", kind)
		}
	}
	codes := map[string]bool{}
	for _, p := range append(problems, internal) {
		codes[p.code] = true
		if got := problemFor(fmt.Errorf("somewhere: %w", p.kind)); p.kind != nil && !errors.Is(got.kind, p.kind) {
			t.Errorf("%v has the row of %v", p.kind, got.kind)
		}
		for _, part := range []string{"title", "what", "do"} {
			if key := "error." + p.code + "." + part; pages.Text(web.English, key) == key { // both languages have the same keys
				t.Errorf("add the text %s to web/text/zh.json and en.json", key)
			}
		}
		if (p.status == http.StatusServiceUnavailable || p.status == http.StatusTooManyRequests) != (p.retry > 0) {
			t.Errorf("%s: got status %d and retry %s; 503 and 429, and only these, need a Retry-After (problem.go)", p.code, p.status, p.retry)
		}
	}
	for _, m := range regexp.MustCompile(`"error\.(\w+)\.`).FindAllStringSubmatch(readSource(t, "../../web/text/zh.json"), -1) {
		if code := m[1]; !codes[code] {
			t.Errorf("web/text has texts for the error %s, which has no row in problems (problem.go)", code)
		}
	}
}

// rowKinds returns the kinds of the table as problem.go names them.
func rowKinds(t *testing.T) map[string]bool {
	t.Helper()
	kinds := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t\{([\w.]+), "`).FindAllStringSubmatch(readSource(t, "problem.go"), -1) {
		kinds[m[1]] = true
	}
	return kinds
}

// definedErrors returns the errors that this package and those below it define, as problem.go would name them.
func definedErrors(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, dir := range []string{".", "../alipay", "../assertion", "../landing", "../session", "../store"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		prefix, initial := filepath.Base(dir)+".", "E"
		if dir == "." {
			prefix, initial = "", "e"
		}
		definition := regexp.MustCompile(`(?m)^(?:var |\t)(` + initial + `rr[A-Z]\w*)\s+= errors\.New\(`)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range definition.FindAllStringSubmatch(readSource(t, file), -1) {
				names = append(names, prefix+m[1])
			}
		}
	}
	if len(names) < 30 {
		t.Fatalf("got the errors %v, want 30 or more", names)
	}
	return names
}

func readSource(t *testing.T, name string) string {
	t.Helper()
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// TestTheContractsCodes compares the table with the contract's codes and statuses.
func TestTheContractsCodes(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	for accept, want := range map[string]bool{
		"":                                       false,
		"*/*":                                    false,
		"text/html,*/*;q=0.8":                    false,
		"application/json":                       true,
		"application/problem+json":               true,
		"application/json, text/html":            false,
		"text/html;q=0.5,application/json":       true,
		"text/*;q=0.9, application/*":            true,
		"application/json;q=0":                   false,
		"application/json;q=0.5":                 true,
		"text/html;q=-0.5":                       false,
		"application/json;q=2":                   false,
		"application/json;q=0.5,text/html;q=0.6": false,
		"application/json;q=x":                   false,
		"text/html;q=0, */*":                     true,
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
