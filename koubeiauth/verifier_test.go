package koubeiauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"koubei-landing/koubeiauth"
)

func TestVerify(t *testing.T) {
	s := start(t, es256(), ed25519Key())
	v := s.verifier(t)
	for _, name := range []string{"ES256", "EdDSA"} {
		o, err := v.Verify(t.Context(), s.assertion(map[string]any{"shop_ids": "1,2", "aud": []string{"others", issuer}}))
		want := koubeiauth.Operator{ID: "2088102150477652", Type: koubeiauth.Provider, PartnerID: "2088102150477653", ShopIDs: "1,2",
			AppID: "2014072300007148", Until: time.Unix(s.clock().Unix()+60, 0)}
		if err != nil || o != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, o, err, want)
		}
		s.rotate(s.keys[1], s.keys[0])
	}
	if o, err := v.Verify(t.Context(), s.assertion(map[string]any{"partner_id": nil})); err != nil || o.PartnerID != "" {
		t.Errorf("no partner: got %+v, %v", o, err)
	}
	if n := s.fetched(); n != 1 {
		t.Errorf("got %d looks at the keys, want 1", n)
	}
}

func TestInvalidAssertions(t *testing.T) {
	key, other := es256().(*ecdsa.PrivateKey), es256()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, key)
	v := s.verifier(t)
	kid, good := public(key).KeyID, s.claims(nil)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	with := func(claims map[string]any) string { return s.assertion(claims) }
	header := func(format string, a ...any) string { return raw(key, fmt.Sprintf(format, a...), string(payload)) }
	part := strings.Split(with(nil), ".")
	now := s.clock().Unix()
	if _, err := v.Verify(t.Context(), header(`{"alg":"ES256","typ":"JWT","kid":%q}`, kid)); err != nil {
		t.Fatalf("the tests' own signature: %v", err)
	}
	for name, text := range map[string]string{
		"nothing":                          "",
		"no JWT":                           "x",
		"another's signature":              sign(jose.ES256, other, kid, "JWT", good),
		"another's key, unknown":           sign(jose.ES256, other, public(other).KeyID, "JWT", good),
		"no kid":                           header(`{"alg":"ES256","typ":"JWT"}`),
		"a key of its own":                 sign(jose.ES256, jose.JSONWebKey{Key: other, KeyID: "own"}, "own", "JWT", good),
		"alg none":                         raw(nil, fmt.Sprintf(`{"alg":"none","typ":"JWT","kid":%q}`, kid), string(payload)),
		"alg None, signed":                 header(`{"alg":"None","typ":"JWT","kid":%q}`, kid),
		"HS256 by the public key, DER":     sign(jose.HS256, der, kid, "JWT", good),
		"HS256 by the public key's JWK":    sign(jose.HS256, append(make([]byte, 32), must(json.Marshal(public(key)))...), kid, "JWT", good),
		"ES384":                            sign(jose.ES384, p384, kid, "JWT", good),
		"RS256":                            sign(jose.RS256, big, kid, "JWT", good),
		"EdDSA by its header, not its key": header(`{"alg":"EdDSA","typ":"JWT","kid":%q}`, kid),
		"EdDSA with an EC key's kid":       sign(jose.EdDSA, ed25519Key(), kid, "JWT", good),
		"an extension it must know":        header(`{"alg":"ES256","typ":"JWT","kid":%q,"crit":["x"],"x":1}`, kid),
		"no typ":                           sign(jose.ES256, key, kid, "", good),
		"another typ":                      sign(jose.ES256, key, kid, "logout+jwt", good),
		"another's claims":                 part[0] + "." + strings.Split(with(map[string]any{"sub": "2088000000000001"}), ".")[1] + "." + part[2],
		"cut short":                        strings.Join(part[:2], "."),
		"JSON serialization":               `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`,
		"too long":                         with(map[string]any{"x": strings.Repeat("x", 9000)}),
		"claims that are no object":        raw(key, fmt.Sprintf(`{"alg":"ES256","typ":"JWT","kid":%q}`, kid), `[]`),
		"another issuer":                   with(map[string]any{"iss": issuer + "/"}),
		"no issuer":                        with(map[string]any{"iss": nil}),
		"another audience":                 with(map[string]any{"aud": "reports"}),
		"no audience":                      with(map[string]any{"aud": nil}),
		"an empty list of audiences":       with(map[string]any{"aud": []string{}}),
		"an audience of numbers":           with(map[string]any{"aud": []int{1}}),
		"expired":                          with(map[string]any{"iat": now - 65, "exp": now - 5}),
		"no end":                           with(map[string]any{"exp": nil}),
		"an end in words":                  with(map[string]any{"exp": "tomorrow"}),
		"no beginning":                     with(map[string]any{"iat": nil}),
		"from the future":                  with(map[string]any{"iat": now + 7}),
		"not yet":                          with(map[string]any{"nbf": now + 7}),
		"no operator":                      with(map[string]any{"sub": nil}),
		"an empty operator":                with(map[string]any{"sub": ""}),
		"no type":                          with(map[string]any{"operator_type": nil}),
		"no app":                           with(map[string]any{"app_id": nil}),
		"a partner that is no string":      with(map[string]any{"partner_id": 1}),
		"no word of a partner":             raw(key, fmt.Sprintf(`{"alg":"ES256","typ":"JWT","kid":%q}`, kid), strings.Replace(string(payload), "partner_id", "partner", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			if o, err := v.Verify(t.Context(), text); !errors.Is(err, koubeiauth.ErrUnauthenticated) || koubeiauth.Status(err) != 401 || o != (koubeiauth.Operator{}) {
				t.Errorf("got %+v, %v, want ErrUnauthenticated", o, err)
			}
		})
	}
	if n := s.fetched(); n != 1 {
		t.Errorf("got %d looks at the keys, want 1: unknown keys are not asked for again so soon", n)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestLeeway(t *testing.T) {
	s := start(t, es256())
	v, now := s.verifier(t), s.clock().Unix()
	for name, claims := range map[string]map[string]any{
		"just ended":     {"iat": now - 60, "exp": now - 4},
		"a bit too soon": {"iat": now + 5, "exp": now + 65, "nbf": now + 5},
	} {
		if _, err := v.Verify(t.Context(), s.assertion(claims)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := s.assertion(nil)
	s.turn(66 * time.Second)
	if _, err := v.Verify(t.Context(), text); !errors.Is(err, koubeiauth.ErrUnauthenticated) {
		t.Errorf("by the turned clock: got %v, want ErrUnauthenticated", err)
	}
}

func TestRotation(t *testing.T) {
	first, second := es256(), ed25519Key()
	s := start(t, first)
	v := s.verifier(t)
	check := func(step, text string, want error, fetches int) {
		t.Helper()
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", step, err, want)
		}
		if n := s.fetched(); n != fetches {
			t.Errorf("%s: got %d looks, want %d", step, n, fetches)
		}
	}
	check("the old key", s.assertion(nil), nil, 1)
	s.rotate(first, second)
	s.turn(301 * time.Second)
	check("both, the old one signs", s.assertion(nil), nil, 2)
	s.rotate(second, first)
	check("both, the new one signs", s.assertion(nil), nil, 2)
	s.rotate(first)
	old := s.assertion(nil)
	s.rotate(second)
	check("withdrawn, but within the five minutes", old, nil, 2)
	s.turn(301 * time.Second)
	s.rotate(first)
	old = s.assertion(nil)
	s.rotate(second)
	check("withdrawn", old, koubeiauth.ErrUnauthenticated, 3)
	check("the new key", s.assertion(nil), nil, 3)
}

func TestUnannouncedRotation(t *testing.T) {
	s := start(t, es256())
	v := s.verifier(t)
	if _, err := v.Verify(t.Context(), s.assertion(nil)); err != nil {
		t.Fatal(err)
	}
	s.rotate(es256())
	if _, err := v.Verify(t.Context(), s.assertion(nil)); !errors.Is(err, koubeiauth.ErrUnauthenticated) {
		t.Errorf("within ten seconds of the last look: got %v", err)
	}
	s.turn(11 * time.Second)
	if _, err := v.Verify(t.Context(), s.assertion(nil)); err != nil || s.fetched() != 2 {
		t.Errorf("later: got %v after %d looks, want nil after 2", err, s.fetched())
	}
}

func TestAFloodOfUnknownKeys(t *testing.T) {
	s := start(t, es256())
	v := s.verifier(t)
	stranger := es256()
	for round := range 3 {
		atOnce(100, func(n int) {
			text := sign(jose.ES256, stranger, fmt.Sprint(round, n), "JWT", s.claims(nil))
			if _, err := v.Verify(t.Context(), text); !errors.Is(err, koubeiauth.ErrUnauthenticated) {
				t.Errorf("got %v, want ErrUnauthenticated", err)
			}
		})
		if n := s.fetched(); n != round+1 {
			t.Errorf("after %d rounds of 100: got %d looks, want one each", round+1, n)
		}
		s.turn(11 * time.Second)
	}
	if _, err := v.Verify(t.Context(), s.assertion(nil)); err != nil {
		t.Errorf("a good one after the flood: %v", err)
	}
}

func TestOutage(t *testing.T) {
	s := start(t, es256())
	v := s.verifier(t)
	verify := func(step string, want error, fetches int) {
		t.Helper()
		if _, err := v.Verify(t.Context(), s.assertion(nil)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", step, err, want)
		}
		if n := s.fetched(); n != fetches {
			t.Errorf("%s: got %d looks, want %d", step, n, fetches)
		}
	}
	s.status(503)
	verify("at the start", koubeiauth.ErrUnavailable, 1)
	verify("at once again", koubeiauth.ErrUnavailable, 1)
	s.answer(nil)
	s.turn(11 * time.Second)
	verify("up", nil, 2)
	s.status(500)
	verify("down, keys fresh", nil, 2)
	s.turn(301 * time.Second)
	verify("down, keys stale", nil, 3)
	verify("down, keys stale, at once again", nil, 3)
	s.turn(59 * time.Minute)
	verify("down for almost an hour", nil, 4)
	s.turn(2 * time.Minute)
	verify("down for more", koubeiauth.ErrUnavailable, 5)
	s.answer(nil)
	s.turn(11 * time.Second)
	verify("up again", nil, 6)
}

func TestAnOutageIsNotAnUnknownKey(t *testing.T) {
	s := start(t, es256())
	v := s.verifier(t)
	if _, err := v.Verify(t.Context(), s.assertion(nil)); err != nil {
		t.Fatal(err)
	}
	s.status(502)
	s.rotate(es256())
	s.turn(11 * time.Second)
	if _, err := v.Verify(t.Context(), s.assertion(nil)); koubeiauth.Status(err) != http.StatusServiceUnavailable {
		t.Errorf("a new key while the service is unreachable: got %v, want 503", err)
	}
}

func TestInvalidKeySets(t *testing.T) {
	s := start(t, es256())
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own := public(s.keys[0])
	with := func(change func(*jose.JSONWebKey)) string {
		k := own
		change(&k)
		return `{"keys":[` + string(must(json.Marshal(k))) + `]}`
	}
	secret := `{"keys":[{"kty":"oct","kid":"` + own.KeyID + `","k":"AAAA"}]}`
	for _, tt := range []struct {
		name, body string
		want       error
	}{
		{"HTML", "<html>", koubeiauth.ErrUnavailable},
		{"null", "null", koubeiauth.ErrUnavailable},
		{"another object", `{"error":1}`, koubeiauth.ErrUnavailable},
		{"too much", `{"keys":[` + strings.Repeat(" ", 300<<10) + `]}`, koubeiauth.ErrUnavailable},
		{"no keys", `{"keys":[]}`, koubeiauth.ErrUnauthenticated},
		{"a secret", secret, koubeiauth.ErrUnauthenticated},
		{"a key for encryption", with(func(k *jose.JSONWebKey) { k.Use = "enc" }), koubeiauth.ErrUnauthenticated},
		{"a key of another algorithm", with(func(k *jose.JSONWebKey) { k.Algorithm = "ES384" }), koubeiauth.ErrUnauthenticated},
		{"an RSA key", with(func(k *jose.JSONWebKey) { k.Key, k.Algorithm = big.Public(), "RS256" }), koubeiauth.ErrUnauthenticated},
		{"a private key", with(func(k *jose.JSONWebKey) { k.Key = s.keys[0] }), koubeiauth.ErrUnauthenticated},
		{"a key that says no algorithm", with(func(k *jose.JSONWebKey) { k.Algorithm, k.Use = "", "" }), nil},
		{"among unknown keys", strings.Replace(with(func(*jose.JSONWebKey) {}), "[", `[{"kty":"future","kid":"f"},7,`, 1), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.answer(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tt.body) })
			if _, err := s.verifier(t).Verify(t.Context(), s.assertion(nil)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	s.answer(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	if _, err := s.verifier(t).Verify(t.Context(), s.assertion(nil)); !errors.Is(err, koubeiauth.ErrUnavailable) || s.fetched() != 13 {
		t.Errorf("a redirect: got %v after %d requests, want it not followed", err, s.fetched())
	}
}

func TestKeyLifetime(t *testing.T) {
	for _, tt := range []struct {
		name    string
		header  http.Header
		after   time.Duration
		fetches int
	}{
		{"as it says", http.Header{"Cache-Control": {"public, max-age=60"}}, 59 * time.Second, 1},
		{"no longer", http.Header{"Cache-Control": {"public, MAX-AGE=60"}}, 61 * time.Second, 2},
		{"less its age", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"30"}}, 31 * time.Second, 2},
		{"five minutes without a word", nil, 299 * time.Second, 1},
		{"and no more", nil, 301 * time.Second, 2},
		{"an hour at most", http.Header{"Cache-Control": {"max-age=99999999"}}, 61 * time.Minute, 2},
		{"hardly at all", http.Header{"Cache-Control": {"no-store"}}, 11 * time.Second, 2},
		{"but not for each request", http.Header{"Cache-Control": {"no-store"}}, 9 * time.Second, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, es256())
			set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public(s.keys[0])}}))
			s.answer(func(w http.ResponseWriter, _ *http.Request) {
				for name, values := range tt.header {
					w.Header()[name] = values
				}
				_, _ = w.Write(set)
			})
			v := s.verifier(t)
			for range 2 {
				if _, err := v.Verify(t.Context(), s.assertion(nil)); err != nil {
					t.Fatal(err)
				}
				s.turn(tt.after)
			}
			if n := s.fetched(); n != tt.fetches {
				t.Errorf("got %d looks, want %d", n, tt.fetches)
			}
		})
	}
}

