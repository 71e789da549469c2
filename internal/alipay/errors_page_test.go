package alipay

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// For people who look an error up: the page is written from the tables that the service decides and advises by.

var update = flag.Bool("update", false, "write docs/gateway-errors.md anew")

const errorsPage = "../../docs/gateway-errors.md"

// problemOf is what the service makes of a kind: the code member of its problem, the status, and what becomes of the code.
var problemOf = map[error]struct{ code, status, then string }{
	ErrInvalidParameter: {"invalid_parameter", "400", "never; remembered for 10 minutes"},
	ErrCodeNotExist:     {"code_not_exist", "410", "never; remembered for 60 seconds"},
	ErrCodeExpired:      {"code_expired", "410", "never; remembered for 10 minutes"},
	ErrAccessNotAllowed: {"access_not_allowed", "403", "never; remembered for 10 minutes"},
	ErrUnavailable:      {"gateway_unavailable", "503", "within `ALIPAY_TIMEOUT`, and by the browser with the same link"},
	ErrUntrusted:        {"gateway_untrusted", "502", "never by itself; the same link may be tried again"},
	ErrRejected:         {"gateway_rejected", "502", "never by itself; the same link may be tried again"},
}

var kindsInOrder = []error{
	ErrInvalidParameter, ErrCodeNotExist, ErrCodeExpired, ErrAccessNotAllowed, ErrUnavailable, ErrUntrusted, ErrRejected,
}

// about says what the numeric codes are for.
var about = map[string]string{
	"20000": "the gateway, or Koubei behind it, is busy",
	"20001": "a token lacks authority",
	"40001": "a parameter is missing",
	"40002": "a parameter is wrong",
	"40003": "a condition of the call isn't met",
	"40004": "Koubei's own answer about the code",
	"40005": "too many calls",
	"40006": "the application lacks a permission",
}

func TestErrorsPageIsUpToDate(t *testing.T) {
	want := writeErrorsPage()
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

func writeErrorsPage() string {
	var b strings.Builder
	b.WriteString(errorsHead)
	for _, kind := range kindsInOrder {
		p := problemOf[kind]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.code, p.status, kind, p.then)
	}
	b.WriteString(errorsTables)
	for _, row := range knownSubCodes {
		fmt.Fprintf(&b, "\n### %s: %s\n\n| `sub_code` | kind | advice |\n| --- | --- | --- |\n", row.code, about[row.code])
		for _, subCode := range strings.Fields(row.subCodes) {
			writeErrorRow(&b, "`"+subCode+"`", failure(message{code: row.code, subCode: subCode}, true))
		}
		writeErrorRow(&b, "any other", failure(message{code: row.code, subCode: "another"}, true))
	}
	b.WriteString(errorsWithoutCode)
	for _, e := range []struct {
		what string
		err  *Error
	}{
		{"no answer in time, a broken connection, a status other than 200, HTML, no JSON", unavailable(OutcomeLost, "")},
		{"a signature that is wrong, or missing on a success; two nodes; a certificate that leads to no root of ours", untrusted("")},
		{"one of the five business errors above, without a signature", failure(message{code: "40004", subCode: "AUTH_CODE_EXPIRES"}, false)},
		{"signed, but naming no operator: a field is missing, empty, or there twice", malformed(message{code: codeSuccess}, "")},
		{"an error without a signature and without a code that is known", failure(message{}, false)},
	} {
		writeErrorRow(&b, e.what, e.err)
	}
	return b.String()
}

func writeErrorRow(b *strings.Builder, what string, e *Error) {
	fmt.Fprintf(b, "| %s | `%s` | %s |\n", what, problemOf[e.kind].code, e.Advice())
}

const errorsHead = `# The gateway's errors, and what to do

<!-- Written by a test: go test ./internal/alipay -run TestErrorsPageIsUpToDate -update -->

When a landing fails at the gateway, one line of the log holds the request id that is also on the visitor's page, the gateway's own words
(` + "`code`, `sub_code`, `sub_msg`" + `), its ` + "`trace_id`" + `, which is what Alipay's support asks for, and ` + "`advice`" + `: the sentence of the tables below. ` + "`server check`" + `
asks the gateway about a code that can't exist and says the same before a visitor does.

## Kinds

What the service makes of an error. The visitor's page never says what is wrong here.

| kind | status | meaning | tried again |
| --- | --- | --- | --- |
`

const errorsTables = `
## By the gateway's code

The sub_code decides, with or without a prefix such as ` + "`isv.`" + `. The tables hold for answers whose signature is right. The gateway can't sign where it
can't tell for whom, as on ` + "`isv.invalid-app-id` and `isv.missing-signature-config`" + `; whatever an unsigned error says, it is
` + "`gateway_rejected`, or with 20000 `gateway_unavailable`" + `, with the same advice: it may be anybody's, and never judges a code.
`

const errorsWithoutCode = `
## Without a code to go by

| what came | kind | advice |
| --- | --- | --- |
`
