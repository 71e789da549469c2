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

// Errors of a landing. Those of the gateway are package alipay's, and Redis out of reach is store.ErrUnavailable.
var (
	// ErrCodeUsed says that another browser has used the code, or that the session it made has ended.
	ErrCodeUsed = errors.New("landing: code used")

	// ErrInProgress says that the code's first landing was still under way when this one's patience ended.
	ErrInProgress = errors.New("landing: the code's first landing is under way")

	// ErrOverloaded says that too many landings wait already. The code was not sent.
	ErrOverloaded = errors.New("landing: too many are waiting")

	// ErrRateLimited says that the client has claimed too many codes of late. The code was not sent.
	ErrRateLimited = errors.New("landing: too many codes from one client")

	// ErrDraining reports that the service is shutting down and the landing had not claimed its code. The code was not sent.
	ErrDraining = errors.New("landing: shutting down")

	// ErrSwitchStale says that the question was asked about another session than the one that is live now.
	ErrSwitchStale = errors.New("landing: the question is about another session")

	// ErrSwitchExpired says that the grant is no longer waiting for an answer.
	ErrSwitchExpired = errors.New("landing: the question is no longer open")
)

// Arrival is a browser with a code.
type Arrival struct {
	Code     string
	Tokens   []session.Token // of the session cookies that came along
	Browsers []string        // the arrival cookies that came along, newest first
	Pending  []string        // the pending grants that came along
	Known    []string        // ids of the operators that the browser remembers, newest first
	Client   string          // whom the rate limit counts
}

// Result is how a landing ended well.
type Result string

// The results.
const (
	Landed   Result = "landed"
	Replayed Result = "replayed"
	Asked    Result = "asked"
	Kept     Result = "kept" // the person said no
)

// Outcome is what a landing led to.
type Outcome struct {
	Result  Result
	Token   session.Token
	Session session.Session
	Entry   session.Entry // of this code, so that a replay goes to the same place

	// Replaced are the sessions of other operators that this landing has ended, as they were.
	Replaced []session.Session

	// Pending is to be given to the browser as a cookie, also beside an error: it is what the spent code was worth.
	Pending string

	// Question is what to ask, when Result is Asked.
	Question Question
}

// Question is a landing that waits for the person to say whether to go on as another operator.
type Question struct {
	Landing   string          // names the landing, in the form: the code's hash
	Sessions  string          // names the sessions that would be replaced, in the form; empty for none
	Current   session.Session // that would be replaced; without an operator where none is live
	LastKnown string          // where none is live: the operator that this browser remembers and that landed last
	Arriving  operator.Operator
	PartnerID string
}

