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
	// maxBody bounds a response, on the wire and again after decompression. Real ones have about 700 bytes, and a
	// downloaded certificate chain has about 8 KiB.
	maxBody = 64 << 10

	maxDrain = 4 << 10 // of an unwanted body, so that the connection can be reused
)

// newTransport returns the connection pool for the gateway.
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
		DisableCompression:     true, // readBody decompresses, with a bound
	}
}

// send sends one HTTP request. It uses the transport without an http.Client, so it never follows a redirect, which would
// carry signed parameters to another host. It fails with ErrUnavailable if no whole response arrived, and with another error
// if the request could not be built.
func (c *Client) send(ctx context.Context, q call, at time.Time) (response, error) {
	params, err := c.params(q, at)
	if err != nil {
		return response{}, err
	}
	req, err := c.newRequest(ctx, params)
	if err != nil {
		return response{}, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return response{}, lost(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // an error would tell nothing

	r := response{
		status:      resp.StatusCode,
		contentType: resp.Header.Get("Content-Type"),
		traceID:     traceIDOf(resp.Header.Get("trace_id")),
	}
	r.date, _ = http.ParseTime(resp.Header.Get("Date")) // zero if there is none
	if r.status != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
		return r, nil
	}
	r.body, err = readBody(resp)
	if err != nil {
		return r, lost(ctx, err)
	}
	return r, nil
}

var errTooLarge = errors.New("the body is too large")

// readBody returns the decompressed body. The client never requests compression, but a proxy may add it.
func readBody(resp *http.Response) ([]byte, error) {
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return readBounded(resp.Body)
	case "gzip", "x-gzip":
		packed, err := readBounded(resp.Body)
		if err != nil {
			return nil, err
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		return readBounded(r)
	}
	return nil, errors.New("the body has a Content-Encoding that was not requested")
}

// readBounded reads all of r. It fails with errTooLarge above maxBody.
func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(b) > maxBody {
		err = errTooLarge
	}
	return b, err
}

// lost returns the error of a request that got no whole response.
func lost(ctx context.Context, err error) error {
	outcome, detail := OutcomeLost, err.Error()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		outcome, detail = OutcomeCancelled, "the caller canceled"
	case ctx.Err() != nil || isTimeout(err):
		outcome, detail = OutcomeTimeout, "no response in time"
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
