// Package assertion signs assertions: short-lived JWTs that say who the operator is. Applications that do not trust a header
// verify them with the published public keys.
package assertion

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"
)

// ErrAudience means that the requested audience is not configured.
var ErrAudience = errors.New("assertion: unknown audience")

// Config holds the settings of assertions. An Issuer needs at least one key and one audience.
type Config struct {
	Keys      []crypto.Signer // the first signs, all are published
	Audiences []string        // the first is the default
	TTL       time.Duration
}

// Options configure an Issuer.
type Options struct {
	Config
	Issuer string
	Now    func() time.Time
}

// Subject is the content of an assertion.
type Subject struct {
	// Session and Entry are the cache key: subjects with equal ones have the same content. They are not in the assertion.
	Session, Entry string

	AppID        string
	OperatorID   string
	OperatorType string
	PartnerID    string    // null if empty
	ShopIDs      string    // omitted if empty
	Ends         time.Time // the assertion never expires later
}

// Issuer signs assertions. It is safe for concurrent use.
type Issuer struct {
	Options
	signer jose.Signer
	jwks   []byte
	cache  *lru.Cache[cacheKey, signed]
}

// New returns an Issuer. It fails without a key or an audience, and if a key cannot sign.
func New(o Options) (*Issuer, error) {
	if len(o.Keys) == 0 || len(o.Audiences) == 0 {
		return nil, errors.New("assertion: a key or an audience is missing")
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range o.Keys {
		public, err := jwk(key)
		if err != nil {
			return nil, fmt.Errorf("assertion: %w", err)
		}
		set.Keys = append(set.Keys, public)
	}
	jwks, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithm(o.Keys[0]), Key: jose.JSONWebKey{Key: o.Keys[0], KeyID: set.Keys[0].KeyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	cache, err := lru.New[cacheKey, signed](maxCached)
	if err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	return &Issuer{Options: o, signer: signer, jwks: jwks, cache: cache}, nil
}

// JWKS returns the public keys as a JWK Set (RFC 7517).
func (i *Issuer) JWKS() []byte { return i.jwks }

// claims are the JWT claims of an assertion.
type claims struct {
	Issuer       string  `json:"iss"`
	Audience     string  `json:"aud"`
	Subject      string  `json:"sub"`
	IssuedAt     int64   `json:"iat"`
	Expires      int64   `json:"exp"`
	ID           string  `json:"jti"`
	AppID        string  `json:"app_id"`
	OperatorType string  `json:"operator_type"`
	PartnerID    *string `json:"partner_id"`
	ShopIDs      string  `json:"shop_ids,omitempty"`
}

// For returns an assertion about s for the audience, or for the first one if audience is empty. It returns the same assertion
// until half of its lifetime is over, so that a check does not cost a signature. It fails with ErrAudience.
func (i *Issuer) For(s Subject, audience string) (string, error) {
	if audience == "" {
		audience = i.Audiences[0]
	}
	if !slices.Contains(i.Audiences, audience) {
		return "", ErrAudience
	}
	now, key := i.Now(), cacheKey{s.Session, s.Entry, audience}
	if s, ok := i.cache.Get(key); ok && now.Before(s.renew) {
		return s.text, nil
	}
	ends := now.Add(i.TTL)
	if s.Ends.Before(ends) {
		ends = s.Ends
	}
	text, err := i.sign(s, audience, now, ends)
	if err != nil {
		return "", fmt.Errorf("assertion: %w", err)
	}
	i.cache.Add(key, signed{text, now.Add(ends.Sub(now) / 2)})
	return text, nil
}

func (i *Issuer) sign(s Subject, audience string, now, ends time.Time) (string, error) {
	c := claims{
		Issuer: i.Issuer, Audience: audience, Subject: s.OperatorID,
		IssuedAt: now.Unix(), Expires: ends.Unix(), ID: rand.Text(),
		AppID: s.AppID, OperatorType: s.OperatorType, ShopIDs: s.ShopIDs,
	}
	if s.PartnerID != "" {
		c.PartnerID = &s.PartnerID
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	jws, err := i.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// maxCached bounds the cache. An assertion has about 500 bytes.
const maxCached = 16384

type cacheKey struct{ session, entry, audience string }

type signed struct {
	text  string
	renew time.Time // half of the lifetime is over
}
