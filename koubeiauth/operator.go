package koubeiauth

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Type is an operator type.
type Type string

// The types that Koubei documents. It may send others.
const (
	Provider      Type = "PROVIDER"
	ProviderStaff Type = "PROVIDER_STAFF"
	Merchant      Type = "MER"
	MerchantStaff Type = "MER_STAFF"
	Sales         Type = "SALES"
)

var documented = []Type{Provider, ProviderStaff, Merchant, MerchantStaff, Sales}

// ShopsOverflow is the value of ShopIDs if the shops are too long for a header. The service's /session returns all of them.
const ShopsOverflow = "overflow"

// Operator is the person who sent a request, and the partner for whom that person acts.
type Operator struct {
	ID        string // the operator's Alipay user id
	Type      Type
	PartnerID string // the merchant; empty if Koubei returned none
	ShopIDs   string // as Koubei returned them, or ShopsOverflow; empty if it returned none
	AppID     string // the ISV's application at Alipay

	// Until is when the identity expires: from an Asker the end of the session's entry, from a Verifier the end of the
	// assertion.
	Until time.Time

	// AuthCode is the code for later Koubei calls. An Asker returns it if the service has FORWARD_AUTH_CODE set. A Verifier
	// never does, because an assertion holds no code.
	AuthCode Code
}

// Code is a code that Koubei issued: a credential. It prints as "redacted". string(code) returns the code itself.
type Code string

func (c Code) String() string {
	if c == "" {
		return ""
	}
	return "redacted"
}

// GoString keeps the code out of %#v.
func (c Code) GoString() string { return c.String() }

// MarshalText keeps the code out of JSON and logs.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

type contextKey struct{}

// OperatorFrom returns the operator that a middleware of this package has put into a request's context, and whether there
// is one.
func OperatorFrom(ctx context.Context) (Operator, bool) {
	o, ok := ctx.Value(contextKey{}).(Operator)
	return o, ok
}

// Access says who may pass. The zero value allows every operator of a documented type.
type Access struct {
	// Types are the operator types allowed, documented or not. If it is empty, the documented types are allowed.
	Types []Type

	// Partner returns the partner that a request is about, usually from its address. Only operators who act for that
	// partner may pass. An empty partner means the entry for which Koubei returned no merchant. If Partner is nil, the
	// operator acts for the partner of the latest landing.
	Partner func(*http.Request) string
}

// check decides whether an operator may pass. It fails with [ErrForbidden].
func (a Access) check(r *http.Request, o Operator) error {
	allowed := a.Types
	if len(allowed) == 0 {
		allowed = documented
	}
	if !slices.Contains(allowed, o.Type) {
		return forbidden("operator type " + string(o.Type))
	}
	if a.Partner != nil && a.Partner(r) != o.PartnerID {
		return forbidden("another partner")
	}
	return nil
}
