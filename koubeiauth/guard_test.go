package koubeiauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"koubei-landing/koubeiauth"
)

// whoami writes the operator of the request, and every identity header that reaches it.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	o, ok := koubeiauth.OperatorFrom(r.Context())
	fmt.Fprintf(w, "%s %s %t", o.ID, o.PartnerID, ok)
	for name := range r.Header {
		if strings.Contains(strings.ToLower(name), "koubei") {
			fmt.Fprintf(w, " %s", name)
		}
	}
})

func ask(h http.Handler, header http.Header, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// forged are headers with which a client may try to forge an identity.
var forged = http.Header{"X-Koubei-Operator-Id": {"2088000000000001"}, "X-Koubei-Auth-Code": {"x"}, "X_koubei_operator_id": {"2088000000000001"},
	"X-Koubei_Partner-Id": {"1"}, "x-koubei-shop-ids": {"1"}}

func TestVerifierMiddleware(t *testing.T) {
	s := start(t, es256())
	byQuery := func(r *http.Request) string { return r.URL.Query().Get("partner_id") }
	v := s.verifier(t)
	type access = koubeiauth.Access
	for _, tt := range []struct {
		name   string
		access access
		claims map[string]any
		target string
		status int
		body   string
	}{
		{"anybody", access{}, nil, "/", 200, "2088102150477652 2088102150477653 true"},
		{"an undocumented type", access{}, map[string]any{"operator_type": "SYSTEM"}, "/", 403, ""},
		{"the same, named", access{Types: []koubeiauth.Type{"SYSTEM"}}, map[string]any{"operator_type": "SYSTEM"}, "/", 200, "2088102150477652 2088102150477653 true"},
		{"its type", access{Types: []koubeiauth.Type{koubeiauth.Merchant, koubeiauth.Provider}}, nil, "/", 200, "2088102150477652 2088102150477653 true"},
		{"another type", access{Types: []koubeiauth.Type{koubeiauth.Merchant, koubeiauth.MerchantStaff}}, nil, "/", 403, ""},
		{"its partner", access{Partner: byQuery}, nil, "/?partner_id=2088102150477653", 200, "2088102150477652 2088102150477653 true"},
		{"another partner", access{Partner: byQuery}, nil, "/?partner_id=2088000000000009", 403, ""},
		{"a page that names none", access{Partner: byQuery}, nil, "/", 403, ""},
		{"no partner, and none named", access{Partner: byQuery}, map[string]any{"partner_id": nil}, "/", 200, "2088102150477652  true"},
		{"expired", access{}, map[string]any{"exp": 1}, "/", 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := forged.Clone()
			header.Set(koubeiauth.AssertionHeader, s.assertion(tt.claims))
			w := ask(v.With(tt.access).Middleware(whoami), header, tt.target)
			if w.Code != tt.status || tt.body != "" && w.Body.String() != tt.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.status, tt.body)
			}
			if tt.status != 200 && (w.Header().Get("Cache-Control") != "no-store" || strings.Contains(w.Body.String(), "2088")) {
				t.Errorf("got %v %q, want a bare refusal", w.Header(), w.Body)
			}
		})
	}
	if s.fetched() != 1 {
		t.Errorf("got %d looks at the keys, want 1 for all", s.fetched())
	}
	good := s.assertion(nil)
	for name, header := range map[string]http.Header{"none": forged, "two": {koubeiauth.AssertionHeader: {good, good}}, "empty": {koubeiauth.AssertionHeader: {""}}} {
		if w := ask(v.Middleware(whoami), header, "/"); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", name, w.Code)
		}
	}
}

func TestRefuse(t *testing.T) {
	s := start(t, es256())
	s.status(500)
	v := s.verifier(t, func(o *koubeiauth.VerifierOptions) {
		o.Refuse = func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Header.Get("X-Koubei-Operator-Id") != "" {
				t.Error("the refusal's page may read a forged identity")
			}
			w.WriteHeader(koubeiauth.Status(err) + 60)
		}
	})
	header := forged.Clone()
	header.Set(koubeiauth.AssertionHeader, s.assertion(nil))
	if w := ask(v.Middleware(whoami), header, "/"); w.Code != 563 {
		t.Errorf("got %d, want our own", w.Code)
	}
	if w := ask(s.verifier(t).Middleware(whoami), header, "/"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v, want 503 with Retry-After", w.Code, w.Header())
	}
}

// allowed writes the service's response to a successful check.
func allowed(w http.ResponseWriter) {
	for name, value := range map[string]string{"App-Id": "2014072300007148", "Operator-Id": "2088102150477652", "Operator-Type": "PROVIDER",
		"Partner-Id": "2088102150477653", "Shop-Ids": "", "Session-Expires": "2026-11-22T15:04:05Z", "Assertion": "", "Auth-Code": "8f2dcode"} {
		w.Header().Set("X-Koubei-"+name, value)
	}
}

