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

// CodeKind is the kind of the ledger's keys. docs/redis.md describes them.
const CodeKind = "code"

// How long the ledger keeps an outcome.
const (
	// settledFor is the maximum lifetime of a code.
	settledFor = 24 * time.Hour

	// refusedFor is how long a verdict is returned without another call.
	refusedFor = 10 * time.Minute

	// unknownFor is the same for a code that does not exist, because it may exist soon.
	unknownFor = time.Minute

	// heldFor is how long after its exchange a grant waits for an answer. It must not exceed the time for which Redis keeps
	// a revocation.
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

// entry is the ledger's record of one code.
type entry struct {
	State    state     `json:"state"`
	Owner    string    `json:"owner"`              // id of the claim's owner: random, and new for every claim
	Browsers []string  `json:"browsers,omitempty"` // hashes of the arrivals that brought the code
	Session  string    `json:"session,omitempty"`  // landed: its session; held: the sessions in the question
	Operator string    `json:"operator,omitempty"` // landed: the operator
	Partner  string    `json:"partner,omitempty"`  // landed: the partner
	Token    string    `json:"token,omitempty"`    // landed: the sealed token
	Grant    string    `json:"grant,omitempty"`    // held: the sealed grant
	Until    time.Time `json:"until,omitzero"`     // held: when the question expires
	Verdict  verdict   `json:"verdict,omitempty"`  // refused

	key string
	raw []byte
}

// ledger reads and writes the records of codes in Redis.
type ledger struct{ store *store.Store }

func (l *ledger) key(hash string) string { return l.store.Key(CodeKind, hash) }

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

// look returns the ledger's entry. The state of the entry is empty if there is none.
func (l *ledger) look(ctx context.Context, hash string) (entry, error) {
	raw, err := l.store.Get(ctx, l.key(hash))
	if err != nil {
		return entry{}, err
	}
	return parseEntry(l.key(hash), raw)
}

// confirm returns when the required replicas have the entry. It fails with store.ErrUnavailable.
func (l *ledger) confirm(ctx context.Context, e entry) error { return l.store.Confirm(ctx, e.key) }

// swap replaces e with next. It returns the entry that the ledger now contains, and whether this landing wrote it.
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

// claim writes the claim if the ledger still contains e, and advances the logical clock in the same step.
func (l *ledger) claim(ctx context.Context, e, claim entry, lease time.Duration, tick store.TickCmd, optional []redis.Cmder) (entry, bool, error) {
	claim.State = open
	return l.swapWith(ctx, e, claim, lease, []redis.Cmder{tick.IntCmd}, optional)
}

// settle replaces the claim or held grant e with its outcome. If the ledger no longer contains e, because the lease ended or
// Redis restarted with empty data, no other landing has claimed the code. settle then writes the outcome too.
func (l *ledger) settle(ctx context.Context, e, outcome entry) (entry, bool, error) {
	outcome.Owner = e.Owner
	if outcome.Browsers == nil {
		outcome.Browsers = e.Browsers
	}
	now, ours, err := l.swap(ctx, e, outcome, settledFor)
	if err == nil && !ours && now.State == "" {
		return l.swap(ctx, now, outcome, settledFor)
	}
	return now, ours, err
}

// settleOwn is settle for the landing that owns the claim e and knows its outcome. It also replaces what another request has
// settled on its behalf, because the session that the other request found may have ended since, and the grant that another
// replica has stored in the meantime, because this landing has used the grant.
func (l *ledger) settleOwn(ctx context.Context, e, outcome entry) (entry, bool, error) {
	now, ours, err := l.settle(ctx, e, outcome)
	if err == nil && !ours && e.State == open && (now.Owner == e.Owner || now.State == held && outcome.State == landed) {
		return l.settle(ctx, now, outcome)
	}
	return now, ours, err
}

// refuse writes a verdict. With the empty verdict, it releases the code.
func (l *ledger) refuse(ctx context.Context, e entry, v verdict) error {
	if v == "" {
		_, _, err := l.store.Swap(ctx, e.key, e.raw, nil, 0)
		return err
	}
	_, _, err := l.swap(ctx, e, entry{State: refused, Owner: e.Owner, Verdict: v}, v.life())
	return err
}

// verdict is a final refusal of a code, as stored in the ledger.
type verdict string

// verdicts are the refusals that do not change later. In package alipay, only a verified response leads to them.
var verdicts = map[verdict]error{
	"invalid_parameter":  alipay.ErrInvalidParameter,
	"code_not_exist":     alipay.ErrCodeNotExist,
	"code_expired":       alipay.ErrCodeExpired,
	"access_not_allowed": alipay.ErrAccessNotAllowed,
}

func (v verdict) life() time.Duration {
	if errors.Is(verdicts[v], alipay.ErrCodeNotExist) {
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

// landedEntry returns the entry of a code that has landed. The token is sealed, for a browser that returns.
func (l *Lander) landedEntry(v visit, h session.Held, partner string) entry {
	return entry{
		State:    landed,
		Session:  h.Session.Hash(),
		Operator: h.Session.OperatorID,
		Partner:  partner,
		Token:    l.sealer.Seal(session.SealToken, v.hash, []byte(h.Token)),
	}
}

// verdictOf returns the verdict to store, empty if the failure says nothing about the code.
func verdictOf(err error) verdict {
	for v, kind := range verdicts {
		if errors.Is(err, kind) {
			return v
		}
	}
	return ""
}
