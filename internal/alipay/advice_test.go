package alipay

import (
	"os"
	"strings"
	"testing"
)

// knownSubCodes are the sub_codes in the platform's error tables, by their code. Each needs its own advice.
var knownSubCodes = []struct{ code, subCodes string }{
	{"20000", "isp.unknow-error aop.unknow-error isp.service-not-available aop.unsupport-operation"},
	{"20001", `aop.invalid-auth-token aop.auth-token-time-out aop.invalid-app-auth-token aop.app-auth-token-time-out
		aop.invalid-app-auth-token-no-api aop.no-product-reg-by-partner`},
	{"40001", `isv.missing-method isv.missing-signature isv.missing-signature-type isv.missing-signature-key isv.missing-app-id
		isv.missing-timestamp isv.missing-version isv.decryption-error-missing-encrypt-type isv.missing-app-cert-sn
		isv.missing-alipay-root-cert-sn`},
	{"40002", `isv.invalid-signature isv.invalid-app-id isv.invalid-timestamp isv.invalid-charset isv.invalid-parameter
		isv.invalid-method isv.invalid-format isv.invalid-signature-type isv.invalid-encrypt isv.invalid-encrypt-type
		isv.illegal-json isv.suspected-attack isv.not-support-app-auth isv.forbidden-api isv.app-cert-not-exist
		isv.app-cert-expired invalid-alipay-root-cert-sn not-online-app isv.code-invalid`},
	{"40003", "isv.missing-signature-config isv.decryption-error-unknown invalid-auth-relations"},
	{"40004", "INVALID_PARAMETER AUTH_CODE_NOT_EXIST AUTH_CODE_EXPIRES ACCESS_NOT_ALLOWED SYSTEM_ERROR"},
	{"40005", "isv.app-call-limited isv.method-call-limited"},
	{"40006", `isv.insufficient-isv-permissions isv.insufficient-user-permissions isv.route-no-permissions isv.access-forbidden
		isv.self-invoke-forbidden`},
}

func TestEveryKnownSubCodeHasAdvice(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, row := range knownSubCodes {
		for _, subCode := range strings.Fields(row.subCodes) {
			known[bareSubCode(subCode)] = true
			e := signedError(message{code: "x", subCode: subCode})
			if a := e.Advice(); a == adviceByKind[e.kind] || !isProse(a) {
				t.Errorf("%s: got %q", subCode, a)
			}
		}
		if a := signedError(message{code: row.code, subCode: "something-new"}).Advice(); a != adviceByCode[row.code] || !isProse(a) {
			t.Errorf("%s: got %q", row.code, a)
		}
	}
	for bare := range businessErrors {
		if !known[bare] || adviceBySubCode[bare] == "" {
			t.Errorf("%s is in businessErrors: add it to knownSubCodes and adviceBySubCode", bare)
		}
	}
	for bare := range adviceBySubCode {
		if !known[bare] {
			t.Errorf("%s has advice, but is not in knownSubCodes", bare)
		}
	}
	if len(adviceByCode) != len(knownSubCodes) {
		t.Errorf("got advice for %d codes, want %d", len(adviceByCode), len(knownSubCodes))
	}
}

// isProse reports whether s consists of sentences.
func isProse(s string) bool {
	return len(s) > 20 && strings.ToUpper(s[:1]) == s[:1] && strings.HasSuffix(s, ".")
}

// Each row says which texts the advice consists of, in their order.
func TestAdviceForUntrustedResponses(t *testing.T) {
	t.Parallel()
	withDetails := func(e *Error, code, subCode string) *Error {
		e.Code, e.SubCode = code, subCode
		return e
	}
	missingCert := func(e *Error) *Error {
		e.missingCert = true
		return e
	}
	for name, tt := range map[string]struct {
		err  *Error
		want []string
	}{
		"unsigned verdict":          {unsignedError(message{code: "40004", subCode: "AUTH_CODE_EXPIRES"}), []string{adviceByKind[ErrUntrusted], "unverified", "AUTH_CODE_EXPIRES"}},
		"unsigned, as documented":   {unsignedError(message{code: "40002", subCode: "isv.invalid-app-id"}), []string{adviceBySubCode["invalid-app-id"]}},
		"untrusted":                 {untrusted("x"), []string{adviceByKind[ErrUntrusted]}},
		"untrusted with a sub_code": {withDetails(untrusted("x"), "40002", "isv.invalid-app-id"), []string{adviceByKind[ErrUntrusted], "unverified", "isv.invalid-app-id", adviceBySubCode["invalid-app-id"]}},
		"untrusted, unknown":        {withDetails(untrusted("x"), "1", "new"), []string{adviceByKind[ErrUntrusted], "unverified", "1 new"}},
		"signed, but malformed":     {malformed(message{code: "10000"}, "x"), []string{adviceMalformed}},
		"lost":                      {unavailable(OutcomeLost, "x"), []string{adviceByKind[ErrUnavailable]}},
		"certificate refused":       {missingCert(untrusted("x")), []string{adviceMissingCert}},
		"certificate not reachable": {missingCert(unavailable(OutcomeLost, "x")), []string{"Wait", adviceMissingCert}},
	} {
		rest := tt.err.Advice()
		for _, part := range tt.want {
			_, after, ok := strings.Cut(rest, part)
			if !ok {
				t.Errorf("%s: got %q, want %q in it", name, tt.err.Advice(), part)
			}
			rest = after
		}
		if strings.TrimLeft(rest, `".`) != "" {
			t.Errorf("%s: got %q, with %q too much", name, tt.err.Advice(), rest)
		}
	}
}

func TestOutcomesAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[Outcome]bool{}
	for _, o := range []Outcome{
		OutcomeSuccess, OutcomeInvalidParameter, OutcomeCodeNotExist, OutcomeCodeExpired, OutcomeAccessNotAllowed,
		OutcomeBusy, OutcomeTimeout, OutcomeLost, OutcomeNotGateway, OutcomeCancelled, OutcomeUntrusted, OutcomeRejected,
	} {
		if seen[o] {
			t.Errorf("%s twice", o)
		}
		seen[o] = true
	}
	source, err := os.ReadFile("attempt.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), "Outcome = \""); n != len(seen) {
		t.Errorf("attempt.go has %d outcomes, and this list %d: add the new one here", n, len(seen))
	}
}
