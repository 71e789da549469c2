package landing

import (
	"errors"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// Errors of a landing. Package alipay defines the errors of the gateway. If Redis is unavailable, the error is
// store.ErrUnavailable.
var (
	// ErrCodeUsed says that the code cannot give this browser a session: another browser has used it, its session has ended,
	// the user answered no, or its grant was revoked or has expired.
	ErrCodeUsed = errors.New("landing: code used")

	// ErrInProgress says that this landing timed out while the code's first landing was still in progress.
	ErrInProgress = errors.New("landing: the code's first landing is in progress")

	// ErrOverloaded says that too many landings are waiting. The code was not sent.
	ErrOverloaded = errors.New("landing: too many are waiting")

	// ErrRateLimited says that the client has claimed too many codes recently. The code was not sent.
	ErrRateLimited = errors.New("landing: too many codes from one client")

	// ErrDraining says that the service is shutting down and the landing had not claimed its code. The code was not sent.
	ErrDraining = errors.New("landing: shutting down")

	// ErrSwitchStale says that the question was about another session than the one that is live now.
	ErrSwitchStale = errors.New("landing: the question is about another session")

	// ErrSwitchExpired says that no grant waits for this answer any more.
	ErrSwitchExpired = errors.New("landing: the question is no longer open")
)

// Arrival is a browser's request with a code.
type Arrival struct {
	Code     string
	Tokens   []session.Token // of the session cookies in the request
	Browsers []string        // the arrival cookies in the request, newest first
	Pending  []string        // the pending grants in the request
	Known    []string        // ids of the operators that the browser remembers, newest first
	Client   string          // the client address, for the rate limit
}

// Result says how a successful landing ended.
type Result string

// The results.
const (
	Landed   Result = "landed"
	Replayed Result = "replayed"
	Asked    Result = "asked"
	Kept     Result = "kept" // the user answered no
)

// Outcome is the result of a landing.
type Outcome struct {
	Result  Result
	Token   session.Token
	Session session.Session
	Entry   session.Entry // of this code, so that a replay redirects to the same place

	// Replaced holds the sessions of other operators that this landing has ended, in their last state.
	Replaced []session.Session

	// Pending is the sealed result of the exchange, for a cookie of the browser. It may be set beside an error.
	Pending string

	// Question is what to ask, if Result is Asked.
	Question Question
}

// Question is a landing that waits for the user to confirm another operator.
type Question struct {
	Landing   string          // names the landing in the form: the code's hash
	Sessions  string          // names the sessions that would be replaced in the form; empty if there are none
	Current   session.Session // the session that would be replaced; without an operator if none is live
	LastKnown string          // if none is live: the operator in this browser's memory that landed last
	Arriving  operator.Operator
	PartnerID string
}
