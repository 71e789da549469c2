// Package operator is the domain's noun: who acts at Koubei, for which merchant, and what one authorisation code
// was worth. It knows the standard library only, so that every other package can speak in its terms.
package operator

import "time"

// Type is the role that Koubei gives an operator. Roles outside the documented five do occur in neighbouring interfaces;
// they are kept as they came and granted nothing.
type Type string

// The operator types that koubei.member.data.oauth.query documents.
const (
	Provider      Type = "PROVIDER"       // 服务商, a service provider
	ProviderStaff Type = "PROVIDER_STAFF" // 服务商员工, its employee
	Merchant      Type = "MER"            // 商户, a merchant
	MerchantStaff Type = "MER_STAFF"      // 商户员工, its employee
	Sales         Type = "SALES"          // 阿里销售小二, Alibaba's own sales staff
)

// Known reports whether t is one of the documented types: only those may be granted anything.
func (t Type) Known() bool {
	switch t {
	case Provider, ProviderStaff, Merchant, MerchantStaff, Sales:
		return true
	}
	return false
}

// Operator is who acts.
type Operator struct {
	ID   string
	Type Type
}

// Grant is what one code was worth: an operator, the merchant being operated on, and when that was learned.
type Grant struct {
	AppID    string
	Operator Operator

	// PartnerID is the merchant; empty where the gateway named none.
	PartnerID string

	// ShopIDs are the shops that an employee may act for, as received; the format is not documented. Empty where the
	// gateway sent none.
	ShopIDs string

	// ExchangedAt is when the request that earned the grant was sent, by the clock of the replica that sent it.
	ExchangedAt time.Time

	// ClaimedAt is when the code was claimed, before the exchange. Revocations are compared with it.
	ClaimedAt LogicalTime
}

// LogicalTime orders claims and revocations of all replicas by Redis's clock, in microseconds. The zero value is before
// every event.
type LogicalTime int64
