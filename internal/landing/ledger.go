package landing

import (
	"context"
	"encoding/json"
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

// record is the ledger's record of one code.
type record struct {
	State    state          `json:"state"`
	Owner    string         `json:"owner"`              // id of the claim's owner: random, and new for every claim
	Browsers []string       `json:"browsers,omitempty"` // hashes of the arrivals that brought the code
	Session  string         `json:"session,omitempty"`  // landed: its session; held: the sessions in the question
	Operator string         `json:"operator,omitempty"` // landed: the operator
	Partner  string         `json:"partner,omitempty"`  // landed: the partner
	Token    string         `json:"token,omitempty"`    // landed: the sealed token
	Grant    string         `json:"grant,omitempty"`    // held: the sealed grant
	Until    time.Time      `json:"until,omitzero"`     // held: when the question expires
	Verdict  alipay.Outcome `json:"verdict,omitempty"`  // refused

	key string
	raw []byte
}

// ledger reads and writes the records of codes in Redis.
type ledger struct{ store *store.Store }

func (l *ledger) key(hash string) string { return l.store.Key(CodeKind, hash) }

func parseRecord(key string, raw []byte) (record, error) {
	e := record{key: key, raw: raw}
	if raw == nil {
		return e, nil
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return record{}, fmt.Errorf("%w: the ledger: %w", store.ErrUnavailable, err)
	}
	return e, nil
}

// look returns the ledger's record of a code. The state of the record is empty if there is none. It fails with
// store.ErrUnavailable.
func (l *ledger) look(ctx context.Context, hash string) (record, error) {
	raw, err := l.store.Get(ctx, l.key(hash))
	if err != nil {
		return record{}, err
	}
	return parseRecord(l.key(hash), raw)
}

// confirm returns when the required replicas have the record. It fails with store.ErrUnavailable.
func (l *ledger) confirm(ctx context.Context, e record) error { return l.store.Confirm(ctx, e.key) }

// swap replaces e with next. It returns the record that the ledger now contains, and whether this call wrote it.
func (l *ledger) swap(ctx context.Context, e, next record, ttl time.Duration) (record, bool, error) {
	return l.swapWith(ctx, e, next, ttl, nil, nil)
}

// swapWith is swap with a required command before it and optional ones after it.
func (l *ledger) swapWith(ctx context.Context, e, next record, ttl time.Duration, first, optional []redis.Cmder) (record, bool, error) {
	raw, err := json.Marshal(next)
	if err != nil {
		return record{}, false, err
	}
	cmd := store.NewSwap(ctx, e.key, e.raw, raw, ttl)
	if err := l.store.WriteWith(ctx, optional, append(first, cmd.SliceCmd)...); err != nil {
		return record{}, false, err
	}
	done, current, err := cmd.Swapped()
	if err != nil {
		return record{}, false, err
	}
	now, err := parseRecord(e.key, current)
	return now, done, err
}

// claim writes the claim if the ledger still contains e, and advances the logical clock in the same step.
func (l *ledger) claim(ctx context.Context, e, claim record, lease time.Duration, tick store.TickCmd, optional []redis.Cmder) (record, bool, error) {
	claim.State = open
	return l.swapWith(ctx, e, claim, lease, []redis.Cmder{tick.IntCmd}, optional)
}

// settle replaces the claim or held grant e with its outcome. It also writes the outcome if the ledger has no record of the
// code any more, because the lease ended or Redis restarted with empty data. It returns what swap returns.
func (l *ledger) settle(ctx context.Context, e, outcome record) (record, bool, error) {
	outcome.Owner = e.Owner
	if outcome.Browsers == nil {
		outcome.Browsers = e.Browsers
	}
	now, written, err := l.swap(ctx, e, outcome, settledFor)
	if err == nil && !written && now.State == "" {
		return l.swap(ctx, now, outcome, settledFor)
	}
	return now, written, err
}

// settleOwn is settle for the landing that owns the claim e and knows its outcome. It also replaces what another request has
// settled on its behalf, because the session that the other request found may have ended since, and the grant that another
// replica has stored in the meantime, because this landing has used the grant.
func (l *ledger) settleOwn(ctx context.Context, e, outcome record) (record, bool, error) {
	now, written, err := l.settle(ctx, e, outcome)
	if err == nil && !written && e.State == open && (now.Owner == e.Owner || now.State == held && outcome.State == landed) {
		return l.settle(ctx, now, outcome)
	}
	return now, written, err
}

// refuse writes a verdict. With the empty verdict, it releases the code.
func (l *ledger) refuse(ctx context.Context, e record, v alipay.Outcome) error {
	if v == "" {
		_, _, err := l.store.Swap(ctx, e.key, e.raw, nil, 0)
		return err
	}
	_, _, err := l.swap(ctx, e, record{State: refused, Owner: e.Owner, Verdict: v}, lifeOf(v))
	return err
}

// landedRecord returns the record of a code that has landed. The token is sealed, for a browser that returns.
func (l *Lander) landedRecord(v visit, h session.Held, partner string) record {
	return record{
		State:    landed,
		Session:  h.Session.Hash(),
		Operator: h.Session.OperatorID,
		Partner:  partner,
		Token:    l.sealer.Seal(session.SealToken, v.hash, []byte(h.Token)),
	}
}
