package alipay

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The page is generated from the tables that the service uses.

var update = flag.Bool("update", false, "write docs/gateway-errors.md")

const errorsPage = "../../docs/gateway-errors.md"

// problemOf says how the service responds to a kind: the code member, the status, and whether the code is sent again.
var problemOf = map[error]struct{ code, status, then string }{
	ErrInvalidParameter: {"invalid_parameter", "400", "no; cached for 10 minutes"},
	ErrCodeNotExist:     {"code_not_exist", "410", "no; cached for 60 seconds"},
	ErrCodeExpired:      {"code_expired", "410", "no; cached for 10 minutes"},
	ErrAccessNotAllowed: {"access_not_allowed", "403", "no; cached for 10 minutes"},
	ErrUnavailable:      {"gateway_unavailable", "503", "yes, within `ALIPAY_TIMEOUT`; then by the browser with the same link"},
	ErrUntrusted:        {"gateway_untrusted", "502", "no; the visitor may open the same link again"},
	ErrRejected:         {"gateway_rejected", "502", "no; the visitor may open the same link again"},
}

var kindsInOrder = []error{
	ErrInvalidParameter, ErrCodeNotExist, ErrCodeExpired, ErrAccessNotAllowed, ErrUnavailable, ErrUntrusted, ErrRejected,
}

// about explains the numeric codes.
var about = map[string]string{
	"20000": "the gateway or Koubei is busy",
	"20001": "a token is not sufficient",
	"40001": "a parameter is missing",
	"40002": "a parameter is wrong",
	"40003": "a condition of the call is not met",
	"40004": "Koubei's verdict on the code",
	"40005": "too many calls",
	"40006": "the application lacks a permission",
}

func TestErrorsPageIsUpToDate(t *testing.T) {
	t.Parallel()
	want := writeErrorsPage(t)
	if *update {
		if err := os.WriteFile(errorsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(errorsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/gateway-errors.md is stale: go test ./internal/alipay -run TestErrorsPageIsUpToDate -update")
	}
}

func writeErrorsPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(errorsHead)
	for _, f := range businessErrors {
		if !slices.Contains(kindsInOrder, f.kind) {
			t.Errorf("%q is no kind of the page: add it to kindsInOrder and problemOf", f.kind)
		}
	}
	for _, kind := range kindsInOrder {
		p := problemOf[kind]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.code, p.status, kind, p.then)
	}
	b.WriteString(errorsTables)
	for _, row := range knownSubCodes {
		fmt.Fprintf(&b, "\n### %s: %s\n\n| `sub_code` | kind | advice |\n| --- | --- | --- |\n", row.code, about[row.code])
		for _, subCode := range strings.Fields(row.subCodes) {
			writeErrorRow(&b, "`"+subCode+"`", signedError(message{code: row.code, subCode: subCode}))
		}
		writeErrorRow(&b, "any other", signedError(message{code: row.code, subCode: "another"}))
	}
	b.WriteString(errorsWithoutCode)
	for _, e := range []struct {
		what string
		err  *Error
	}{
		{"no response in time, a broken connection, a status other than 200, HTML, not JSON", unavailable(OutcomeLost, "")},
		{"a wrong signature, or a success without one; two nodes; a node with another name", untrusted("")},
		{"a business error above, without a signature, here `AUTH_CODE_EXPIRES`", unsignedError(message{code: "40004", subCode: "AUTH_CODE_EXPIRES"})},
		{"a certificate that is not configured, and whose download is refused", &Error{kind: ErrUntrusted, missingCert: true}},
		{"a certificate that is not configured, and whose download gets no response", &Error{kind: ErrUnavailable, missingCert: true}},
		{"a signed success that does not name an operator: a field is missing, empty or repeated", malformed(message{code: codeSuccess}, "")},
		{"an error without a signature and without a known code", unsignedError(message{})},
	} {
		writeErrorRow(&b, e.what, e.err)
	}
	return b.String()
}

func writeErrorRow(b *strings.Builder, what string, e *Error) {
	fmt.Fprintf(b, "| %s | `%s` | %s |\n", what, problemOf[e.kind].code, e.Advice())
}

const errorsHead = `# Gateway errors and what to do

<!-- Written by a test: go test ./internal/alipay -run TestErrorsPageIsUpToDate -update -->

When the gateway refuses a landing, the service writes one log line. It holds:

- the request id, which the visitor's page shows too
- the gateway's ` + "`code`, `sub_code` and `sub_msg`" + `; "(unverified)" follows them if the response has no valid signature
- the gateway's ` + "`trace_id`" + `, which Alipay's support asks for
- ` + "`advice`" + `: the text from the tables below

` + "`server check`" + ` calls the gateway with a code that cannot exist, and prints the same advice before a visitor sees the problem.

The *node* is the member of the response that the signature covers: ` + "`koubei_member_data_oauth_query_response`" + `, or ` + "`error_response`" + ` for some errors.

## Kinds

The service responds to each kind of error as follows. The visitor's page does not show these details. "Cached" means that the same code gets the same response without a call to the gateway.

| kind | status | meaning | does the service retry? |
| --- | --- | --- | --- |
`

const errorsTables = `
## By the gateway's code

The sub_code decides, with or without a prefix such as ` + "`isv.`" + `. The tables apply to responses with a valid signature.

The gateway does not sign an error if it does not know which application called, for example with ` + "`isv.invalid-app-id` and `isv.missing-signature-config`" + `. Anybody could forge such a response, so the service never treats it as a verdict on a code. It is
` + "`gateway_rejected`, or with 20000 `gateway_unavailable`" + `. The advice is the same.

If such a response also has an unusual form (` + "`\"sign\":null`" + `, a numeric code, a node with another name), it is ` + "`gateway_untrusted`" + `. The log line and the
advice still name the code and the sub_code, marked as unverified, because they are often the real reason.
`

const errorsWithoutCode = `
## Without a known code

| what arrived | kind | advice |
| --- | --- | --- |
`
