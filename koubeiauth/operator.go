package koubeiauth

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Type is the role in which an operator came.
type Type string

// The documented types. There may be others; nothing is granted to them.
const (
	Provider      Type = "PROVIDER"
	ProviderStaff Type = "PROVIDER_STAFF"
	Merchant      Type = "MER"
	MerchantStaff Type = "MER_STAFF"
	Sales         Type = "SALES"
)

var documented = []Type{Provider, ProviderStaff, Merchant, MerchantStaff, Sales}

// ShopsOverflow is what ShopIDs reads when the shops are more than a header can carry. The service's /session has them
// all.
const ShopsOverflow = "overflow"

// Operator is who a request comes from, acting for one partner.
type Operator struct {
	ID        string // the operator's Alipay user id
	Type      Type
	PartnerID string // the merchant that is acted for; empty where Koubei named none
	ShopIDs   string // as Koubei sent them, or ShopsOverflow; empty where it sent none
	AppID     string // the ISV's application at Alipay

	// Until is when what this says ends: the session's entry for an Asker, the assertion for a Verifier.
	Until time.Time

	// AuthCode is the code for later Koubei calls. An Asker has it where the service hands it over (FORWARD_AUTH_CODE);
	// a Verifier never does, because a code isn't part of an assertion.
	AuthCode Code
}

// Code is a code as Koubei issued it: a credential. It prints as "redacted"; string(code) is the code itself.
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

// OperatorFrom returns the operator that a middleware of this package has put into a request's context.
func OperatorFrom(ctx context.Context) (Operator, bool) {
	o, ok := ctx.Value(contextKey{}).(Operator)
	return o, ok
}

// Access says whom to let in. The zero value lets in every operator of a documented type.
type Access struct {
	// Types are those let in, of the documented ones; none: all of those.
	Types []Type

	// Partner returns the partner that a request is about, most often out of its address; empty means the entry for
	// which Koubei named no merchant. Only operators who act for that partner are let in. Nil lets in whoever acts
	// for whichever was landed for last.
	Partner func(*http.Request) string
}

// check judges an operator whose identity is certain.
func (a Access) check(r *http.Request, o Operator) error {
	if !slices.Contains(documented, o.Type) || len(a.Types) > 0 && !slices.Contains(a.Types, o.Type) {
		return forbidden("operator type " + string(o.Type))
	}
	if a.Partner != nil && a.Partner(r) != o.PartnerID {
		return forbidden("another partner")
	}
	return nil
}
