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
)

const (
	maxAttempts  = 5
	firstBackoff = 200 * time.Millisecond // doubled for every further one
	maxCode      = 32                     // characters of a code, by the documentation
)

// Client asks the gateway. It is safe for concurrent use.
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
	warnings       []string
}

// Warnings returns what New noticed that is no reason to refuse: one sentence each, with its cure.
func (c *Client) Warnings() []string { return c.warnings }

// Exchange asks who stands behind code. It makes one attempt after another, and fails with an *Error of one of the kinds.
// Only ErrUnavailable is tried again, and only while there is time for a useful attempt within Config.Timeout and ctx.
func (c *Client) Exchange(ctx context.Context, code string) (operator.Grant, error) {
	if code == "" || len(code) > maxCode || !visibleASCII(code) {
		return operator.Grant{}, rejected("the code is empty, longer than %d characters, or not visible ASCII; nothing was sent", maxCode)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	q := newQuestion(queryMethod, bizContent{AuthType: "pay_member", Code: code})
	hide := newSecrets(code, c.appAuthToken)

	var grant operator.Grant
	err := c.persist(ctx, func(retry bool) error {
		var err error
		grant, err = c.attempt(ctx, q, hide, retry)
		return err
	})
	return grant, err
}

// persist calls try until it succeeds, fails for good, or no time is left for another attempt. This is the only place
// that tries again.
func (c *Client) persist(ctx context.Context, try func(retry bool) error) error {
	if !c.fits(ctx, 0) {
		e := unavailable(OutcomeTimeout, "no time left for an attempt")
		e.cause = ctx.Err()
		return e
	}
	for n := 1; ; n++ {
		err := try(n > 1)
		if err == nil || n == maxAttempts || !retryable(err) || !c.pause(ctx, n) {
			return err
		}
	}
}

func retryable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.kind == ErrUnavailable && !e.final
}

// pause waits before the attempt after the nth. It reports false, at once, when that attempt would not fit.
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

// backoff returns how long to wait after the nth attempt: three to five quarters of a doubling time, so that replicas
// that failed together don't return together.
func backoff(n int) time.Duration {
	d := firstBackoff << (n - 1)
	return d*3/4 + rand.N(d/2)
}

// fits reports whether, after wait, at least half of an attempt's time is left.
func (c *Client) fits(ctx context.Context, wait time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline)-wait >= c.attemptTimeout/2
}

// attempt asks once and reports it.
func (c *Client) attempt(ctx context.Context, q question, hide secrets, retry bool) (operator.Grant, error) {
	ctx, span := c.tracer.Start(ctx, queryMethod, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	began, sent := time.Now(), c.now()
	a, err := c.ask(ctx, q, sent)
	var grant operator.Grant
	if err == nil {
		// Within the whole budget: a certificate that is still to be fetched must not cost the answer.
		grant, err = c.read(ctx, a)
	}
	if err == nil {
		grant.AppID, grant.ExchangedAt = c.appID, sent
	} else {
		err = finish(err, a, hide)
	}
	if span.IsRecording() {
		span.SetAttributes(attribute.String("alipay.outcome", string(outcomeOf(err))), attribute.String("alipay.trace_id", hide.strip(a.traceID)),
			attribute.Bool("alipay.retry", retry))
		if err != nil {
			span.SetStatus(codes.Error, string(outcomeOf(err)))
		}
	}
	if c.onAttempt != nil {
		c.onAttempt(Attempt{Outcome: outcomeOf(err), Duration: time.Since(began), TraceID: hide.strip(a.traceID), Retry: retry, Err: err})
	}
	return grant, err
}

// ask sends q with the time-out of one attempt.
func (c *Client) ask(ctx context.Context, q question, at time.Time) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.attemptTimeout)
	defer cancel()
	return c.send(ctx, q, at)
}

// finish makes err fit to be shown.
func finish(err error, a answer, hide secrets) *Error {
	e := asError(err)
	e.TraceID = a.traceID
	hide.clean(e)
	return e
}
