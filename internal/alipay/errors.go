package alipay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The kinds of errors. Those above ErrUnavailable are verdicts on a code. They come only from responses with a valid signature.
var (
	ErrInvalidParameter = errors.New("the gateway refused a parameter")
	ErrCodeNotExist     = errors.New("the code does not exist, or was used before")
	ErrCodeExpired      = errors.New("the code has expired")
	ErrAccessNotAllowed = errors.New("this application may not use the code")

	// ErrUnavailable means that the gateway is busy or unreachable, or that something else answered. A later attempt may
	// succeed.
	ErrUnavailable = errors.New("the gateway is unavailable")

	// ErrUntrusted means that the signature of the response is missing or wrong, or that a signed response names no
	// operator.
	ErrUntrusted = errors.New("the gateway's response cannot be trusted")

	// ErrRejected is every other refusal, and every unsigned one. Somebody must change a setting, here or at Alipay.
	ErrRejected = errors.New("the gateway rejected the call")
)

// Error is a failed call. Code, Msg, SubCode and SubMsg come from the response as far as it could be read. They are bounded
// and hold neither the code, nor a token, nor the signed text. Unless Signed is true, they are not verified: anybody may
// have written them.
type Error struct {
	Code    string // the gateway's code, such as 40004
	Msg     string
	SubCode string // the business code, such as AUTH_CODE_EXPIRES
	SubMsg  string
	TraceID string // the trace_id header of the response, which Alipay's support asks for
	Signed  bool   // the signature of the response was valid

	kind    error
	outcome Outcome
	detail  string // what the client found, in its own words
	cause   error
	final   bool // another attempt is useless, although the kind allows it

	// missingCert says that the gateway signs with a certificate that the client neither has nor could download.
	missingCert bool
}

// Error returns "alipay: " and the Detail.
func (e *Error) Error() string { return "alipay: " + e.Detail() }

// Detail returns the kind, what the client found, what the gateway says, and the trace id.
func (e *Error) Detail() string {
	response := e.responseText()
	if response != "" && !e.Signed {
		response += " (unverified)"
	}
	parts := []string{e.kind.Error(), e.detail, response}
	text := strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
	if e.TraceID != "" {
		text += ", trace_id " + e.TraceID
	}
	return text
}

// BareSubCode returns SubCode without a prefix that other interfaces use, for example invalid-app-id for
// isv.invalid-app-id.
func (e *Error) BareSubCode() string { return bareSubCode(e.SubCode) }

// responseText returns the texts of the response in one line, empty if there are none.
func (e *Error) responseText() string {
	return strings.Join(strings.Fields(strings.Join([]string{e.Code, e.Msg, e.SubCode, e.SubMsg}, " ")), " ")
}

// Unwrap returns the kind, and the cause if that is an error of its own, such as context.Canceled.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

func unavailable(o Outcome, format string, args ...any) *Error {
	return &Error{kind: ErrUnavailable, outcome: o, detail: fmt.Sprintf(format, args...)}
}

func untrusted(format string, args ...any) *Error {
	return &Error{kind: ErrUntrusted, outcome: OutcomeUntrusted, detail: fmt.Sprintf(format, args...)}
}

func rejected(format string, args ...any) *Error {
	return &Error{kind: ErrRejected, outcome: OutcomeRejected, detail: fmt.Sprintf(format, args...)}
}

// asError returns err as an *Error. Any other error arose in this process before a request was sent.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return rejected("%s", err)
}

// detailOf returns the detail of err without its kind.
func detailOf(err error) string { return asError(err).detail }
