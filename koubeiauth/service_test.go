package koubeiauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"koubei-landing/koubeiauth"
)

// issuer is the PUBLIC_URL of the fake service.
const issuer = "https://isv.example/koubei"

// service is a fake landing service: its keys, its signature, its check.
type service struct {
	URL string

	mu      sync.Mutex
	keys    []crypto.Signer // the first signs
	fetches int
	handler http.HandlerFunc // replaces the JWK set if set
	verify  http.HandlerFunc
	now     time.Time
}

func newService(keys ...crypto.Signer) (*service, func()) {
	s := &service{keys: keys, now: time.Now()}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = server.URL
	return s, server.Close
}

func start(t testing.TB, keys ...crypto.Signer) *service {
	s, stop := newService(keys...)
	t.Cleanup(stop)
	return s
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	handler, keys := s.handler, s.keys
	if r.URL.Path == "/auth/verify" {
		handler = s.verify
	} else {
		s.fetches++
	}
	s.mu.Unlock()
	if handler != nil {
		handler(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	set := jose.JSONWebKeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, public(k))
	}
	_ = json.NewEncoder(w).Encode(set)
}

func (s *service) rotate(keys ...crypto.Signer) { s.mu.Lock(); defer s.mu.Unlock(); s.keys = keys }
func (s *service) answer(h http.HandlerFunc)    { s.mu.Lock(); defer s.mu.Unlock(); s.handler = h }
func (s *service) check(h http.HandlerFunc)     { s.mu.Lock(); defer s.mu.Unlock(); s.verify = h }
func (s *service) turn(d time.Duration)         { s.mu.Lock(); defer s.mu.Unlock(); s.now = s.now.Add(d) }
func (s *service) clock() time.Time             { s.mu.Lock(); defer s.mu.Unlock(); return s.now }
func (s *service) fetched() int                 { s.mu.Lock(); defer s.mu.Unlock(); return s.fetches }
func (s *service) status(status int) {
	s.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}
func (s *service) verifier(t testing.TB, changes ...func(*koubeiauth.VerifierOptions)) *koubeiauth.Verifier {
	t.Helper()
	o := koubeiauth.VerifierOptions{Issuer: issuer, JWKSURL: s.URL, Now: s.clock}
	for _, change := range changes {
		change(&o)
	}
	v, err := koubeiauth.NewVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func public(k crypto.Signer) jose.JSONWebKey {
	key := jose.JSONWebKey{Key: k.Public(), Use: "sig", Algorithm: string(algorithm(k))}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err)
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return key
}

func algorithm(k crypto.Signer) jose.SignatureAlgorithm {
	if _, ok := k.(ed25519.PrivateKey); ok {
		return jose.EdDSA
	}
	return jose.ES256
}

func es256() crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func ed25519Key() crypto.Signer {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// claims returns valid claims with changes. A nil value removes a claim.
func (s *service) claims(changes map[string]any) map[string]any {
	now := s.clock().Unix()
	c := map[string]any{"iss": issuer, "aud": issuer, "sub": "2088102150477652", "iat": now, "exp": now + 60, "jti": rand.Text(),
		"app_id": "2014072300007148", "operator_type": "PROVIDER", "partner_id": "2088102150477653"}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(name string, value any) bool { return value == nil && name != "partner_id" })
	return c
}

// assertion returns a valid assertion with changed claims.
func (s *service) assertion(changes map[string]any) string {
	s.mu.Lock()
	key := s.keys[0]
	s.mu.Unlock()
	return sign(algorithm(key), key, public(key).KeyID, "JWT", s.claims(changes))
}

func sign(alg jose.SignatureAlgorithm, key any, kid, typ string, claims map[string]any) string {
	o := (&jose.SignerOptions{}).WithHeader("kid", kid)
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

// raw signs any header and payload with ES256, also invalid ones.
func raw(key *ecdsa.PrivateKey, header, payload string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	if key == nil {
		return text + "."
	}
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))))
}
