package handler_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"koubei-landing/internal/testworld"
)

// labels returns the values of a label in all series of one name.
func labels(t *testing.T, w *testworld.World, series, label string) map[string]bool {
	t.Helper()
	values := map[string]bool{}
	value := regexp.MustCompile(`[{,]` + label + `="([^"]*)"`)
	for line := range strings.Lines(w.Program().Get(w.Internal + "/metrics").Body) {
		if m := value.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, series+"{") {
			values[m[1]] = true
		}
	}
	return values
}

// wantLabels fails if a value of a label is not on the list, and if one of the list is missing.
func wantLabels(t *testing.T, w *testworld.World, series, label string, want ...string) {
	t.Helper()
	got := labels(t, w, series, label)
	for _, value := range want {
		if !got[value] {
			t.Errorf("%s has no %s %q: got %v", series, label, value, got)
		}
		delete(got, value)
	}
	for value := range got {
		t.Errorf("%s has the %s %q, want none but %v", series, label, value, want)
	}
}

// Requests of strangers create no series: neither addresses nor methods nor invented operator types become labels.
func TestRequestsAddNoSeries(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for _, method := range []string{"GET", "POST", "BREW", "get", "PROPFIND"} {
		for _, path := range []string{"/nothing", "/static", "/nothing/../x", "/session/2088", "/koubei/callback/", "/koubei/callback/switch/1",
			"/auth/verify/x", "/admin/operators/1", "/debug", "/healthz/", "/metrics/x", "/*", "/other", "/%2e%2e/"} {
			for _, listener := range []string{w.Public, w.Internal} {
				r, err := http.NewRequest(method, listener+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if a := w.Program().Do(r); a.StatusCode < 300 {
					t.Errorf("%s %s: got %d", method, r.URL, a.StatusCode)
				}
			}
		}
	}
	wantLabels(t, w, "http_request_duration_seconds_count", "route", "other")
	wantLabels(t, w, "http_request_duration_seconds_count", "method", "GET", "POST", "other")

	odd := testworld.Provider
	odd.OperatorType = "SYSTEM"
	land(t, w, odd)
	if n := metric(t, w, `koubei_sessions_started_total{operator_type="other"}`); n != 1 {
		t.Errorf("got %v sessions of another type, want 1", n)
	}
	land(t, w, testworld.Sales)
	wantLabels(t, w, "koubei_sessions_started_total", "operator_type", "PROVIDER", "PROVIDER_STAFF", "MER", "MER_STAFF", "SALES", "other")
}

func TestSessionsEndForThreeReasons(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, administered)
	want := func(name string, signedOut, revoked, replaced float64) {
		t.Helper()
		for reason, n := range map[string]float64{"signed_out": signedOut, "revoked": revoked, "replaced": replaced} {
			if got := metric(t, w, `koubei_sessions_ended_total{reason="`+reason+`"}`); got != n {
				t.Errorf("%s: got %v %s, want %v", name, got, reason, n)
			}
		}
	}
	one, two := land(t, w, testworld.Provider), land(t, w, testworld.Provider)
	want("nothing has ended", 0, 0, 0)
	one.Post(w.Public+"/logout", nil)
	want("a sign-out", 1, 0, 0)
	one.Post(w.Public+"/logout", nil)
	twoCookies(t, w, http.MethodPost, "/logout", one)
	want("a sign-out of nobody", 1, 0, 0)
	land(t, w, testworld.Provider)
	revoke(t, w.Service, w, testworld.Provider.OperatorID, "2")
	want("a revocation of two", 1, 2, 0)
	two.Post(w.Public+"/logout", nil)
	revoke(t, w.Service, w, testworld.Provider.OperatorID, "0")
	want("what has ended before", 1, 2, 0)

	b := land(t, w, testworld.Merchant)
	_, page := asked(t, w, b, testworld.ProviderStaff)
	want("a question", 1, 2, 0)
	if a := b.Post(switchURL(w), answerTo(t, page, "yes")); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d", a.StatusCode)
	}
	want("a switch", 1, 2, 1)
	twoCookies(t, w, http.MethodPost, "/logout", b, land(t, w, testworld.Sales))
	want("a sign-out of two", 3, 2, 1)
	wantLabels(t, w, "koubei_sessions_ended_total", "reason", "signed_out", "revoked", "replaced")
}

func TestChecksEndInFourWays(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b, nobody := land(t, w, testworld.Provider), w.Browser()
	want := map[string]float64{"allowed": 0, "no_session": 0, "forbidden": 0, "unavailable": 0}
	check := func(b *testworld.Browser, query string, status int, result string) {
		t.Helper()
		if a := verify(t, w, b, http.MethodGet, query, nil); a.StatusCode != status {
			t.Errorf("%q: got %d, want %d", query, a.StatusCode, status)
		}
		want[result]++
		for result, n := range want {
			if got := metric(t, w, `koubei_verify_total{result="`+result+`"}`); got != n {
				t.Errorf("%q: got %v %s, want %v", query, got, result, n)
			}
		}
	}
	check(b, "", http.StatusOK, "allowed")
	check(b, "?type=PROVIDER", http.StatusOK, "allowed")
	check(nobody, "", http.StatusUnauthorized, "no_session")
	check(nobody, "?redirect=1", http.StatusSeeOther, "no_session")
	check(b, "?type=MER", http.StatusForbidden, "forbidden")
	check(b, "?partner_id=1", http.StatusForbidden, "forbidden")
	check(nobody, "?type=", http.StatusForbidden, "forbidden")
	w.Redis.Kill()
	check(b, "", http.StatusServiceUnavailable, "unavailable")
	check(b, "?redirect=1", http.StatusServiceUnavailable, "unavailable")
	wantLabels(t, w, "koubei_verify_total", "result", "allowed", "no_session", "forbidden", "unavailable")
}
