package alipay

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// parseChain reads a PEM file of certificates, all of which must be readable.
func parseChain(file []byte) ([]*x509.Certificate, error) {
	ders, err := pemBlocks(file)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, errors.New("a certificate in the file can't be read")
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// leafOf returns the first certificate that issued none of the others; the order in the file tells nothing.
func leafOf(certs []*x509.Certificate) *x509.Certificate {
	i := slices.IndexFunc(certs, func(cert *x509.Certificate) bool {
		return !slices.ContainsFunc(certs, func(other *x509.Certificate) bool { return other != cert && issued(cert, other) })
	})
	return certs[max(i, 0)]
}

// chainTo returns leaf and, where one stands between them, the intermediate out of certs that leads to one of roots.
//
// It checks names and signatures, and no CA flags: the sandbox's intermediate has none, so crypto/x509's Verify refuses
// the real thing. Without flags any certificate could issue others, an ISV's own application certificate too; that is
// why there is at most one intermediate, issued by a root itself, which no application certificate is. A root's own
// signature is not looked at (one is SHA-1): roots are trusted because they were configured. Source: the official Java
// SDK, AntCertificationUtil.isTrusted.
func chainTo(leaf *x509.Certificate, certs, roots []*x509.Certificate) ([]*x509.Certificate, error) {
	if rooted(leaf, roots) {
		return []*x509.Certificate{leaf}, nil
	}
	for _, middle := range certs {
		if middle != leaf && issued(middle, leaf) && rooted(middle, roots) {
			return []*x509.Certificate{leaf, middle}, nil
		}
	}
	return nil, errors.New("it does not lead to a root of the root file")
}

func rooted(cert *x509.Certificate, roots []*x509.Certificate) bool {
	return slices.ContainsFunc(roots, func(root *x509.Certificate) bool { return issued(root, cert) })
}

// issued reports whether child names parent as its issuer and carries its signature.
func issued(parent, child *x509.Certificate) bool {
	return bytes.Equal(parent.RawSubject, child.RawIssuer) &&
		parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil
}

// checkDates fails unless every certificate of chain is valid at now.
func checkDates(chain []*x509.Certificate, now time.Time) error {
	for _, cert := range chain {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			return fmt.Errorf("a certificate that is valid from %s to %s only", date(cert.NotBefore), date(cert.NotAfter))
		}
	}
	return nil
}