// A request that is canceled does not cancel the fetch of the keys for the others.
func TestOneFetchForAll(t *testing.T) {
	s := start(t, es256())
	set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public(s.keys[0])}}))
	asked, release := make(chan struct{}), make(chan struct{})
	s.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		_, _ = w.Write(set)
	})
	v, text := s.verifier(t), s.assertion(nil)
	impatient := httptest.NewRequest(http.MethodGet, "/", nil)
	ctx, leave := context.WithCancel(t.Context())
	impatient.Header.Set(koubeiauth.AssertionHeader, text)
	gone := make(chan error)
	go func() { _, err := v.Identify(impatient.WithContext(ctx)); gone <- err }()
	<-asked
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		atOnce(50, func(int) {
			if _, err := v.Verify(t.Context(), text); err != nil {
				t.Error(err)
			}
		})
	}()
	leave()
	if err := <-gone; !errors.Is(err, koubeiauth.ErrUnavailable) {
		t.Errorf("who left: got %v", err)
	}
	close(release)
	<-waiting
	if n := s.fetched(); n != 1 {
		t.Errorf("got %d looks, want 1", n)
	}
}

// atOnce calls f concurrently, this number of times, and returns when all calls have returned.
func atOnce(times int, f func(n int)) {
	var all sync.WaitGroup
	for n := range times {
		all.Add(1)
		go func() {
			defer all.Done()
			f(n)
		}()
	}
	all.Wait()
}

