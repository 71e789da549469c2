package handler_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/testworld"
)

func TestVerifyAsserts(t *testing.T) {
	t.Parallel()
	first, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(keys ...crypto.Signer) func(*app.Config) {
		return func(c *app.Config) {
			c.Assertions = assertion.Config{Keys: keys, Audiences: []string{c.Web.PublicURL.String(), "reports"}, TTL: time.Minute}
		}
	}
	w := testworld.New(t, keys(first))
	b := land(t, w, with("2088000000000001"), with("2088000000000002"))
	before := verify(t, w, b, "GET", "?partner_id=2088000000000001", nil).Header.Get("X-Koubei-Assertion")
	rotated := w.Replica(keys(second, first))
	set := published(t, b, rotated)
	claims := claimsOf(t, set, before, jose.ES256)
	want := map[string]any{"iss": w.Config.Web.PublicURL.String(), "aud": w.Config.Web.PublicURL.String(), "sub": testworld.Provider.OperatorID,
		"app_id": w.Koubei.AppID(), "operator_type": "PROVIDER", "partner_id": "2088000000000001"}
	for name, value := range want {
		if claims[name] != value {
			t.Errorf("%s: got %v, want %v", name, claims[name], value)
		}
	}
	r, _ := http.NewRequest(http.MethodGet, rotated.Internal+"/auth/verify?audience=reports", nil)
	after := claimsOf(t, set, b.Do(r).Header.Get("X-Koubei-Assertion"), jose.EdDSA)
	if after["aud"] != "reports" || after["partner_id"] != "2088000000000002" {
		t.Errorf("after the rotation: got %v", after)
	}
	for _, query := range []string{"?audience=evil", "?audience=", "?audience=reports&audience=reports"} {
		if a := verify(t, w, b, "GET", query, nil); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", query, a.StatusCode)
		}
	}
}

func published(t *testing.T, b *testworld.Browser, s *testworld.Service) jose.JSONWebKeySet {
	t.Helper()
	a := b.Get(s.Public + "/.well-known/jwks.json")
	if a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Fatalf("got %d with Cache-Control %q", a.StatusCode, a.Header.Get("Cache-Control"))
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.Body), &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func claimsOf(t *testing.T, set jose.JSONWebKeySet, text string, algorithm jose.SignatureAlgorithm) map[string]any {
	t.Helper()
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(set.Key(jws.Signatures[0].Header.KeyID)[0])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestNoKeysNoAssertions(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Provider)
	if got := verify(t, w, b, "GET", "", nil).Header.Get("X-Koubei-Assertion"); got != "" {
		t.Errorf("got %q", got)
	}
	if set := published(t, b, w.Service); len(set.Keys) != 0 {
		t.Errorf("got %d keys", len(set.Keys))
	}
}
