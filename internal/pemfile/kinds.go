package pemfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
)

// ErrSM2 is wrapped by Block.Certificate's error for a certificate with a key of the Chinese standard SM2, which Go
// cannot read. Alipay's root bundle holds one.
var ErrSM2 = errors.New("SM2 certificate")

// Found says what the content of a block is, with its article, so that it can stand in a sentence.
type Found string

// What a block may be found to be. The content decides, not the label, which people mix up.
const (
	Certificate        Found = "a certificate"
	PrivateKey         Found = "a private key"
	PublicKey          Found = "a public key"
	EncryptedKey       Found = "a private key encrypted with a password"
	SM2Certificate     Found = "an SM2 certificate"
	CertificateRequest Found = "a certificate request"
	RevocationList     Found = "a certificate revocation list"
	PKCS7              Found = "a PKCS #7 bundle"
	TrustedCertificate Found = "a certificate with OpenSSL's trust settings"
	Parameters         Found = "key parameters"
	OpenSSHKey         Found = "a key in OpenSSH's own format"
	DER                Found = "binary (DER)"
)

// fixes says how to make use of what was found.
var fixes = map[Found]string{
	EncryptedKey:       "decrypt it: openssl pkey -in FILE -out NEWFILE",
	PKCS7:              "convert it: openssl pkcs7 -print_certs -in FILE -out NEWFILE",
	TrustedCertificate: "convert it: openssl x509 -in FILE -out NEWFILE",
	CertificateRequest: "use the certificate that was issued for this request",
}

// byLabel names the blocks that are not recognized by their content.
var byLabel = map[string]Found{
	"EC PARAMETERS":       Parameters,
	"DSA PARAMETERS":      Parameters,
	"DH PARAMETERS":       Parameters,
	"OPENSSH PRIVATE KEY": OpenSSHKey,
	"TRUSTED CERTIFICATE": TrustedCertificate,
	"PKCS7":               PKCS7,
	"CMS":                 PKCS7,
}

// not returns the error for a block that is something else than was wanted.
func (b Block) not(found Found, wanted string) *Error {
	e := b.Refuse("it is " + string(found))
	if wanted != "" {
		e.Reason += ", not " + wanted
	}
	e.Found, e.Fix = found, fixes[found]
	return e
}

// Certificate returns the certificate in the block. It fails with an *Error that says what the block is instead, or that
// wraps ErrSM2.
func (b Block) Certificate() (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(b.DER)
	if err == nil {
		return cert, nil
	}
	if isSM2(b.DER) {
		e := b.not(SM2Certificate, "one with an RSA or EC key")
		e.cause = ErrSM2
		return nil, e
	}
	return nil, b.isNot(Certificate)
}

// PrivateKey returns the private key in the block: PKCS #1, PKCS #8 or SEC 1. It fails with an *Error that says what the
// block is instead.
func (b Block) PrivateKey() (crypto.Signer, error) {
	if key := privateKey(b.DER); key != nil {
		return key, nil
	}
	return nil, b.isNot(PrivateKey)
}

// PublicKey returns the public key in the block: SubjectPublicKeyInfo or PKCS #1. It fails with an *Error that says what
// the block is instead.
func (b Block) PublicKey() (crypto.PublicKey, error) {
	if key := publicKey(b.DER); key != nil {
		return key, nil
	}
	return nil, b.isNot(PublicKey)
}

func privateKey(der []byte) crypto.Signer {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil
	}
	signer, _ := key.(crypto.Signer) // nil for X25519, which signs nothing
	return signer
}

func publicKey(der []byte) crypto.PublicKey {
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return key
	}
	return nil
}

// KeyName returns how messages name a key: "an RSA key", "an EC key", "an Ed25519 key".
func KeyName(key any) string {
	switch key.(type) {
	case *rsa.PrivateKey, *rsa.PublicKey:
		return "an RSA key"
	case *ecdsa.PrivateKey, *ecdsa.PublicKey:
		return "an EC key"
	case ed25519.PrivateKey, ed25519.PublicKey:
		return "an Ed25519 key"
	}
	return "a key of another kind"
}

// isNot returns the error for a block that is not what was wanted.
func (b Block) isNot(wanted Found) *Error {
	if found := b.found(); found != "" {
		return b.not(found, string(wanted))
	}
	return b.Refuse("its content is damaged or cut short")
}

// found returns what the block is, empty if that is unknown.
func (b Block) found() Found {
	if privateKey(b.DER) != nil {
		return PrivateKey
	}
	if publicKey(b.DER) != nil {
		return PublicKey
	}
	if _, err := x509.ParseCertificate(b.DER); err == nil {
		return Certificate
	}
	if _, err := x509.ParseCertificateRequest(b.DER); err == nil {
		return CertificateRequest
	}
	if _, err := x509.ParseRevocationList(b.DER); err == nil {
		return RevocationList
	}
	switch {
	case isSM2(b.DER):
		return SM2Certificate
	case isEncryptedKey(b.DER):
		return EncryptedKey
	case isPKCS7(b.DER):
		return PKCS7
	}
	return byLabel[b.Label]
}

// encryptedPrivateKeyInfo is PKCS #8's (RFC 5958).
type encryptedPrivateKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

func isEncryptedKey(der []byte) bool {
	var info encryptedPrivateKeyInfo
	rest, err := asn1.Unmarshal(der, &info)
	return err == nil && len(rest) == 0
}

func isPKCS7(der []byte) bool {
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional"`
	}
	rest, err := asn1.Unmarshal(der, &info)
	return err == nil && len(rest) == 0 && len(info.Type) > 6 && info.Type[:6].Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7})
}

// sm2Curve is the encoded object identifier 1.2.156.10197.1.301.
var sm2Curve = []byte{0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d}

// isSM2 reports whether der is a whole certificate with an SM2 key. It is read by hand because crypto/x509 refuses it.
func isSM2(der []byte) bool {
	var cert struct {
		TBS struct {
			Version  int `asn1:"optional,explicit,default:0,tag:0"`
			Serial   asn1.RawValue
			Sig      pkix.AlgorithmIdentifier
			Issuer   asn1.RawValue
			Validity asn1.RawValue
			Subject  asn1.RawValue
			Key      struct {
				Algorithm pkix.AlgorithmIdentifier
				Bits      asn1.BitString
			}
			Rest []asn1.RawValue `asn1:"optional,explicit,tag:3"`
		}
		Sig   pkix.AlgorithmIdentifier
		Value asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &cert)
	return err == nil && len(rest) == 0 && bytes.Equal(cert.TBS.Key.Algorithm.Parameters.FullBytes, sm2Curve)
}