// hang makes the service accept requests for its keys and never respond.
func (s *service) hang() {
	s.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// TestAKnownKeyDoesNotWait verifies with a key that should be refreshed, while the service does not respond.
func TestAKnownKeyDoesNotWait(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		budget time.Duration // of the request
		limit  time.Duration // on a busy machine
	}{
		{"a patient request", time.Minute, time.Second},
		{"a request in a hurry", 10 * time.Millisecond, time.Second},
		{"a request that is over", 0, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, es256())
			v := s.verifier(t, func(o *koubeiauth.VerifierOptions) { o.Client = &http.Client{} })
			if _, err := v.Verify(t.Context(), s.assertion(nil)); err != nil {
				t.Fatal(err)
			}
			s.hang()
			s.turn(301 * time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), tt.budget)
			defer cancel()
			begun := time.Now()
			for range 20 {
				if _, err := v.Verify(ctx, s.assertion(nil)); err != nil {
					t.Fatalf("with a key that is known: %v", err)
				}
			}
			if took := time.Since(begun); took > tt.limit {
				t.Errorf("20 verifications took %s, want %s at most", took, tt.limit)
			}
			if n := s.fetched(); n > 2 {
				t.Errorf("got %d fetches, want 2", n)
			}
		})
	}
}

// TestAHangingFetchEnds bounds the fetch of a key that is not known, with clients that have no timeout and with one that
// has.
func TestAHangingFetchEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		client *http.Client
		budget time.Duration // of the request
		limit  time.Duration // on a busy machine
	}{
		{"by default", nil, time.Minute, 10 * time.Second},
		{"a client without a timeout", &http.Client{}, time.Minute, 10 * time.Second},
		{"a client with a timeout", &http.Client{Timeout: 50 * time.Millisecond}, time.Minute, 2 * time.Second},
		{"a request with a deadline", &http.Client{}, 50 * time.Millisecond, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, es256())
			s.hang()
			v := s.verifier(t, func(o *koubeiauth.VerifierOptions) { o.Client = tt.client })
			ctx, cancel := context.WithTimeout(t.Context(), tt.budget)
			defer cancel()
			begun := time.Now()
			if _, err := v.Verify(ctx, s.assertion(nil)); !errors.Is(err, koubeiauth.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			if took := time.Since(begun); took > tt.limit {
				t.Errorf("took %s, want %s at most", took, tt.limit)
			}
		})
	}
}

