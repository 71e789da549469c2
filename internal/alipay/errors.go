package alipay

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of errors. The first four are verdicts on a code, and come only from an answer whose signature was right.
var (
	ErrInvalidParameter = errors.New("the gateway refused a parameter")
	ErrCodeNotExist     = errors.New("the code does not exist, or was used before")
	ErrCodeExpired      = errors.New("the code has expired")
	ErrAccessNotAllowed = errors.New("the code may not be used by this application")

	// ErrUnavailable is a gateway that is busy, out of reach, or something else than the gateway: later may be better.
	ErrUnavailable = errors.New("the gateway is unavailable")

	// ErrUntrusted is an answer that can't be believed, or a signed one that names nobody.
	ErrUntrusted = errors.New("the gateway's answer can't be trusted")

	// ErrRejected is every other refusal, and every unsigned one: something is to be mended, here or at Alipay.
	ErrRejected = errors.New("the gateway rejected the call")
)

// Error is what became of a call that failed. Its texts come from the gateway where they could be read, bounded and
// without the code, tokens and what was signed. They may be a stranger's words unless Signed is true.
type Error struct {
	Code    string // the gateway's code, as 40004
	Msg     string
	SubCode string // the business code, as AUTH_CODE_EXPIRES
	SubMsg  string
	TraceID string // the answer's trace_id header: what Alipay's support asks for
	Signed  bool   // the answer's signature was right

	kind    error
	outcome Outcome
	detail  string // what we found, in our own words
	cause   error
	final   bool // no use in trying again, although the kind says so
}

// Error says the kind, our finding, and the gateway's own words.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("alipay: " + e.kind.Error())
	if e.detail != "" {
		b.WriteString(": " + e.detail)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, ": %s %s", e.Code, e.Msg)
		if e.SubCode != "" || e.SubMsg != "" {
			fmt.Fprintf(&b, ", %s %s", e.SubCode, e.SubMsg)
		}
		if !e.Signed {
			b.WriteString(" (not signed)")
		}
	}
	if e.TraceID != "" {
		b.WriteString(", trace_id " + e.TraceID)
	}
	return b.String()
}

// Unwrap gives the kind, and what caused it where that is an error of its own (as context.Canceled).
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

// asError returns err as an *Error; what is none was made by us while asking.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return rejected("%s", err)
}

// detailOf returns our own words in err, without its kind.
func detailOf(err error) string { return asError(err).detail }
