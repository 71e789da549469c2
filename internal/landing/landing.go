package landing

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

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

// savingTime is the maximum duration of a landing after the exchange: it saves the session (twice if another tab lands at the
// same time), ends an old session, and writes the outcome to the ledger.
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
	if holds(claim.concurrent, v.hash) && !l.mayAsk(v, claim) {
		return l.recoverSession(context.WithoutCancel(ctx), v, claim)
	}
	if !claim.owned {
		return l.claimedBefore(ctx, v, claim.record)
	}
	v.live = append(v.live[:len(v.live):len(v.live)], v.unseen(claim.concurrent)...)
	work, cancel := context.WithDeadline(context.WithoutCancel(ctx), claim.until)
	defer cancel()
	grant, err := l.grant(work, v, claim)
	if err != nil {
		return Outcome{}, l.refuse(work, claim, err)
	}
	return l.saveOrPend(work, v, claim.record, grant)
}

// visit returns what the service knows about an arrival. live are the sessions of its cookies.
func (l *Lander) visit(a Arrival, live []session.Held) visit {
	v := visit{Arrival: a, hash: operator.HashCode(l.appID, a.Code), live: live}
	for _, b := range a.Browsers[:min(len(a.Browsers), session.MaxArrivals)] {
		v.browsers = append(v.browsers, hashBrowser(b))
	}
	v.pending = l.openPending(v)
	return v
}

// claimed is a code that this landing may exchange, or the reason why it may not.
type claimed struct {
	owned      bool
	record     record               // this landing's claim, or the outcome of another landing of the code
	concurrent []session.Held       // sessions that other landings of this browser have started
	at         operator.LogicalTime // set if owned
	until      time.Time            // set if owned: the lease ends no earlier
	release    func()               // gives the gateway slot back; never nil
}

// claim takes a lease on the code. If another landing has claimed the code, claim waits for the outcome and returns it. It
// checks the rate limit before it waits for a slot. Only claims count towards the limit.
func (l *Lander) claim(ctx context.Context, v visit) (claimed, error) {
	limit := l.count(v)
	c, err := l.claimOrWait(ctx, v, limit)
	if c.release == nil {
		c.release = func() {}
	}
	if !c.owned {
		limit.stop()
	}
	return c, err
}

// grant returns the grant of the code: from a pending grant if the code was exchanged before, otherwise from the gateway.
func (l *Lander) grant(ctx context.Context, v visit, c claimed) (operator.Grant, error) {
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
func (l *Lander) mayAsk(v visit, c claimed) bool {
	return c.owned && v.pending != nil && l.confirm && v.foreign(v.pending.Grant.Operator.ID)
}

// refuse settles a final verdict, and releases the code after any other failure. The visitor gets the error even if the
// ledger cannot be written now.
func (l *Lander) refuse(ctx context.Context, c claimed, err error) error {
	v := verdictOf(err)
	if e := l.ledger.refuse(ctx, c.record, v); e != nil {
		l.log.WarnContext(ctx, "code refused, ledger record pending", "error", e)
		l.retryInBackground(ctx, func(ctx context.Context) error { return l.ledger.refuse(ctx, c.record, v) })
	}
	return err
}