// TestAHangingBodyEnds bounds the fetch also when the service sends the headers and then nothing.
func TestAHangingBodyEnds(t *testing.T) {
	t.Parallel()
	s := start(t, es256())
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	v := s.verifier(t, func(o *koubeiauth.VerifierOptions) { o.Client = &http.Client{} })
	if _, err := v.Verify(t.Context(), s.assertion(nil)); !errors.Is(err, koubeiauth.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestNewVerifier(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    koubeiauth.VerifierOptions
		ok   bool
	}{
		{"an https issuer is enough", koubeiauth.VerifierOptions{Issuer: issuer}, true},
		{"loopback", koubeiauth.VerifierOptions{Issuer: "http://localhost:8080"}, true},
		{"loopback by number", koubeiauth.VerifierOptions{Issuer: "http://[::1]:8080"}, true},
		{"plain http", koubeiauth.VerifierOptions{Issuer: issuer, JWKSURL: "http://koubei:8080/.well-known/jwks.json"}, false},
		{"plain http, allowed", koubeiauth.VerifierOptions{Issuer: issuer, JWKSURL: "http://koubei:8080/.well-known/jwks.json", AllowHTTP: true}, true},
		{"no issuer", koubeiauth.VerifierOptions{JWKSURL: issuer}, false},
		{"no address", koubeiauth.VerifierOptions{Issuer: "isv.example"}, false},
		{"a file", koubeiauth.VerifierOptions{Issuer: "file:///keys"}, false},
	} {
		if _, err := koubeiauth.NewVerifier(tt.o); (err == nil) != tt.ok {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}