func newAsker(t *testing.T, o koubeiauth.AskerOptions) *koubeiauth.Asker {
	t.Helper()
	a, err := koubeiauth.NewAsker(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAsker(t *testing.T) {
	s := start(t)
	partner := func(r *http.Request) string { return r.URL.Query().Get("shop") }
	a := newAsker(t, koubeiauth.AskerOptions{URL: s.URL + "/", Access: koubeiauth.Access{Types: []koubeiauth.Type{koubeiauth.Provider, koubeiauth.Sales}, Partner: partner}})
	s.check(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.RequestURI() != "/auth/verify?partner_id=2088102150477653&type=PROVIDER%2CSALES" {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		if got := r.Header.Values("Cookie"); fmt.Sprint(got) != "[a=1 koubei_session=t; b=2]" {
			t.Errorf("got cookies %q", got)
		}
		for name := range r.Header {
			if name != "Cookie" && name != "User-Agent" && name != "Accept-Encoding" {
				t.Errorf("passed on %s", name)
			}
		}
		allowed(w)
	})
	header := forged.Clone()
	header["Cookie"] = []string{"a=1", "koubei_session=t; b=2"}
	header.Set("X-Koubei-Select-Partner", "2088000000000009")
	header.Set("Authorization", "Bearer x")
	var got koubeiauth.Operator
	w := ask(a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = koubeiauth.OperatorFrom(r.Context())
		whoami(w, r)
	})), header, "/?shop=2088102150477653")
	want := koubeiauth.Operator{ID: "2088102150477652", Type: koubeiauth.Provider, PartnerID: "2088102150477653", AppID: "2014072300007148",
		Until: time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC), AuthCode: "8f2dcode"}
	if w.Code != 200 || got != want || w.Body.String() != "2088102150477652 2088102150477653 true" {
		t.Errorf("got %d %q %+v, want %+v", w.Code, w.Body, got, want)
	}
}

// TestAskersQuery checks that the query contains the rules of access, each alone and both.
func TestAskersQuery(t *testing.T) {
	types := []koubeiauth.Type{koubeiauth.Provider, "FUTURE_TYPE"}
	partner := func(r *http.Request) string { return r.URL.Query().Get("shop") }
	for _, tt := range []struct {
		name   string
		access koubeiauth.Access
		want   string
	}{
		{"no rules", koubeiauth.Access{}, "/auth/verify"},
		{"types", koubeiauth.Access{Types: types}, "/auth/verify?type=PROVIDER%2CFUTURE_TYPE"},
		{"a partner", koubeiauth.Access{Partner: partner}, "/auth/verify?partner_id=2088102150477653"},
		{"both", koubeiauth.Access{Types: types, Partner: partner}, "/auth/verify?partner_id=2088102150477653&type=PROVIDER%2CFUTURE_TYPE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			var asked string
			s.check(func(w http.ResponseWriter, r *http.Request) { asked = r.URL.RequestURI(); allowed(w) })
			a := newAsker(t, koubeiauth.AskerOptions{URL: s.URL, Access: tt.access})
			if w := ask(a.Middleware(whoami), http.Header{"Cookie": {"koubei_session=t"}}, "/?shop=2088102150477653"); w.Code != http.StatusOK || asked != tt.want {
				t.Errorf("got %d, asked %s, want 200 and %s", w.Code, asked, tt.want)
			}
		})
	}
}

func TestAskerResponses(t *testing.T) {
	s := start(t)
	cookie := http.Header{"Cookie": {"koubei_session=t"}}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		status int
	}{
		{"allowed", func(w http.ResponseWriter, _ *http.Request) { allowed(w) }, 200},
		{"no session", status(401), 401},
		{"not allowed", status(403), 403},
		{"Redis away", status(503), 503},
		{"broken", status(500), 503},
		{"another program", status(404), 503},
		{"a page of another program", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, 503},
		{"no operator", func(w http.ResponseWriter, _ *http.Request) { allowed(w); w.Header().Del("X-Koubei-Operator-Id") }, 503},
		{"an undocumented type", func(w http.ResponseWriter, _ *http.Request) {
			allowed(w)
			w.Header().Set("X-Koubei-Operator-Type", "SYSTEM")
		}, 403},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/signin", http.StatusSeeOther) }, 503},
		{"nothing", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503},
		{"nothing in time", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.check(tt.answer)
			a := newAsker(t, koubeiauth.AskerOptions{URL: s.URL, Timeout: 300 * time.Millisecond})
			if w := ask(a.Middleware(whoami), cookie, "/"); w.Code != tt.status {
				t.Errorf("got %d, want %d", w.Code, tt.status)
			}
		})
	}
	other := newAsker(t, koubeiauth.AskerOptions{URL: s.URL}).With(koubeiauth.Access{Partner: func(*http.Request) string { return "1" }})
	s.check(func(w http.ResponseWriter, _ *http.Request) { allowed(w) })
	if w := ask(other.Middleware(whoami), cookie, "/"); w.Code != 403 {
		t.Errorf("an answer about another partner than asked for: got %d, want 403", w.Code)
	}
	s.check(func(http.ResponseWriter, *http.Request) { t.Error("asked without a cookie") })
	if w := ask(newAsker(t, koubeiauth.AskerOptions{URL: s.URL}).Middleware(whoami), forged, "/"); w.Code != 401 {
		t.Errorf("no cookie: got %d, want 401", w.Code)
	}
	for _, bad := range []string{"", "127.0.0.1:9090", "file:///x", "http://x/?y"} {
		if _, err := koubeiauth.NewAsker(koubeiauth.AskerOptions{URL: bad}); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestACodePrintsAsRedacted(t *testing.T) {
	o := koubeiauth.Operator{AuthCode: "8f2dcode"}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", o, o, o, o.AuthCode, o.AuthCode), string(must(json.Marshal(o)))} {
		if strings.Contains(text, "8f2d") || !strings.Contains(text, "redacted") {
			t.Errorf("got %s", text)
		}
	}
	if fmt.Sprint(koubeiauth.Code("")) != "" {
		t.Error("no code looks like one")
	}
}

func TestStatus(t *testing.T) {
	if got := koubeiauth.Status(errors.New("x")); got != 503 {
		t.Errorf("got %d: what isn't known is no verdict", got)
	}
}
