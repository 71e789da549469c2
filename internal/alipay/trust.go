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
	// How long a certificate that we couldn't get is not asked for again: when there was an answer, and when there was none.
	refusedFor = 10 * time.Minute
	lostFor    = 10 * time.Second

	// maxRefused bounds how many unknown SNs are remembered, and so looked into, at a time. SNs are not signed: without a
	// bound a forger could make us fetch without end.
	maxRefused = 8
)

// trust holds the keys that answers may be signed with: one fixed key, or the keys of certificates by their SN.
type trust struct {
	publicKey    *rsa.PublicKey // key mode
	certificates *Certificates  // certificate mode
	now          func() time.Time
	download     func(ctx context.Context, sn string) ([]*x509.Certificate, error)

	flight  singleflight.Group
	mu      sync.Mutex
	chains  map[string][]*x509.Certificate // by the leaf's SN; grows by what a configured root stands for
	refused map[string]refusal
}

// refusal is why an SN is not asked for until then.
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

// key returns the key that an answer naming sn must be signed with. In certificate mode it fails with ErrUntrusted where
// sn names no certificate that we can trust, and with ErrUnavailable where that couldn't be found out.
func (t *trust) key(ctx context.Context, sn string) (*rsa.PublicKey, error) {
	if t.certificates == nil {
		return t.publicKey, nil
	}
	if !validSN(sn) {
		return nil, untrusted("alipay_cert_sn is missing or malformed")
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
		return nil, untrusted("a certificate without a usable RSA key")
	}
	return key, nil
}

// chain returns the certificate with sn and its intermediate, fetched if need be: once for all who wait for it.
func (t *trust) chain(ctx context.Context, sn string) ([]*x509.Certificate, error) {
	if chain, err := t.known(sn); chain != nil || err != nil {
		return chain, err
	}
	ch := t.flight.DoChan(sn, func() (any, error) {
		if chain, err := t.known(sn); chain != nil || err != nil {
			return chain, err // meanwhile
		}
		// Others may wait for this: one who leaves doesn't stop it, but its time is bounded by the first one's budget.
		shared := context.WithoutCancel(ctx)
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			shared, cancel = context.WithDeadline(shared, deadline)
			defer cancel()
		}
		chain, err := t.download(shared, sn)
		t.remember(sn, chain, err)
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

// known returns the chain of sn, or the error that asking again would give, or neither.
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
		return nil, untrusted("too many unknown certificates of late")
	}
	return nil, nil
}

func (t *trust) remember(sn string, chain []*x509.Certificate, err error) {
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

// copyOf returns an error of one's own: every attempt adds its trace id and what it heard.
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
