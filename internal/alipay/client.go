package alipay

import (
	"context"
	"crypto/cipher"
	"crypto/rsa"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/setting"
)

const (
	maxAttempts  = 5
	firstBackoff = 200 * time.Millisecond // doubled after every attempt
)

// Client calls the gateway. It is safe for concurrent use.
type Client struct {
	appID          string
	gateway        *url.URL
	privateKey     *rsa.PrivateKey
	trust          *trust
	block          cipher.Block // nil without content encryption
	appAuthToken   string
	signType       SignType
	charset        Charset
	timeout        time.Duration
	attemptTimeout time.Duration
	now            func() time.Time
	onAttempt      func(Attempt)
	tracer         trace.Tracer
	transport      http.RoundTripper
	warnings       []setting.Problem
}

// Warnings returns what New accepted but an administrator should know.
func (c *Client) Warnings() []setting.Problem { return c.warnings }

// Exchange returns the grant behind code. It makes one attempt after another, and fails with an *Error of one of the kinds.
// It retries only after ErrUnavailable, and only while Config.Timeout and ctx leave time for a useful attempt.
func (c *Client) Exchange(ctx context.Context, code string) (operator.Grant, error) {
	if !operator.IsCode(code) {
		return operator.Grant{}, rejected("the code is empty, too long, or not visible ASCII, so it was not sent")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	query := newCall(queryMethod, bizContent{AuthType: operator.AuthType, Code: code})
	hide := newSecrets(code, c.appAuthToken)

	var grant operator.Grant
	err := c.withRetries(ctx, func(n int) error {
		var err error
		grant, err = c.attempt(ctx, n, query, hide)
		return err
	})
	return grant, err
}

// withRetries calls try with the number of the attempt, from 1, until try succeeds, fails permanently, or no time is left for
// another attempt. All retries of this package are here.
func (c *Client) withRetries(ctx context.Context, try func(n int) error) error {
	if !c.fits(ctx, 0) {
		e := unavailable(OutcomeTimeout, "no time left for an attempt")
		e.cause = ctx.Err()
		return e
	}
	for n := 1; ; n++ {
		err := try(n)
		if err == nil || n == maxAttempts || !retryable(err) || !c.pause(ctx, n) {
			return err
		}
	}
}

func retryable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && errors.Is(e.kind, ErrUnavailable) && !e.final
}

// pause waits before the attempt after the nth. It returns false at once when that attempt would not fit.
func (c *Client) pause(ctx context.Context, n int) bool {
	wait := backoff(n)
	if !c.fits(ctx, wait) {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backoff returns how long to wait after the nth attempt: 75 % to 125 % of a doubling time. The jitter spreads replicas
// that failed at the same time.
func backoff(n int) time.Duration {
	d := firstBackoff << (n - 1)
	return d*3/4 + rand.N(d/2)
}

// fits reports whether, after wait, at least half of an attempt's timeout is left.
func (c *Client) fits(ctx context.Context, wait time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline)-wait >= c.attemptTimeout/2
}

// attempt sends the nth request, reads the response and reports the attempt.
func (c *Client) attempt(ctx context.Context, n int, query call, hide secrets) (operator.Grant, error) {
	ctx, span := c.tracer.Start(ctx, queryMethod, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	began, sent := time.Now(), c.now()
	r, err := c.sendWithTimeout(ctx, query, sent)
	var grant operator.Grant
	if err == nil {
		// The timeout of the attempt is over: downloading a certificate must not lose the response.
		grant, err = c.read(ctx, r)
	}
	if err == nil {
		grant.AppID, grant.ExchangedAt = c.appID, sent
	} else {
		err = finish(err, r, hide)
	}
	if span.IsRecording() {
		span.SetAttributes(attribute.String("alipay.outcome", string(outcomeOf(err))), attribute.String("alipay.trace_id", hide.strip(r.traceID)),
			attribute.Bool("alipay.retry", n > 1))
		if err != nil {
			span.SetStatus(codes.Error, string(outcomeOf(err)))
		}
	}
	if c.onAttempt != nil {
		c.onAttempt(Attempt{Outcome: outcomeOf(err), Duration: time.Since(began), TraceID: hide.strip(r.traceID), Retry: n > 1})
	}
	return grant, err
}

// sendWithTimeout sends a call with the timeout of one attempt.
func (c *Client) sendWithTimeout(ctx context.Context, q call, at time.Time) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.attemptTimeout)
	defer cancel()
	return c.send(ctx, q, at)
}

// finish adds the trace id to err and removes secrets from its texts.
func finish(err error, r response, hide secrets) *Error {
	e := asError(err)
	e.TraceID = r.traceID
	hide.clean(e)
	return e
}
