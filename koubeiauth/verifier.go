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

// AssertionHeader is the header in which a proxy passes the assertion.
const AssertionHeader = "X-Koubei-Assertion"

// maxAssertion is the longest assertion accepted. The service's are much shorter: 2 KiB of shops in base64, and a few names.
const maxAssertion = 8 << 10

// VerifierOptions configures a Verifier. Only Issuer is required.
type VerifierOptions struct {
	// Issuer is exactly the service's PUBLIC_URL.
	Issuer string

	// Audience is this application's entry in the service's ASSERTION_AUDIENCE. The default is Issuer.
	Audience string

	// JWKSURL is where the service publishes its keys. The default is Issuer + /.well-known/jwks.json. An attacker who controls
	// this address can sign in as anybody, so it must be https or on loopback, unless AllowHTTP is set.
	JWKSURL   string
	AllowHTTP bool

	Access

	// Refuse responds to requests that may not pass. The default is the bare status.
	Refuse RefuseFunc

	// Leeway is how far the clocks of the service and of this machine may differ. The default is 5 s.
	Leeway time.Duration

	// RefreshInterval is the minimum time between two fetches of the keys, so that assertions with invented key ids cannot
	// cause a flood of requests. The default is 10 s.
	RefreshInterval time.Duration

	// MaxStale is how long keys are used after they should have been refreshed, while the service does not answer. The
	// default is 1 h.
	MaxStale time.Duration

	// Client fetches the keys. A fetch ends after the client's Timeout, or after 3 s if it has none. Redirects are never
	// followed.
	Client *http.Client

	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// Verifier verifies assertions. It caches the keys for as long as the service says. If they are older and the service does
// not answer at once, it uses those that it has and refreshes them in the background. A Verifier is safe for concurrent use.
type Verifier struct {
	options VerifierOptions
	keys    *keySet
}

// NewVerifier returns a Verifier. It fetches nothing yet, so it succeeds while the service is down. It fails if an option is
// not valid.
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
	k, err := newKeySet(o)
	if err != nil {
		return nil, err
	}
	return &Verifier{options: o, keys: k}, nil
}

// With returns a Verifier with other rules of access, for other routes. It shares the keys.
func (v *Verifier) With(a Access) *Verifier {
	other := *v
	other.options.Access = a
	return &other
}

// Middleware passes requests on to next if they carry a valid assertion of an operator who may pass.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return guard(v.Identify, v.options.Refuse, next)
}

// Identify returns the operator of a request's assertion if the operator may pass. It fails with [ErrUnauthenticated],
// [ErrForbidden] or [ErrUnavailable].
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

// Verify returns the operator in an assertion. It does not apply the rules of access. It fails with [ErrUnauthenticated] if
// the assertion is not valid for this issuer, audience and time, and with [ErrUnavailable] if it could not get the keys.
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
	// The key determines the algorithm. The header of an assertion may be forged.
	if header.Algorithm != key.Algorithm {
		return Operator{}, unauthenticated("not signed by its key's algorithm")
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return Operator{}, unauthenticated("wrong signature")
	}
	return v.operator(payload)
}

// claims are the claims that an assertion must have. An absent one is nil, or zero if zero is not valid either.
type claims struct {
	Issuer       string          `json:"iss"`
	Audience     audience        `json:"aud"`
	Subject      string          `json:"sub"`
	IssuedAt     *float64        `json:"iat"`
	NotBefore    *float64        `json:"nbf"`
	Expires      *float64        `json:"exp"`
	AppID        string          `json:"app_id"`
	OperatorType string          `json:"operator_type"`
	PartnerID    json.RawMessage `json:"partner_id"` // a string or null, but present
	ShopIDs      string          `json:"shop_ids"`
}

// operator returns the operator in a payload that the service has signed, if the claims are valid.
func (v *Verifier) operator(payload []byte) (Operator, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Operator{}, unauthenticated("its claims have wrong types")
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
		return Operator{}, unauthenticated("from another issuer")
	case !slices.Contains(c.Audience, v.options.Audience):
		return Operator{}, unauthenticated("meant for another audience")
	case !now.Before(at(*c.Expires).Add(leeway)):
		return Operator{}, unauthenticated("expired")
	case at(*c.IssuedAt).After(now.Add(leeway)), c.NotBefore != nil && at(*c.NotBefore).After(now.Add(leeway)):
		return Operator{}, unauthenticated("not valid yet: check this machine's clock")
	}
	return Operator{
		ID: c.Subject, Type: Type(c.OperatorType), PartnerID: *partner, ShopIDs: c.ShopIDs, AppID: c.AppID,
		Until: at(*c.Expires),
	}, nil
}

// at returns the time of a NumericDate (RFC 7519, section 2), to the second.
func at(date float64) time.Time { return time.Unix(int64(date), 0) }

// audience is one name or a list of names (RFC 7519, section 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// or returns a value, or the default if it is zero.
func or[T comparable](value, preset T) T {
	var zero T
	if value == zero {
		return preset
	}
	return value
}