// Options is what a Lander is made of.
type Options struct {
	Config
	AppID    string
	Gateway  *alipay.Client
	Sessions *session.Manager
	Store    *store.Store
	Sealer   *session.Sealer
	Limit    Limit

	// ExchangeTimeout is the gateway client's budget for one exchange.
	ExchangeTimeout time.Duration

	// Concurrency is how many exchanges are under way at once.
	Concurrency int

	// OnStarted and OnReplaced are told of sessions that began, and that ended for another operator's.
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

	retries sync.WaitGroup // what is still to be written
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

// Lease returns how long one claimed landing may take, from the claim to the ledger's entry: exchange is the gateway's
// budget, redis the timeout of one command.
func Lease(exchange, redis time.Duration) time.Duration {
	return redis + exchange + savingTime(redis) + time.Second
}

// savingTime is how long a landing may take after the exchange: it saves the session, once more where two tabs meet, ends
// an old one, and writes the ledger's entry.
func savingTime(redis time.Duration) time.Duration { return 5 * redis }

// Patience is the longest that a landing takes: waiting for another, its own exchange, and keeping what came of it.
func (l *Lander) Patience() time.Duration { return l.patience + l.lease }

// Lease is the longest that a claimed landing takes.
func (l *Lander) Lease() time.Duration { return l.lease }

// EndBy makes landings fail with ErrDraining from now on that have not claimed their code and whose lease would end after
// the given time.
func (l *Lander) EndBy(until time.Time) { l.queue.endBy(until) }

// Drain makes landings that wait for a gateway slot or for another landing fail with ErrDraining, now and from now on.
func (l *Lander) Drain() { l.queue.drain() }

// Land turns a code into a session, or reports what has become of the code. Once the code is claimed, the work goes on
// although ctx ends: a browser that leaves does not burn a code.
//
// It fails with an error of this package, one of package alipay, or store.ErrUnavailable.
func (l *Lander) Land(ctx context.Context, a Arrival) (Outcome, error) {
	live, err := l.sessions.Live(ctx, a.Tokens)
	if err != nil {
		return Outcome{}, err
	}
	v := l.visit(a, live)
	if out, ok := v.replayOwn(); ok {
		return out, nil
	}
	claim, err := l.claim(ctx, v)
	if err != nil {
		return Outcome{}, err
	}
	defer claim.release()
	if holds(claim.met, v.hash) {
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

// grant returns what the code is worth: from a pending grant, where it was exchanged before, or from the gateway.
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

// recover returns the session that a landing of this code has begun under an arrival of this browser, although the ledger
// does not say so: the replica was killed between the two, or is about to write it.
func (l *Lander) recover(ctx context.Context, v visit, c claim) (Outcome, error) {
	h := c.met[slices.IndexFunc(c.met, func(h session.Held) bool { return holds([]session.Held{h}, v.hash) })]
	entry, _ := h.Session.OfCode(v.hash)
	if c.entry.State == open {
		// Also on behalf of the claim's owner. If that was killed, the claim would expire and the code be sent again.
		outcome := l.landedEntry(v, h, entry.PartnerID)
		outcome.Browsers = slices.Concat(c.entry.Browsers, v.browsers)
		if _, _, err := l.ledger.settle(ctx, c.entry, outcome); err != nil {
			return Outcome{}, err
		}
	}
	if v.foreign(h.Session.OperatorID) {
		return Outcome{}, ErrCodeUsed // nobody is replaced without a question
	}
	return Outcome{Result: Replayed, Token: h.Token, Session: h.Session, Entry: entry}, nil
}

// refuse settles a definitive verdict and releases the code after any other failure. The visitor is told what happened to
// the code, also where that cannot be written at once.
func (l *Lander) refuse(ctx context.Context, c claim, err error) error {
	v := verdictOf(err)
	if e := l.ledger.refuse(ctx, c.entry, v); e != nil {
		l.log.WarnContext(ctx, "refused, but the ledger is not written yet", "error", e)
		l.retryInBackground(ctx, func(ctx context.Context) error { return l.ledger.refuse(ctx, c.entry, v) })
	}
	return err
}

// known answers for a code that another landing has claimed before: a held grant is asked about again, or lands.
func (l *Lander) known(ctx context.Context, v visit, e entry) (Outcome, error) {
	if e.State == held {
		return l.resume(ctx, v, e)
	}
	return l.settled(ctx, v, e)
}

// settled answers for a code whose outcome is final.
func (l *Lander) settled(ctx context.Context, v visit, e entry) (Outcome, error) {
	switch e.State {
	case refused:
		return Outcome{}, e.Verdict.err()
	case landed:
		return l.replay(ctx, v, e)
	}
	return Outcome{}, ErrCodeUsed
}

// replay gives the same session again to the browser that made it, and to nobody else.
func (l *Lander) replay(ctx context.Context, v visit, e entry) (Outcome, error) {
	// Read the sessions again: the ledger's entry may be newer. A session that a "yes" has replaced would stand in the way
	// of the same "yes" sent twice.
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

// tokenFor returns the token of the session that the code has made, if this browser may have it: its own, or the sealed
// one where it shows an arrival of the claim. Nobody is replaced without a question, so not beside another operator.
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
