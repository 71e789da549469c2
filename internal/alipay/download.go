package alipay

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"

	"koubei-landing/internal/pemfile"
)

const (
	downloadMethod = "alipay.open.app.alipaycert.download"
	downloadNode   = "alipay_open_app_alipaycert_download_response"
)

// downloadCertificate downloads the certificate with sn and its intermediate, because Alipay renews its certificates
// without notice. It retries within ctx, as an exchange does. If there was no usable response, it fails with
// ErrUnavailable, but the exchange that waits for it must not be retried: its code may be spent already.
func (c *Client) downloadCertificate(ctx context.Context, sn string) ([]*x509.Certificate, error) {
	dl := newCall(downloadMethod, certBizContent{SN: sn})
	var chain []*x509.Certificate
	err := c.withRetries(ctx, func(int) error {
		r, err := c.sendWithTimeout(ctx, dl, c.now())
		if err == nil {
			chain, err = c.readCertificate(r, sn)
		}
		return err
	})
	if err == nil {
		return chain, nil
	}
	e := asError(err)
	e.final, e.missingCert = true, true
	e.detail = downloadMethod + ": " + e.detail
	return nil, e
}

// readCertificate reads the response to a download. It does not check its signature, which may well belong to the key that
// the client does not have yet. The chain must lead to a configured root and be valid now, and the subject must be that of
// the configured certificate. Without the latter any certificate under that root would do, also that of an ISV.
func (c *Client) readCertificate(r response, sn string) ([]*x509.Certificate, error) {
	if r.status != http.StatusOK {
		return nil, unavailable(OutcomeNotGateway, "HTTP status %d", r.status)
	}
	body, err := decode(r.body, r.contentType, c.charset)
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
		return nil, untrusted("the gateway refused it with %s %s", m.code, m.subCode)
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

// verified returns the chain in content, base64 of a PEM file, if it can be trusted for sn.
func (c *Certificates) verified(content, sn string) ([]*x509.Certificate, error) {
	data, err := base64.StdEncoding.DecodeString(content)
	if err != nil {
		return nil, untrusted("alipay_cert_content is not base64")
	}
	certs, err := readCertificates(pemfile.File{Name: "alipay_cert_content", Data: data})
	if err != nil {
		return nil, untrusted("%s", err)
	}
	leaf := slices.IndexFunc(certs, func(cert *x509.Certificate) bool { return certificateSN(cert) == sn })
	if leaf < 0 {
		return nil, untrusted("the certificate has another SN than requested")
	}
	if !sameSubject(certs[leaf], c.chain[0]) {
		return nil, untrusted("the certificate has another subject than the configured one")
	}
	chain, err := chainTo(certs[leaf], certs, c.roots)
	if err != nil {
		return nil, untrusted("%s", err)
	}
	return chain, nil
}

// sameSubject compares the names as text, because a renewed certificate may encode the same string in another way.
func sameSubject(a, b *x509.Certificate) bool {
	return distinguishedName(a.RawSubject) == distinguishedName(b.RawSubject)
}
