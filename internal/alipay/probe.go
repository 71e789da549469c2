package alipay

import (
	"context"
	"time"

	"koubei-landing/internal/operator"
)

// impossibleCode is a code that Koubei never issues.
const impossibleCode = "00000000000000000000000000000000"

// Probe is the result of a call with an impossible code.
type Probe struct {
	// Date is the Date header of the response, zero when there was none. Skew is how far the gateway's clock is ahead of
	// this machine's, to about a second.
	Date time.Time
	Skew time.Duration

	TraceID string
}

// Probe calls the gateway once with a code that cannot exist, to find out whether it knows the application and accepts its
// signature. The error says what the gateway responded and is never nil: ErrCodeNotExist, ErrCodeExpired and
// ErrInvalidParameter mean that the keys and the application are right. Error.Advice says what to do about the others.
func (c *Client) Probe(ctx context.Context) (Probe, error) {
	ctx, cancel := context.WithTimeout(ctx, c.attemptTimeout)
	defer cancel()
	sent := c.now()
	r, err := c.send(ctx, newCall(queryMethod, bizContent{AuthType: operator.AuthType, Code: impossibleCode}), sent)
	received := c.now()
	if err == nil {
		if _, err = c.read(ctx, r); err == nil {
			err = untrusted("an operator for a code that cannot exist")
		}
	}
	p := Probe{Date: r.date, TraceID: r.traceID}
	if !r.date.IsZero() {
		// The header has whole seconds, rounded down: on average half a second is missing.
		p.Skew = r.date.Add(time.Second / 2).Sub(sent.Add(received.Sub(sent) / 2))
	}
	return p, finish(err, r, newSecrets(impossibleCode, c.appAuthToken))
}
