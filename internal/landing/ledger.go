package landing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

// codeKind is the kind of key under which the ledger stands.
const codeKind = "code"

// How long the ledger remembers.
const (
	// settledFor is the longest life of a code.
	settledFor = 24 * time.Hour

	// refusedFor is how long a verdict is repeated without a call.
	refusedFor = 10 * time.Minute

	// unknownFor is the same for a code that doesn't exist: it might be about to.
	unknownFor = time.Minute

	// heldFor is how long after its exchange a grant waits for an answer: no longer than a revocation is remembered.
	heldFor = session.RevocationWindow
)

type state string

const (
	open     state = "open"
	landed   state = "landed"
	held     state = "held"
	declined state = "declined"
	refused  state = "refused"
)

// entry is what the ledger says of one code.
type entry struct {
	State    state     `json:"state"`
	Owner    string    `json:"owner"`              // whose work it is: random, and new with every claim
	Browsers []string  `json:"browsers,omitempty"` // hashes of the arrivals that brought the code
	Session  string    `json:"session,omitempty"`  // landed: the session made; held: the sessions asked about
	Operator string    `json:"operator,omitempty"` // landed: whose
	Partner  string    `json:"partner,omitempty"`  // landed: for whom
	Token    string    `json:"token,omitempty"`    // landed: sealed
	Grant    string    `json:"grant,omitempty"`    // held: sealed
	Until    time.Time `json:"until,omitzero"`     // held: when the question closes
	Verdict  verdict   `json:"verdict,omitempty"`  // refused

	key string
	raw []byte
}

// ledger is the codes in Redis.
type ledger struct{ store *store.Store }

func (l *ledger) key(hash string) string { return l.store.Key(codeKind, hash) }

func parseEntry(key string, raw []byte) (entry, error) {
	e := entry{key: key, raw: raw}
	if raw == nil {
		return e, nil
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return entry{}, fmt.Errorf("%w: the ledger: %w", store.ErrUnavailable, err)
	}
	return e, nil
}

// look returns what stands in the ledger; its state is empty where nothing does.
func (l *ledger) look(ctx context.Context, hash string) (entry, error) {
	raw, err := l.store.Get(ctx, l.key(hash))
	if err != nil {
		return entry{}, err
	}
	return parseEntry(l.key(hash), raw)
}

// swap writes next in place of e and returns what stands there now, and whether that is our work.
func (l *ledger) swap(ctx context.Context, e, next entry, ttl time.Duration) (entry, bool, error) {
	return l.swapWith(ctx, e, next, ttl, nil, nil)
}

// swapWith is swap with a required command before it and optional ones after it.
func (l *ledger) swapWith(ctx context.Context, e, next entry, ttl time.Duration, first, optional []redis.Cmder) (entry, bool, error) {
	raw, err := json.Marshal(next)
	if err != nil {
		return entry{}, false, err
	}
	cmd := store.NewSwap(ctx, e.key, e.raw, raw, ttl)
	if err := l.store.WriteWith(ctx, optional, append(first, cmd.SliceCmd)...); err != nil {
		return entry{}, false, err
	}
	done, current, err := cmd.Swapped()
	if err != nil {
		return entry{}, false, err
	}
	now, err := parseEntry(e.key, current)
	return now, done, err
}

// claim takes a code on lease for the claim's owner and browsers, where the ledger still says e. The logical clock ticks
// with it.
func (l *ledger) claim(ctx context.Context, e, claim entry, lease time.Duration, tick store.TickCmd, optional []redis.Cmder) (entry, bool, error) {
	claim.State = open
	return l.swapWith(ctx, e, claim, lease, []redis.Cmder{tick.IntCmd}, optional)
}

// settle replaces e, which this landing owns, by its outcome. Where nothing stands any more, because the lease ran out
// or Redis came back empty, nobody else has claimed the code, and the outcome is written all the same.
func (l *ledger) settle(ctx context.Context, e, outcome entry) (entry, bool, error) {
	outcome.Owner = e.Owner
	if outcome.Browsers == nil {
		outcome.Browsers = e.Browsers
	}
	now, ours, err := l.swap(ctx, e, outcome, settledFor)
	recovered := e.State == open && now.Owner == e.Owner // by another request, on this claim's behalf
	if err == nil && !ours && (now.State == "" || recovered) {
		return l.swap(ctx, now, outcome, settledFor)
	}
	return now, ours, err
}

// refuse writes down a verdict, or, for the empty verdict, gives the code free.
func (l *ledger) refuse(ctx context.Context, e entry, v verdict) error {
	if v == "" {
		_, _, err := l.store.Swap(ctx, e.key, e.raw, nil, 0)
		return err
	}
	_, _, err := l.swap(ctx, e, entry{State: refused, Owner: e.Owner, Verdict: v}, v.life())
	return err
}

// verdict is a definitive refusal of a code, as it stands in the ledger.
type verdict string

// verdicts are the refusals that stay true: those of package alipay that only a verified answer can bring about.
var verdicts = map[verdict]error{
	"invalid_parameter":  alipay.ErrInvalidParameter,
	"code_not_exist":     alipay.ErrCodeNotExist,
	"code_expired":       alipay.ErrCodeExpired,
	"access_not_allowed": alipay.ErrAccessNotAllowed,
}

func (v verdict) life() time.Duration {
	if verdicts[v] == alipay.ErrCodeNotExist {
		return unknownFor
	}
	return refusedFor
}

func (v verdict) err() error {
	if err, ok := verdicts[v]; ok {
		return fmt.Errorf("landing: refused before: %w", err)
	}
	return ErrCodeUsed
}

// landedEntry says that a session stands; the token is sealed for the browser that comes again.
func (l *Lander) landedEntry(v visit, h session.Held, partner string) entry {
	return entry{
		State:    landed,
		Session:  h.Session.Hash(),
		Operator: h.Session.OperatorID,
		Partner:  partner,
		Token:    l.sealer.Seal(session.SealToken, v.hash, []byte(h.Token)),
	}
}

// verdictOf returns the verdict to remember; empty for a failure that says nothing about the code.
func verdictOf(err error) verdict {
	for v, kind := range verdicts {
		if errors.Is(err, kind) {
			return v
		}
	}
	return ""
}
