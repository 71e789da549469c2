package alipay

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

var errNoLeaf = errors.New("it holds only certificates of authorities")

// leafOf returns the certificate that the others lead to: the only one that issued none of the others. Self-signed roots
// may stand beside it. It fails if more than one certificate fits.
func leafOf(certs []*x509.Certificate) (*x509.Certificate, error) {
	var leaves []*x509.Certificate
	for _, cert := range certs {
		isIssuer := slices.ContainsFunc(certs, func(other *x509.Certificate) bool { return other != cert && issued(cert, other) })
		if !isIssuer {
			leaves = append(leaves, cert)
		}
	}
	if len(leaves) > 1 {
		leaves = slices.DeleteFunc(leaves, func(cert *x509.Certificate) bool { return bytes.Equal(cert.RawIssuer, cert.RawSubject) })
	}
	switch len(leaves) {
	case 0:
		return nil, errNoLeaf
	case 1:
		return leaves[0], nil
	}
	return nil, fmt.Errorf("it holds %d certificates that issued none of the others, so it is unclear which one to use", len(leaves))
}

// chainTo returns leaf and, if one stands between them, the intermediate from certs that leads to one of roots.
//
// It checks names and signatures, but no CA flags: the intermediate of the sandbox has none, so crypto/x509's Verify
// refuses it. Without flags any certificate could issue others, also the application certificate of an ISV. Therefore it
// allows at most one intermediate, which a root itself must have issued; no application certificate is issued by a root.
// It does not check a root's own signature (one is SHA-1): roots are trusted because they are configured. Source: the
// official Java SDK, AntCertificationUtil.isTrusted.
func chainTo(leaf *x509.Certificate, certs, roots []*x509.Certificate) ([]*x509.Certificate, error) {
	if rooted(leaf, roots) {
		return []*x509.Certificate{leaf}, nil
	}
	for _, middle := range certs {
		if middle != leaf && issued(middle, leaf) && rooted(middle, roots) {
			return []*x509.Certificate{leaf, middle}, nil
		}
	}
	return nil, errors.New("the certificate does not lead to a configured root")
}

func rooted(cert *x509.Certificate, roots []*x509.Certificate) bool {
	return slices.ContainsFunc(roots, func(root *x509.Certificate) bool { return issued(root, cert) })
}

// issued reports whether child names parent as its issuer and carries its signature.
func issued(parent, child *x509.Certificate) bool {
	return bytes.Equal(parent.RawSubject, child.RawIssuer) &&
		parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil
}
