package assertion_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"koubei-landing/internal/assertion"
	"koubei-landing/internal/pemfile"
	"koubei-landing/internal/setting"
)

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edKey(t testing.TB) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkcs8(t testing.TB, key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func keyFile(data []byte) pemfile.File { return pemfile.File{Name: "keys.pem", Data: data} }

func TestParseKeys(t *testing.T) {
	t.Parallel()
	ec, ed := ecKey(t, elliptic.P256()), edKey(t)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}})
	first, second := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), pkcs8(t, ed)
	text := string(first) + string(second)
	for name, data := range map[string]string{
		"SEC 1 and PKCS #8":    text,
		"with EC parameters":   string(parameters) + text,
		"byte order mark":      "\ufeff" + text,
		"CRLF":                 strings.ReplaceAll(text, "\n", "\r\n"),
		"glued":                strings.TrimSuffix(string(first), "\n") + string(second),
		"one of them twice":    text + string(first),
		"comments":             "# signs\n" + string(first) + "# retired\n" + string(second),
		"wrong label":          strings.ReplaceAll(text, "EC PRIVATE KEY", "PRIVATE KEY"),
		"no line break at end": strings.TrimSpace(text),
	} {
		keys, err := assertion.ParseKeys(keyFile([]byte(data)))
		if err != nil || len(keys) != 2 || !ec.Equal(keys[0]) || !ed.Equal(keys[1]) {
			t.Errorf("%s: got %d keys, %v, want the two in their order", name, len(keys), err)
		}
	}
	file, err := os.ReadFile("testdata/assert.bom.pem")
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := assertion.ParseKeys(keyFile(file)); err != nil || len(keys) != 2 {
		t.Errorf("assert.bom.pem: got %d keys, %v, want 2", len(keys), err)
	}

	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"nothing":               "",
		"text":                  "x",
		"RSA":                   string(first) + string(pkcs8(t, big)),
		"P-384":                 string(first) + string(pkcs8(t, ecKey(t, elliptic.P384()))),
		"junk":                  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("junk")})),
		"a public key":          string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"parameters alone":      string(parameters),
		"first damaged":         strings.Replace(text, "\nM", "\n*", 1),
		"second without an end": string(first) + string(second[:len(second)-10]),
		"first in lower case":   strings.ToLower(string(first)) + string(second),
	} {
		keys, err := assertion.ParseKeys(keyFile([]byte(bad)))
		p, ok := errors.AsType[setting.Problem](err)
		if keys != nil || !ok || !slices.Contains(p.Settings, "ASSERTION_KEYS_FILE") || p.Fix == "" {
			t.Errorf("%s: got %d keys, %v, want a problem of ASSERTION_KEYS_FILE", name, len(keys), err)
		}
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]crypto.Signer{"ES256": ecKey(t, elliptic.P256()), "EdDSA": edKey(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)
			issuer, err := assertion.New(assertion.Options{Issuer: "https://isv.example",
				Config: assertion.Config{Keys: []crypto.Signer{key, edKey(t)}, Audiences: []string{"https://isv.example", "reports"}, TTL: time.Minute}, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			subject := assertion.Subject{Session: "1", AppID: "app", OperatorID: "2088", OperatorType: "MER", PartnerID: "2089", ShopIDs: "1,2", Ends: now.Add(time.Hour)}
			first := issue(t, issuer, subject, "")
			got := verified(t, issuer, first, name)
			want := map[string]any{"iss": "https://isv.example", "aud": "https://isv.example", "sub": "2088", "iat": float64(now.Unix()),
				"exp": float64(now.Unix() + 60), "jti": got["jti"], "app_id": "app", "operator_type": "MER", "partner_id": "2089", "shop_ids": "1,2"}
			if fmt.Sprint(got) != fmt.Sprint(want) || got["jti"] == "" {
				t.Errorf("got %v, want %v", got, want)
			}
			now = now.Add(29 * time.Second)
			if issue(t, issuer, subject, "") != first {
				t.Error("got a new assertion before half of its TTL")
			}
			if issue(t, issuer, subject, "reports") == first {
				t.Error("got the same assertion for another audience")
			}
			now = now.Add(2 * time.Second)
			if issue(t, issuer, subject, "") == first {
				t.Error("got the same assertion after half of its TTL")
			}
			subject.Entry, subject.PartnerID = "2", ""
			if got := verified(t, issuer, issue(t, issuer, subject, ""), name); got["partner_id"] != nil {
				t.Errorf("got partner %v, want null", got["partner_id"])
			}
			subject.Entry, subject.Ends = "3", now.Add(10*time.Second)
			if got := verified(t, issuer, issue(t, issuer, subject, ""), name); got["exp"] != float64(subject.Ends.Unix()) {
				t.Errorf("got exp %v, want the entry's end", got["exp"])
			}
			if _, err := issuer.For(subject, "evil"); !errors.Is(err, assertion.ErrAudience) {
				t.Errorf("got %v, want ErrAudience", err)
			}
		})
	}
}

func issue(t *testing.T, i *assertion.Issuer, s assertion.Subject, audience string) string {
	t.Helper()
	text, err := i.For(s, audience)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verified checks an assertion against the published keys and returns its claims.
func verified(t *testing.T, i *assertion.Issuer, text, algorithm string) map[string]any {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(i.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 || !set.Keys[0].IsPublic() {
		t.Fatalf("got %s, want two public keys", i.JWKS())
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
	if err != nil {
		t.Fatal(err)
	}
	keys := set.Key(jws.Signatures[0].Header.KeyID)
	if len(keys) != 1 {
		t.Fatalf("kid %q is not published", jws.Signatures[0].Header.KeyID)
	}
	payload, err := jws.Verify(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	issuer, err := assertion.New(assertion.Options{Issuer: "i", Config: assertion.Config{Keys: []crypto.Signer{edKey(t)}, Audiences: []string{"a"}, TTL: time.Hour}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	used := assertion.Subject{Session: "used", Ends: time.Now().Add(time.Hour)}
	first := issue(t, issuer, used, "")
	for n := range 20000 {
		issue(t, issuer, assertion.Subject{Session: fmt.Sprint(n), Ends: time.Now().Add(time.Hour)}, "")
		if n%5000 == 0 && issue(t, issuer, used, "") != first {
			t.Fatal("an assertion in use left the cache")
		}
	}
}
