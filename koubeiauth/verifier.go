package koubeiauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// AssertionHeader is where a proxy puts the assertion.
const AssertionHeader = "X-Koubei-Assertion"

// maxAssertion is far more than the service makes: 2 KiB of shops, in base64, and a few names.
const maxAssertion = 8 << 10

// VerifierOptions is what a Verifier is made of. Only Issuer is required.
type VerifierOptions struct {
	// Issuer is the service's PUBLIC_URL, letter by letter.
	Issuer string

	// Audience is the one of the service's ASSERTION_AUDIENCE that means this application; Issuer when empty.
	Audience string

	// JWKSURL is where the service publishes its keys; Issuer + /.well-known/jwks.json when empty. Whoever answers there
	// can sign anybody in, so it has to be https, or on loopback, unless AllowHTTP is set.
	JWKSURL   string
	AllowHTTP bool

	Access

	// Refuse answers those who are not let in; by default with the bare status.
	Refuse RefuseFunc

	// Leeway is how far the clocks of the service and of this machine may be apart; 5 s when zero.
	Leeway time.Duration

	// RefreshInterval is how long to wait between two looks at the keys, whatever happens: a flood of assertions with
	// made-up key ids causes no flood of requests. 10 s when zero.
	RefreshInterval time.Duration

	// MaxStale is for how long keys may be used that can't be renewed, because the service doesn't answer, counted from
	// the last time that it did. 1 h when zero.
	MaxStale time.Duration

	// Client fetches the keys; by default one with a time-out of 3 s. Redirects are never followed.
	Client *http.Client

	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Verifier verifies assertions. It is safe for concurrent use, keeps the keys for as long as the service says, and has
// nothing running in the background.
type Verifier struct {
	options VerifierOptions
	keys    *keys
}

// NewVerifier returns a Verifier. Nothing is fetched yet: it starts while the service is away.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Issuer == "" {
		return nil, errors.New("koubeiauth: Issuer is empty: set the service's PUBLIC_URL")
	}
	o.Audience = or(o.Audience, o.Issuer)
	o.JWKSURL = or(o.JWKSURL, strings.TrimSuffix(o.Issuer, "/")+"/.well-known/jwks.json")
	o.Leeway = or(o.Leeway, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	k, err := newKeys(o)
	if err != nil {
		return nil, err
	}
	return &Verifier{options: o, keys: k}, nil
}

// With returns a Verifier for other routes: with the same keys, and other rules of access.
func (v *Verifier) With(a Access) *Verifier {
	other := *v
	other.options.Access = a
	return &other
}

// Middleware lets requests through to next that carry a valid assertion of somebody who may pass.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return guard(v.Identify, v.options.Refuse, next)
}

// Identify returns the operator that a request's assertion speaks of, if that one may pass. It fails with
// [ErrUnauthenticated], [ErrForbidden] or [ErrUnavailable].
func (v *Verifier) Identify(r *http.Request) (Operator, error) {
	sent := r.Header.Values(AssertionHeader)
	if len(sent) != 1 || sent[0] == "" {
		return Operator{}, unauthenticated("no assertion, or more than one")
	}
	o, err := v.Verify(r.Context(), sent[0])
	if err != nil {
		return Operator{}, err
	}
	return o, v.options.check(r, o)
}

// Verify returns what an assertion says, whoever that lets in: the rules of access are not applied. It fails with
// [ErrUnauthenticated] for an assertion that isn't valid here and now, and with [ErrUnavailable] when that can't be
// told because the keys are out of reach.
func (v *Verifier) Verify(ctx context.Context, assertion string) (Operator, error) {
	if len(assertion) > maxAssertion {
		return Operator{}, unauthenticated("longer than any assertion")
	}
	jws, err := jose.ParseSignedCompact(assertion, algorithms)
	if err != nil {
		return Operator{}, unauthenticated("not a JWT signed by " + fmt.Sprint(algorithms))
	}
	header := jws.Signatures[0].Protected
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); !strings.EqualFold(typ, "JWT") {
		return Operator{}, unauthenticated("its typ is not JWT")
	}
	key, err := v.keys.find(ctx, header.KeyID)
	if err != nil {
		return Operator{}, err
	}
	// The key says by which algorithm it signs; the header of an assertion is the sender's word.
	if header.Algorithm != key.Algorithm {
		return Operator{}, unauthenticated("not signed by its key's algorithm")
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return Operator{}, unauthenticated("wrong signature")
	}
	return v.judge(payload)
}

// claims are what an assertion must say. What is absent is nil, or zero where that is no value either.
type claims struct {
	Issuer       string          `json:"iss"`
	Audience     audience        `json:"aud"`
	Subject      string          `json:"sub"`
	IssuedAt     *float64        `json:"iat"`
	NotBefore    *float64        `json:"nbf"`
	Expires      *float64        `json:"exp"`
	AppID        string          `json:"app_id"`
	OperatorType string          `json:"operator_type"`
	PartnerID    json.RawMessage `json:"partner_id"` // a string or null, but there
	ShopIDs      string          `json:"shop_ids"`
}

// judge returns the operator of a payload that the service has signed.
func (v *Verifier) judge(payload []byte) (Operator, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Operator{}, unauthenticated("its claims are not as they should be")
	}
	partner := new(string)
	if len(c.PartnerID) == 0 || json.Unmarshal(c.PartnerID, &partner) != nil || c.Subject == "" || c.OperatorType == "" ||
		c.AppID == "" || c.IssuedAt == nil || c.Expires == nil {
		return Operator{}, unauthenticated("a claim is missing")
	}
	if partner == nil {
		partner = new(string)
	}
	now, leeway := v.options.Now(), v.options.Leeway
	switch {
	case c.Issuer != v.options.Issuer:
		return Operator{}, unauthenticated("another issuer's")
	case !slices.Contains(c.Audience, v.options.Audience):
		return Operator{}, unauthenticated("meant for another audience")
	case !now.Before(at(*c.Expires).Add(leeway)):
		return Operator{}, unauthenticated("expired")
	case at(*c.IssuedAt).After(now.Add(leeway)), c.NotBefore != nil && at(*c.NotBefore).After(now.Add(leeway)):
		return Operator{}, unauthenticated("of the future: is this machine's clock right?")
	}
	return Operator{
		ID: c.Subject, Type: Type(c.OperatorType), PartnerID: *partner, ShopIDs: c.ShopIDs, AppID: c.AppID,
		Until: at(*c.Expires),
	}, nil
}

// at is a NumericDate (RFC 7519, section 2) to the second.
func at(date float64) time.Time { return time.Unix(int64(date), 0) }

// audience is one name or a list of them (RFC 7519, section 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// or returns a value, or another where it is zero.
func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
