package landing

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// Errors of a landing. Package alipay defines the errors of the gateway. If Redis is unavailable, the error is
// store.ErrUnavailable.
var (
	// ErrCodeUsed says that another browser has used the code, or that the session it made has ended.
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

// Options configure a Lander.
type Options struct {
	Config
	AppID    string
	Gateway  *alipay.Client
	Sessions *session.Manager
	Store    *store.Store
	Sealer   *session.Sealer
	Limit    Limit

	// ExchangeTimeout is the gateway client's timeout for one exchange, retries included.
	ExchangeTimeout time.Duration

	// Concurrency is the maximum number of concurrent exchanges.
	Concurrency int

	// OnStarted and OnReplaced are called for each session that starts, and for each that another operator's session
	// replaces.
	OnStarted  func(operator.Type)
	OnReplaced func()

	Log *slog.Logger
	Now func() time.Time
}

// Lander turns codes into sessions.
type Lander struct {
	appID    string
	gateway  *alipay.Client
	sessions *session.Manager
	sealer   *session.Sealer
	limit    Limit
	confirm  bool
	ledger   *ledger
	queue    *queue
	patience time.Duration
	lease    time.Duration
	saving   time.Duration
	log      *slog.Logger
	now      func() time.Time

	onStarted  func(operator.Type)
	onReplaced func()

	retries sync.WaitGroup // writes that are retried in the background
}

// New returns a Lander.
func New(o Options) *Lander {
	saving := savingTime(o.Store.Timeout())
	return &Lander{
		appID: o.AppID, gateway: o.Gateway, sessions: o.Sessions, sealer: o.Sealer, limit: o.Limit, confirm: o.Confirm,
		ledger:   &ledger{store: o.Store},
		queue:    newQueue(o.Concurrency),
		patience: o.ExchangeTimeout,
		lease:    Lease(o.ExchangeTimeout, o.Store.Timeout()),
		saving:   saving,
		log:      o.Log,
		now:      o.Now,

		onStarted: o.OnStarted, onReplaced: o.OnReplaced,
	}
}

// Lease returns the maximum duration of a claimed landing, from the claim to the outcome in the ledger. exchange is the
// gateway client's timeout, redis the timeout of one command.
func Lease(exchange, redis time.Duration) time.Duration {
	return redis + exchange + savingTime(redis) + time.Second
}

// savingTime is the maximum duration of a landing after the exchange: it saves the session (twice if two tabs meet), ends
// an old session, and writes the outcome to the ledger.
func savingTime(redis time.Duration) time.Duration { return 5 * redis }

// EndBy makes a landing fail with ErrDraining if it has not claimed its code and its lease would end after the given time.
func (l *Lander) EndBy(until time.Time) { l.queue.endBy(until) }

// Drain makes all current and future landings that wait for a gateway slot or for another landing fail with ErrDraining.
func (l *Lander) Drain() { l.queue.drain() }

// Land turns a code into a session, or returns the outcome of an earlier landing of the code. Once it has claimed the code,
// it continues even if ctx ends: the code is not lost if the browser leaves.
//
// It fails with an error of this package, an error of package alipay, or store.ErrUnavailable.
func (l *Lander) Land(ctx context.Context, a Arrival) (Outcome, error) {
	live, err := l.sessions.Live(ctx, a.Tokens)
	if err != nil {
		return Outcome{}, err
	}
	v := l.visit(a, live)
	if out, ok := v.replayOwn(); ok {
		if err := l.settleReplay(ctx, v, out); err != nil {
			return Outcome{}, err
		}
		return out, nil
	}
	claim, err := l.claim(ctx, v)
	if err != nil {
		return Outcome{}, err
	}
	defer claim.release()
	if holds(claim.met, v.hash) && !l.mayAsk(v, claim) {
		return l.recover(context.WithoutCancel(ctx), v, claim)
	}
	if !claim.ours {
		return l.known(ctx, v, claim.entry)
	}
	v.live = append(v.live[:len(v.live):len(v.live)], v.unseen(claim.met)...)
	work, cancel := context.WithDeadline(context.WithoutCancel(ctx), claim.until)
	defer cancel()
	grant, err := l.grant(work, v, claim)
	if err != nil {
		return Outcome{}, l.refuse(work, claim, err)
	}
	return l.keepOrPend(work, v, claim.entry, grant)
}

// grant returns the grant of the code: from a pending grant if the code was exchanged before, otherwise from the gateway.
func (l *Lander) grant(ctx context.Context, v visit, c claim) (operator.Grant, error) {
	if v.pending != nil {
		return v.pending.Grant, nil
	}
	ctx, cancel := context.WithDeadline(ctx, c.until.Add(-l.saving))
	defer cancel()
	grant, err := l.gateway.Exchange(ctx, v.Code)
	grant.ClaimedAt = c.at
	return grant, err
}

// mayAsk reports whether the user can be asked about a code whose session exists already: another operator is signed in, and
// the browser has the grant. After a "yes", the browser gets that session.
func (l *Lander) mayAsk(v visit, c claim) bool {
	return c.ours && v.pending != nil && l.confirm && v.foreign(v.pending.Grant.Operator.ID)
}

// recover returns the session that a landing of this code has stored under an arrival of this browser, if the ledger does
// not contain it yet. The replica was killed in between, or is about to write it.
func (l *Lander) recover(ctx context.Context, v visit, c claim) (Outcome, error) {
	h := c.met[slices.IndexFunc(c.met, func(h session.Held) bool { return holds([]session.Held{h}, v.hash) })]
	entry, _ := h.Session.OfCode(v.hash)
	var replaced []session.Session
	if !l.confirm {
		var err error
		if replaced, err = l.endOthers(ctx, v, h.Session.OperatorID, nil); err != nil {
			return Outcome{}, err
		}
	}
	if c.entry.State == open || c.entry.State == refused {
		now, ours, err := l.settleFor(ctx, v, c.entry, h, entry.PartnerID)
		if err != nil {
			return Outcome{}, err
		}
		if !ours && now.State != open {
			return l.known(ctx, v, now) // the owner lives, and has settled the code in the meantime
		}
	}
	if l.confirm && v.foreign(h.Session.OperatorID) {
		return Outcome{}, ErrCodeUsed // do not replace an operator without a question
	}
	return Outcome{Result: Replayed, Token: h.Token, Session: h.Session, Entry: entry, Replaced: replaced}, nil
}

// settleReplay settles the code of a session of this browser if the ledger does not have its outcome yet: the replica that
// exchanged the code may have been killed, or may still want to store the grant, also when its lease has ended. After a
// sign-out, either would bring the code back. It reads the ledger only as long as a grant may be left. It fails with
// ErrCodeUsed if the session has ended and the code waits for an answer.
func (l *Lander) settleReplay(ctx context.Context, v visit, out Outcome) error {
	if l.now().Sub(out.Entry.AuthenticatedAt) > heldFor {
		return nil
	}
	e, err := l.ledger.look(ctx, v.hash)
	for err == nil && (e.State == "" || e.State == open || e.State == held) { // again if another request has changed it
		if e.State == held { // its owner may have ended the session to ask the user
			if _, err := l.sessions.Find(ctx, out.Token); errors.Is(err, session.ErrNone) {
				return ErrCodeUsed
			}
		}
		e, _, err = l.settleFor(ctx, v, e, session.Held{Token: out.Token, Session: out.Session}, out.Entry.PartnerID)
	}
	return err
}

// settleFor settles a code whose session this browser has, on behalf of the replica that exchanged it. If that was killed,
// the claim would expire, and the next landing would send the code again. The claim e may be that of a stranger who came
// later: then the stranger's browser gets no right to the session.
func (l *Lander) settleFor(ctx context.Context, v visit, e entry, h session.Held, partner string) (entry, bool, error) {
	outcome := l.landedEntry(v, h, partner)
	outcome.Browsers = append([]string{}, v.browsers...) // never nil, which settle would replace by those of e
	if v.brought(e) {
		outcome.Browsers = append(outcome.Browsers, e.Browsers...)
	}
	return l.ledger.settle(ctx, e, outcome)
}

// refuse settles a final verdict, and releases the code after any other failure. The visitor gets the error even if the
// ledger cannot be written now.
func (l *Lander) refuse(ctx context.Context, c claim, err error) error {
	v := verdictOf(err)
	if e := l.ledger.refuse(ctx, c.entry, v); e != nil {
		l.log.WarnContext(ctx, "code refused, ledger entry pending", "error", e)
		l.retryInBackground(ctx, func(ctx context.Context) error { return l.ledger.refuse(ctx, c.entry, v) })
	}
	return err
}

// known handles a code that another landing has claimed before. For a held grant it asks again, or lands.
func (l *Lander) known(ctx context.Context, v visit, e entry) (Outcome, error) {
	if e.State == held {
		return l.resume(ctx, v, e)
	}
	return l.settled(ctx, v, e)
}

// settled returns the outcome of a code that is final.
func (l *Lander) settled(ctx context.Context, v visit, e entry) (Outcome, error) {
	switch e.State {
	case refused:
		return Outcome{}, e.Verdict.err()
	case landed:
		return l.replay(ctx, v, e)
	}
	return Outcome{}, ErrCodeUsed
}

// replay returns the same session again to the browser that made it. Other browsers get ErrCodeUsed.
func (l *Lander) replay(ctx context.Context, v visit, e entry) (Outcome, error) {
	// Read the sessions again: the ledger's entry may be newer. Otherwise a session that a "yes" has replaced would block a
	// second, identical "yes".
	var err error
	if v.live, err = l.sessions.Live(ctx, v.Tokens); err != nil {
		return Outcome{}, err
	}
	token, err := l.tokenFor(v, e)
	if err != nil {
		return Outcome{}, err
	}
	s, err := l.sessions.Find(ctx, token)
	if errors.Is(err, session.ErrNone) {
		return Outcome{}, ErrCodeUsed
	}
	if err != nil {
		return Outcome{}, err
	}
	partner, ok := s.Partner(e.Partner)
	if !ok {
		return Outcome{}, ErrCodeUsed
	}
	return Outcome{Result: Replayed, Token: token, Session: s, Entry: partner}, nil
}

// tokenFor returns the token of the code's session if this browser may have it: the browser's own token, or the sealed one
// if the browser shows an arrival of the claim. It returns no token if another operator is signed in, because only a
// question may replace an operator.
func (l *Lander) tokenFor(v visit, e entry) (session.Token, error) {
	for _, h := range v.live {
		if h.Session.Hash() == e.Session {
			return h.Token, nil
		}
	}
	if !v.brought(e) || v.foreign(e.Operator) {
		return "", ErrCodeUsed
	}
	token, err := l.sealer.Open(session.SealToken, v.hash, e.Token)
	if err != nil {
		return "", errors.Join(ErrCodeUsed, err)
	}
	return session.Token(token), nil
}
