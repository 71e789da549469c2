package alipay

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// After a failed download, the client does not request the same SN again for refusedFor, or for lostFor if the gateway was
	// unavailable.
	refusedFor = 10 * time.Minute
	lostFor    = 10 * time.Second

	// maxRefused bounds the refused SNs that are kept, and so the downloads in that time. SNs are not signed, so without a
	// bound a forger could cause any number of downloads.
	maxRefused = 8
)

// trust holds the keys that responses may be signed with: one fixed key, or the keys of certificates by their SN.
type trust struct {
	publicKey    *rsa.PublicKey // public key mode
	certificates *Certificates  // certificate mode
	now          func() time.Time
	download     func(ctx context.Context, sn string) ([]*x509.Certificate, error)

	flight  singleflight.Group
	mu      sync.Mutex
	chains  map[string][]*x509.Certificate // by the SN of Alipay's certificate; only chains to a configured root
	refused map[string]refusal
}

// refusal says why the certificate with an SN is not downloaded again before until.
type refusal struct {
	until time.Time
	err   error
}

func newTrust(key *rsa.PublicKey, certs *Certificates, now func() time.Time,
	download func(context.Context, string) ([]*x509.Certificate, error),
) *trust {
	t := &trust{publicKey: key, certificates: certs, now: now, download: download, refused: map[string]refusal{}}
	if certs != nil {
		t.chains = map[string][]*x509.Certificate{certs.alipaySN: certs.chain}
	}
	return t
}

// key returns the key that must have signed a response that names sn. In certificate mode an empty sn means the configured
// certificate: some signed errors name none, and the caller accepts nothing else without one. It fails with ErrUntrusted if
// sn names no certificate that can be trusted, and with ErrUnavailable if that could not be found out.
func (t *trust) key(ctx context.Context, sn string) (*rsa.PublicKey, error) {
	if t.certificates == nil {
		return t.publicKey, nil
	}
	if sn == "" {
		sn = t.certificates.alipaySN
	}
	if !validSN(sn) {
		return nil, untrusted("alipay_cert_sn is malformed")
	}
	chain, err := t.chain(ctx, sn)
	if err != nil {
		return nil, err
	}
	if err := checkDates(chain, t.now()); err != nil {
		return nil, untrusted("signed with %s", err)
	}
	return rsaKey(chain[0])
}

func rsaKey(cert *x509.Certificate) (*rsa.PublicKey, error) {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minKeyBits {
		return nil, untrusted("signed with a certificate that has no usable RSA key")
	}
	return key, nil
}

// chain returns the certificate with sn and its intermediate. It downloads an unknown one once for all callers.
func (t *trust) chain(ctx context.Context, sn string) ([]*x509.Certificate, error) {
	if chain, err := t.known(sn); chain != nil || err != nil {
		return chain, err
	}
	ch := t.flight.DoChan(sn, func() (any, error) {
		if chain, err := t.known(sn); chain != nil || err != nil {
			return chain, err // another call has downloaded it meanwhile
		}
		// One canceled caller does not stop the download for the others, but the first caller's deadline bounds it.
		shared := context.WithoutCancel(ctx)
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			shared, cancel = context.WithDeadline(shared, deadline)
			defer cancel()
		}
		chain, err := t.download(shared, sn)
		t.store(sn, chain, err)
		return chain, err
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return nil, copyOf(r.Err)
		}
		return r.Val.([]*x509.Certificate), nil
	case <-ctx.Done():
		return nil, lost(ctx, ctx.Err())
	}
}

// known returns the chain of sn, or the error that another download would give, or neither.
func (t *trust) known(sn string) ([]*x509.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if chain := t.chains[sn]; chain != nil {
		return chain, nil
	}
	now := t.now()
	for other, r := range t.refused {
		if !now.Before(r.until) {
			delete(t.refused, other)
		}
	}
	if r, ok := t.refused[sn]; ok {
		return nil, copyOf(r.err)
	}
	if len(t.refused) >= maxRefused {
		e := untrusted("too many responses named unknown certificates, so no more are downloaded for now")
		e.missingCert = true
		return nil, e
	}
	return nil, nil
}

func (t *trust) store(sn string, chain []*x509.Certificate, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.chains[sn] = chain
	case errors.Is(err, ErrUnavailable):
		t.refused[sn] = refusal{t.now().Add(lostFor), err}
	default:
		t.refused[sn] = refusal{t.now().Add(refusedFor), err}
	}
}

// copyOf returns a copy of err, because every attempt adds its own trace id and details to its error.
func copyOf(err error) error {
	e := *asError(err)
	return &e
}

// validSN reports whether sn is 32 digits of lower-case hex.
func validSN(sn string) bool {
	if len(sn) != 32 {
		return false
	}
	for i := range len(sn) {
		if (sn[i] < '0' || sn[i] > '9') && (sn[i] < 'a' || sn[i] > 'f') {
			return false
		}
	}
	return true
}
