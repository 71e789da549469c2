package alipay

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"
)

const (
	downloadMethod = "alipay.open.app.alipaycert.download"
	downloadNode   = "alipay_open_app_alipaycert_download_response"
)

// downloadCertificate fetches the certificate with sn, with its intermediate: Alipay renews its certificates without
// telling us. It keeps trying within ctx, as an exchange does. It fails with ErrUnavailable, for good, where no answer
// could be had: what waits for it must not spend its code again meanwhile.
func (c *Client) downloadCertificate(ctx context.Context, sn string) ([]*x509.Certificate, error) {
	q := newQuestion(downloadMethod, certBizContent{SN: sn})
	var chain []*x509.Certificate
	err := c.persist(ctx, func(bool) error {
		a, err := c.ask(ctx, q, c.now())
		if err == nil {
			chain, err = c.readCertificate(a, sn)
		}
		return err
	})
	if err == nil {
		return chain, nil
	}
	e := asError(err)
	e.final = true
	e.detail = "fetching the certificate that the answer names: " + e.detail
	return nil, e
}

// readCertificate reads the answer to a download. Its own signature is not looked at - it may well be of the key that we
// don't have yet. All trust comes from the chain, which must lead to a configured root and be valid now, and from the
// subject: it must be that of the configured certificate, or any certificate that Alipay ever issued under that root would
// do, an ISV's own one too.
func (c *Client) readCertificate(a answer, sn string) ([]*x509.Certificate, error) {
	if a.status != http.StatusOK {
		return nil, unavailable(OutcomeNotGateway, "HTTP status %d", a.status)
	}
	body, err := decode(a.body, a.contentType, c.charset)
	if err != nil {
		return nil, err
	}
	env, err := openEnvelope(body.text, downloadNode)
	if err != nil {
		return nil, err
	}
	text := body.text[env.node.start:env.node.end]
	if env.kind == '"' {
		if text, err = c.decryptNode(text); err != nil {
			return nil, untrusted("%s", err)
		}
	}
	m, err := parseMessage(text)
	if err != nil {
		return nil, untrusted("%s", detailOf(err))
	}
	if m.code == codeUnknown || m.code == codeLimited {
		return nil, unavailable(OutcomeBusy, "%s %s", m.code, m.subCode)
	}
	if m.code != codeSuccess || env.isError {
		return nil, untrusted("refused with %s %s", m.code, m.subCode)
	}
	chain, err := c.trust.certificates.verified(m.certContent, sn)
	if err != nil {
		return nil, err
	}
	if err := checkDates(chain, c.now()); err != nil {
		return nil, untrusted("%s", err)
	}
	return chain, nil
}

// verified returns the chain in content, base64 of a PEM file, if it is one to trust for sn.
func (c *Certificates) verified(content, sn string) ([]*x509.Certificate, error) {
	file, err := base64.StdEncoding.DecodeString(content)
	if err != nil {
		return nil, untrusted("alipay_cert_content is not base64")
	}
	certs, err := parseChain(file)
	if err != nil {
		return nil, untrusted("%s", err)
	}
	leaf := slices.IndexFunc(certs, func(cert *x509.Certificate) bool {
		other, err := certificateSN(cert.Raw)
		return err == nil && other == sn
	})
	if leaf < 0 {
		return nil, untrusted("the certificate is not the one asked for")
	}
	if !sameSubject(certs[leaf], c.chain[0]) {
		return nil, untrusted("the certificate is of another holder than the configured one")
	}
	chain, err := chainTo(certs[leaf], certs, c.roots)
	if err != nil {
		return nil, untrusted("%s", err)
	}
	return chain, nil
}

// sameSubject compares names as text: a renewal may encode the same string in another way.
func sameSubject(a, b *x509.Certificate) bool {
	x, errX := distinguishedName(a.RawSubject)
	y, errY := distinguishedName(b.RawSubject)
	return errX == nil && errY == nil && x == y
}
