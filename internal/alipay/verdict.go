package alipay

import (
	"errors"
	"strings"

	"koubei-landing/internal/operator"
)

const (
	codeSuccess = "10000"
	codeUnknown = "20000" // "Service Currently Unavailable": the gateway, or the system behind it
	codeLimited = "40005" // too many calls of the application or the method

	maxIdentifier = 64 // bytes; the documentation allows 28 for ids and 16 for types
	maxShopIDs    = 16 << 10
)

// failure is what an error of the gateway means to the client.
type failure struct {
	kind    error
	outcome Outcome
}

// businessErrors are the business errors of koubei.member.data.oauth.query, spelled as in its documentation. All of them but
// SYSTEM_ERROR are verdicts on a code.
var businessErrors = map[string]failure{
	"INVALID_PARAMETER":   {ErrInvalidParameter, OutcomeInvalidParameter},
	"AUTH_CODE_NOT_EXIST": {ErrCodeNotExist, OutcomeCodeNotExist},
	"AUTH_CODE_EXPIRES":   {ErrCodeExpired, OutcomeCodeExpired},
	"ACCESS_NOT_ALLOWED":  {ErrAccessNotAllowed, OutcomeAccessNotAllowed},
	"SYSTEM_ERROR":        {ErrUnavailable, OutcomeBusy},
}

// Verdicts returns the errors that are verdicts on a code, by their outcome. Only responses with a valid signature lead to
// them.
func Verdicts() map[Outcome]error {
	verdicts := map[Outcome]error{}
	for _, f := range businessErrors {
		if !errors.Is(f.kind, ErrUnavailable) {
			verdicts[f.outcome] = f.kind
		}
	}
	return verdicts
}

// subCodePrefixes are the prefixes that other interfaces use for the same sub_codes. Some use both spellings.
var subCodePrefixes = []string{"isv.", "isp.", "aop.", "ACQ.", "KOUBEI."}

// bareSubCode returns subCode without one leading prefix.
func bareSubCode(subCode string) string {
	for _, p := range subCodePrefixes {
		if bare, ok := strings.CutPrefix(subCode, p); ok {
			return bare
		}
	}
	return subCode
}

// signedError returns the error that a verified response reports.
func signedError(m message) *Error {
	e := newError(m, failureOf(m))
	e.Signed = true
	return e
}

// unsignedError returns the error that an unsigned response reports. The response may come from anybody: it can cause a
// retry or end the attempts, but it is never a verdict on a code.
func unsignedError(m message) *Error {
	if m.code == codeUnknown {
		return newError(m, failure{ErrUnavailable, OutcomeBusy})
	}
	return newError(m, failure{ErrRejected, OutcomeRejected})
}

func newError(m message, f failure) *Error {
	return &Error{Code: m.code, Msg: m.msg, SubCode: m.subCode, SubMsg: m.subMsg, kind: f.kind, outcome: f.outcome}
}

// failureOf returns what a verified error means. The sub_code decides first: SYSTEM_ERROR has been seen with 20000 as well as
// with 40004.
func failureOf(m message) failure {
	if f, ok := businessErrors[bareSubCode(m.subCode)]; ok {
		return f
	}
	if m.code == codeUnknown || m.code == codeLimited {
		return failure{ErrUnavailable, OutcomeBusy}
	}
	return failure{ErrRejected, OutcomeRejected}
}

// identity returns the grant of a verified success, without AppID and ExchangedAt. It fails with ErrUntrusted if the
// response does not name an operator unambiguously.
func identity(m message) (operator.Grant, error) {
	switch {
	case m.subCode != "":
		return operator.Grant{}, malformed(m, "a success with a sub_code")
	case !identifier(m.operatorID):
		return operator.Grant{}, malformed(m, "no usable operator_id")
	case !identifier(m.operatorType):
		return operator.Grant{}, malformed(m, "no usable operator_type")
	case m.partnerID != "" && !identifier(m.partnerID):
		return operator.Grant{}, malformed(m, "an unusable operator_partner_id")
	case len(m.shopIDs) > maxShopIDs || strings.ContainsFunc(m.shopIDs, isControl):
		return operator.Grant{}, malformed(m, "unusable shop_ids")
	}
	return operator.Grant{
		Operator:  operator.Operator{ID: m.operatorID, Type: operator.Type(m.operatorType)},
		PartnerID: m.partnerID,
		ShopIDs:   m.shopIDs,
	}, nil
}

// malformed is the error for a signed response that does not match the documentation.
func malformed(m message, format string, args ...any) *Error {
	e := untrusted("signed, but malformed: "+format, args...)
	e.Code, e.Msg, e.SubCode, e.SubMsg, e.Signed = m.code, m.msg, m.subCode, m.subMsg, true
	return e
}

// identifier reports whether s can be used in headers, keys and logs without escaping.
func identifier(s string) bool {
	return s != "" && len(s) <= maxIdentifier && visibleASCII(s)
}

func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }
