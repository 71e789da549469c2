package alipay

import (
	"os"
	"strings"
	"testing"
)

// The codes of the platform's error tables, each of which needs its sentence.
const knownSubCodes = `
INVALID_PARAMETER AUTH_CODE_NOT_EXIST AUTH_CODE_EXPIRES ACCESS_NOT_ALLOWED SYSTEM_ERROR
isp.unknow-error aop.unknow-error isp.service-not-available aop.unsupport-operation
aop.invalid-auth-token aop.auth-token-time-out aop.invalid-app-auth-token aop.app-auth-token-time-out
aop.invalid-app-auth-token-no-api aop.no-product-reg-by-partner
isv.missing-method isv.missing-signature isv.missing-signature-type isv.missing-signature-key isv.missing-app-id
isv.missing-timestamp isv.missing-version isv.decryption-error-missing-encrypt-type
isv.invalid-signature isv.invalid-app-id isv.invalid-timestamp isv.invalid-charset isv.invalid-parameter isv.invalid-method
isv.invalid-format isv.invalid-signature-type isv.invalid-encrypt isv.invalid-encrypt-type isv.decryption-error-unknown
isv.illegal-json isv.suspected-attack isv.not-support-app-auth isv.forbidden-api isv.app-cert-not-exist app-cert-expired
not-online-app isv.code-invalid isv.missing-signature-config invalid-auth-relations isv.app-call-limited
isv.method-call-limited isv.insufficient-isv-permissions isv.insufficient-user-permissions isv.route-no-permissions
isv.access-forbidden isv.self-invoke-forbidden isv.missing-app-cert-sn isv.missing-alipay-root-cert-sn
invalid-alipay-root-cert-sn isv.app-cert-expired`

func TestEveryKnownSubCodeHasItsAdvice(t *testing.T) {
	for _, subCode := range strings.Fields(knownSubCodes) {
		e := failure(message{code: "x", subCode: subCode}, true)
		if a := e.Advice(); a == adviceByKind[e.kind] || !isSentence(a) {
			t.Errorf("%s: got %q", subCode, a)
		}
	}
	for code := range adviceByCode {
		if a := failure(message{code: code, subCode: "something-new"}, true).Advice(); a != adviceByCode[code] || !isSentence(a) {
			t.Errorf("%s: got %q", code, a)
		}
	}
}

func isSentence(s string) bool {
	return len(s) > 20 && strings.HasSuffix(s, ".") && strings.Count(s, ". ") == 0
}

func TestAdviceOfAnswersThatCantBeBelieved(t *testing.T) {
	unsigned := failure(message{code: "40004", subCode: "AUTH_CODE_EXPIRES"}, false)
	if got := unsigned.Advice(); got != adviceByKind[ErrUntrusted] {
		t.Errorf("unsigned verdict: got %q", got)
	}
	appID := failure(message{code: "40002", subCode: "isv.invalid-app-id"}, false)
	if got := appID.Advice(); got != adviceBySubCode["invalid-app-id"] {
		t.Errorf("unsigned, as it must be: got %q", got)
	}
	if got := malformed(message{code: "10000"}, "x").Advice(); got != adviceMalformed {
		t.Errorf("malformed: got %q", got)
	}
	if got := unavailable(OutcomeLost, "x").Advice(); got != adviceByKind[ErrUnavailable] {
		t.Errorf("lost: got %q", got)
	}
}

func TestOutcomesAreOne(t *testing.T) {
	seen := map[Outcome]bool{}
	for _, o := range Outcomes() {
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
		t.Errorf("got %d outcomes listed of %d", len(seen), n)
	}
}
