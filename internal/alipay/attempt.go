package alipay

import (
	"errors"
	"time"
)

// Outcome is how one attempt ended: a label for metrics, out of the closed list that Outcomes returns.
type Outcome string

// The outcomes. Busy, timeout, lost and not_gateway are the ways to be ErrUnavailable; the others are kinds.
const (
	OutcomeSuccess          Outcome = "success"
	OutcomeInvalidParameter Outcome = "invalid_parameter"
	OutcomeCodeNotExist     Outcome = "code_not_exist"
	OutcomeCodeExpired      Outcome = "code_expired"
	OutcomeAccessNotAllowed Outcome = "access_not_allowed"
	OutcomeBusy             Outcome = "busy"        // the gateway said so
	OutcomeTimeout          Outcome = "timeout"     // no whole answer in time
	OutcomeLost             Outcome = "lost"        // no connection, or it broke
	OutcomeNotGateway       Outcome = "not_gateway" // an answer, but not one of the gateway's: a status, HTML, not JSON
	OutcomeCancelled        Outcome = "cancelled"   // the caller went away
	OutcomeUntrusted        Outcome = "untrusted"
	OutcomeRejected         Outcome = "rejected"
)

// Outcomes returns every outcome there is.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeSuccess, OutcomeInvalidParameter, OutcomeCodeNotExist, OutcomeCodeExpired, OutcomeAccessNotAllowed,
		OutcomeBusy, OutcomeTimeout, OutcomeLost, OutcomeNotGateway, OutcomeCancelled, OutcomeUntrusted, OutcomeRejected,
	}
}

// Attempt is one call to the gateway, as reported to Config.OnAttempt.
type Attempt struct {
	Outcome  Outcome
	Duration time.Duration
	TraceID  string
	Retry    bool  // not the exchange's first
	Err      error // nil on success
}

func outcomeOf(err error) Outcome {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.outcome
	}
	return OutcomeSuccess
}
