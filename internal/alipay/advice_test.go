package alipay

import (
	"os"
	"strings"
	"testing"
)

// knownSubCodes are those of the platform's error tables, by the code that carries them: each needs its sentence.
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

func TestEveryKnownSubCodeHasItsAdvice(t *testing.T) {
	known := map[string]bool{}
	for _, row := range knownSubCodes {
		for _, subCode := range strings.Fields(row.subCodes) {
			known[bareSubCode(subCode)] = true
			e := failure(message{code: "x", subCode: subCode}, true)
			if a := e.Advice(); a == adviceByKind[e.kind] || !isSentence(a) {
				t.Errorf("%s: got %q", subCode, a)
			}
		}
		if a := failure(message{code: row.code, subCode: "something-new"}, true).Advice(); a != adviceByCode[row.code] || !isSentence(a) {
			t.Errorf("%s: got %q", row.code, a)
		}
	}
	for bare := range adviceBySubCode {
		if !known[bare] {
			t.Errorf("%s has advice, and is in no table of the platform's here", bare)
		}
	}
	if len(adviceByCode) != len(knownSubCodes) {
		t.Errorf("got advice for %d codes, want %d", len(adviceByCode), len(knownSubCodes))
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
