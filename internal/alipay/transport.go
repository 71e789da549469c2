package alipay

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// maxBody bounds an answer, on the wire and again after inflating. Real ones have about 700 bytes; a downloaded
	// certificate chain has about 8 KiB.
	maxBody = 64 << 10

	maxDrain = 4 << 10 // of a body that we don't want, so that its connection can be used again
)

// newTransport returns the pool of connections to the gateway.
func newTransport(maxConns int) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxConns,
		MaxIdleConnsPerHost:    maxConns,
		MaxConnsPerHost:        maxConns,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // inflated in readBody, where it is bounded
	}
}

// send makes one HTTP call. It uses the transport without an http.Client, so no redirect is ever followed: signed
// parameters don't leave for another host. It fails with ErrUnavailable.
func (c *Client) send(ctx context.Context, q question, at time.Time) (answer, error) {
	params, err := c.params(q, at)
	if err != nil {
		return answer{}, err
	}
	req, err := c.newRequest(ctx, params)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return answer{}, lost(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing to learn from it any more

	a := answer{
		status:      resp.StatusCode,
		contentType: resp.Header.Get("Content-Type"),
		traceID:     traceIDOf(resp.Header.Get("trace_id")),
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.date = date
	}
	if a.status != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
		return a, nil
	}
	a.body, err = readBody(resp)
	if err != nil {
		return a, lost(ctx, err)
	}
	return a, nil
}

var errTooLarge = errors.New("the body is too large")

// readBody returns the body, inflated. We never ask for compression, but something in between may add it.
func readBody(resp *http.Response) ([]byte, error) {
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return readBounded(resp.Body, resp.ContentLength)
	case "gzip", "x-gzip":
		packed, err := readBounded(resp.Body, resp.ContentLength)
		if err != nil {
			return nil, err
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		return readBounded(r, -1)
	}
	return nil, errors.New("the body has an encoding that we didn't ask for")
}

// readBounded reads all of r; length is its expected size, or negative. More than maxBody is an error.
func readBounded(r io.Reader, length int64) ([]byte, error) {
	if length > maxBody {
		return nil, errTooLarge
	}
	var b bytes.Buffer
	b.Grow(int(max(length, 1<<10)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, err
	}
	if n > maxBody {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

// lost is an exchange of which no whole answer arrived.
func lost(ctx context.Context, err error) error {
	outcome, detail := OutcomeLost, err.Error()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		outcome, detail = OutcomeCancelled, "the caller went away"
	case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || isTimeout(err):
		outcome, detail = OutcomeTimeout, "no answer in time"
	case errors.Is(err, errTooLarge):
		outcome = OutcomeNotGateway
	}
	e := unavailable(outcome, "%s", detail)
	e.cause = context.Cause(ctx)
	return e
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
