package alipay

import (
	"context"
	"time"
)

// impossibleCode is none that Koubei gives out.
const impossibleCode = "00000000000000000000000000000000"

// Probe is what a call with an impossible code found out.
type Probe struct {
	// Date is the gateway's clock by its Date header, zero when there was none; Skew is how far it is ahead of ours, to
	// about a second.
	Date time.Time
	Skew time.Duration

	TraceID string
}

// Probe asks the gateway once about a code that can't exist, to learn whether it knows and understands us. The error says
// what it answered and is never nil: ErrCodeNotExist, and ErrInvalidParameter, mean that all is well. Error.Advice has the
// cure for the others.
func (c *Client) Probe(ctx context.Context) (Probe, error) {
	ctx, cancel := context.WithTimeout(ctx, c.attemptTimeout)
	defer cancel()
	sent := c.now()
	a, err := c.send(ctx, newQuestion(queryMethod, bizContent{AuthType: "pay_member", Code: impossibleCode}), sent)
	received := c.now()
	if err == nil {
		if _, err = c.read(ctx, a); err == nil {
			err = untrusted("an operator for a code that can't exist")
		}
	}
	p := Probe{Date: a.date, TraceID: a.traceID}
	if !a.date.IsZero() {
		// The header has whole seconds, cut off: on average half of one is missing.
		p.Skew = a.date.Add(time.Second / 2).Sub(sent.Add(received.Sub(sent) / 2))
	}
	return p, finish(err, a, newSecrets(impossibleCode, c.appAuthToken))
}
