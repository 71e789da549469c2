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
	"fmt"
)

// ErrSM2 is wrapped by Block.Certificate's error for a certificate with a key of the Chinese standard SM2, which Go
// cannot read. Alipay's root bundle holds one.
var ErrSM2 = errors.New("it is an SM2 certificate, which this service cannot use")

// kind says what the content of a block is, judged by the content and not by the label, which people mix up.
type kind struct {
	name string // with its article: "a certificate"
	fix  string // how to make use of it; may be empty
}

var encryptedKey = kind{"a private key encrypted with a password", "decrypt it: openssl pkey -in FILE -out NEWFILE"}

func (b Block) encrypted() *Error {
	return b.refuse("it is "+encryptedKey.name, encryptedKey.fix)
}

// Certificate returns the certificate in the block. It fails with an *Error that says what the block is instead, or that
// wraps ErrSM2.
func (b Block) Certificate() (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(b.DER)
	if err == nil {
		return cert, nil
	}
	if isSM2(b.DER) {
		e := b.refuse(ErrSM2.Error(), "")
		e.cause = ErrSM2
		return nil, e
	}
	return nil, b.notA("a certificate")
}

// PrivateKey returns the private key in the block: PKCS #1, PKCS #8 or SEC 1. It fails with an *Error that says what the
// block is instead.
func (b Block) PrivateKey() (crypto.Signer, error) {
	if key := privateKey(b.DER); key != nil {
		return key, nil
	}
	return nil, b.notA("a private key")
}

// PublicKey returns the public key in the block: SubjectPublicKeyInfo or PKCS #1. It fails with an *Error that says what
// the block is instead.
func (b Block) PublicKey() (crypto.PublicKey, error) {
	if key := publicKey(b.DER); key != nil {
		return key, nil
	}
	return nil, b.notA("a public key")
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

// notA is the error for a block that is not what was wanted.
func (b Block) notA(wanted string) *Error {
	k, ok := b.kind()
	if !ok {
		return b.refuse("its content is damaged or cut short", copyAgain)
	}
	return b.refuse(fmt.Sprintf("it is %s, not %s", k.name, wanted), k.fix)
}

// labels names blocks that are not told by their content.
var labels = map[string]kind{
	"EC PARAMETERS":       {"EC parameters", ""},
	"DSA PARAMETERS":      {"DSA parameters", ""},
	"DH PARAMETERS":       {"DH parameters", ""},
	"OPENSSH PRIVATE KEY": {"a key in OpenSSH's format", "make one with: openssl genpkey"},
	"OPENSSH PUBLIC KEY":  {"a key in OpenSSH's format", ""},
	"TRUSTED CERTIFICATE": {"a certificate with OpenSSL's trust settings", "convert it: openssl x509 -in FILE -out NEWFILE"},
	"DSA PRIVATE KEY":     {"a DSA key", ""},
	"X509 CRL":            {"a revocation list", ""},
	"PKCS7":               {"a PKCS #7 bundle", pkcs7Fix},
	"CMS":                 {"a PKCS #7 bundle", pkcs7Fix},
}

const pkcs7Fix = "convert it: openssl pkcs7 -print_certs -in FILE -out NEWFILE"

// kind tells what the block is; false if that is unknown.
func (b Block) kind() (kind, bool) {
	if key := privateKey(b.DER); key != nil {
		return kind{name: "a private key"}, true
	}
	if key := publicKey(b.DER); key != nil {
		return kind{name: "a public key"}, true
	}
	if _, err := x509.ParseCertificate(b.DER); err == nil {
		return kind{name: "a certificate"}, true
	}
	if _, err := x509.ParseCertificateRequest(b.DER); err == nil {
		return kind{name: "a certificate request", fix: "use the certificate that was issued for it"}, true
	}
	if _, err := x509.ParseRevocationList(b.DER); err == nil {
		return labels["X509 CRL"], true
	}
	if isSM2(b.DER) {
		return kind{name: "an SM2 certificate"}, true
	}
	if isEncryptedKey(b.DER) {
		return encryptedKey, true
	}
	if isPKCS7(b.DER) {
		return labels["PKCS7"], true
	}
	k, ok := labels[b.Label]
	return k, ok
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
