// Package operator defines the operator, the grant and the code. It imports only the standard library, so every other
// package can import it.
package operator

import "time"

// Type is an operator type. Koubei may return types that it does not document; the service keeps them unchanged.
// /auth/verify allows such a type only if ?type= names it.
type Type string

// The operator types that koubei.member.data.oauth.query documents.
const (
	Provider      Type = "PROVIDER"       // 服务商, a service provider
	ProviderStaff Type = "PROVIDER_STAFF" // 服务商员工, its employee
	Merchant      Type = "MER"            // 商户, a merchant
	MerchantStaff Type = "MER_STAFF"      // 商户员工, its employee
	Sales         Type = "SALES"          // 阿里销售小二, Alibaba's own sales staff
)

// Known reports whether t is one of the documented types.
func (t Type) Known() bool {
	switch t {
	case Provider, ProviderStaff, Merchant, MerchantStaff, Sales:
		return true
	}
	return false
}

// Operator is the person who came from Koubei.
type Operator struct {
	ID   string
	Type Type
}

// Grant is the result of exchanging one code: the application, the operator, the partner, the shops, and the times of claim
// and exchange.
type Grant struct {
	AppID    string
	Operator Operator

	// PartnerID is the merchant; empty if the gateway returned none.
	PartnerID string

	// ShopIDs are the shops that an employee may act for, as the gateway returned them. Koubei does not document the format.
	// Empty if the gateway returned none.
	ShopIDs string

	// ExchangedAt is when the successful request to the gateway was sent, by the clock of the replica that sent it.
	ExchangedAt time.Time

	// ClaimedAt is when the code was claimed, before the exchange. Revocations are compared with it.
	ClaimedAt LogicalTime
}

// LogicalTime orders claims and revocations of all replicas by Redis's clock, in microseconds. The zero value is before
// every event.
type LogicalTime int64
