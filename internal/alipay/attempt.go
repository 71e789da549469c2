package alipay

import (
	"errors"
	"time"
)

// Outcome says how one attempt ended. It is a label for metrics. The ledger in Redis stores those of verdicts, so their names
// never change.
type Outcome string

// The outcomes. Busy, timeout, lost, not_gateway and cancelled are ErrUnavailable; each of the others is a kind of its own.
const (
	OutcomeSuccess          Outcome = "success"
	OutcomeInvalidParameter Outcome = "invalid_parameter"
	OutcomeCodeNotExist     Outcome = "code_not_exist"
	OutcomeCodeExpired      Outcome = "code_expired"
	OutcomeAccessNotAllowed Outcome = "access_not_allowed"
	OutcomeBusy             Outcome = "busy"        // the gateway said that it is busy
	OutcomeTimeout          Outcome = "timeout"     // no whole response in time
	OutcomeLost             Outcome = "lost"        // no connection, or it broke
	OutcomeNotGateway       Outcome = "not_gateway" // a response that is not the gateway's: a status other than 200, HTML, not JSON
	OutcomeCancelled        Outcome = "cancelled"   // the caller canceled
	OutcomeUntrusted        Outcome = "untrusted"
	OutcomeRejected         Outcome = "rejected"
)

// Attempt is one request to the gateway, as reported to Config.OnAttempt.
type Attempt struct {
	Outcome  Outcome
	Duration time.Duration
	TraceID  string
	Retry    bool // not the first attempt of the exchange
}

func outcomeOf(err error) Outcome {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.outcome
	}
	return OutcomeSuccess
}
