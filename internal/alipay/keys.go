package alipay

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// maxKeyText bounds what is read as a key; a 4096-bit key in PEM has 3.3 KiB.
const maxKeyText = 64 << 10

// ParsePrivateKey reads the application's RSA key: PKCS #1 or PKCS #8, in PEM or as the bare base64 that Alipay's key tool
// prints, with any white space anywhere. What it is, is judged by its content and not by its label, which people mix up.
// The error says what was given instead, and never quotes it.
func ParsePrivateKey(text string) (*rsa.PrivateKey, error) {
	der, err := keyBytes(text)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("private key: %s: give the application's RSA private key", whatIs(der))
		}
		rsaKey, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, errors.New("private key: a key, but not an RSA key: make an RSA pair with Alipay's key tool")
		}
		key = rsaKey
	}
	if bits := key.N.BitLen(); bits < minKeyBits {
		return nil, fmt.Errorf("private key: only %d bits: make a new pair of %d bits", bits, goodKeyBits)
	}
	return key, nil
}

// ParsePublicKey reads Alipay's RSA key: SubjectPublicKeyInfo or PKCS #1, otherwise like ParsePrivateKey.
func ParsePublicKey(text string) (*rsa.PublicKey, error) {
	der, err := keyBytes(text)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		parsed, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, fmt.Errorf("public key: %s: give Alipay's public key (支付宝公钥) from Alipay's console", whatIs(der))
		}
		rsaKey, ok := parsed.(*rsa.PublicKey)
		if !ok {
			return nil, errors.New("public key: a key, but not an RSA key: give Alipay's public key (支付宝公钥) from Alipay's console")
		}
		key = rsaKey
	}
	if bits := key.N.BitLen(); bits < minKeyBits {
		return nil, fmt.Errorf("public key: only %d bits: copy Alipay's public key again, whole", bits)
	}
	return key, nil
}

var armour = regexp.MustCompile(`-----\s*(BEGIN|END)\s[^-]*-----`)

// keyBytes returns the DER in text.
func keyBytes(text string) ([]byte, error) {
	lines := armour.FindAllString(text, -1)
	switch {
	case strings.TrimSpace(text) == "":
		return nil, errors.New("it is empty")
	case len(text) > maxKeyText:
		return nil, errors.New("too long to be one key")
	case strings.Contains(text, "ENCRYPTED"):
		return nil, errors.New("encrypted with a password: decrypt it first (openssl pkey -in KEY)")
	case len(lines) > 2:
		return nil, errors.New("more than one PEM block: give the one that is the key")
	}
	bare := stripSpace(armour.ReplaceAllString(text, ""))
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(bare, "="))
	if err != nil {
		return nil, errors.New("neither PEM nor base64: copy it again, whole (it begins with MI); a file's path needs the setting for files")
	}
	if len(der) == 0 {
		return nil, errors.New("nothing between the PEM lines: copy it again, whole")
	}
	return der, nil
}

// stripSpace removes white space, also invisible kinds that come with copying, and \n written out as in an environment
// file.
func stripSpace(text string) string {
	text = strings.NewReplacer(`\r`, "", `\n`, "").Replace(text)
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
}

// whatIs says what der is when it is not what it should be.
func whatIs(der []byte) string {
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return "an RSA private key"
	}
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return "a private key"
	}
	if _, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return "an RSA public key"
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return "a public key"
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return "an EC key, not an RSA key"
	}
	if _, err := x509.ParseCertificate(der); err == nil {
		return "a certificate"
	}
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return "a certificate request"
	}
	var encrypted struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if rest, err := asn1.Unmarshal(der, &encrypted); err == nil && len(rest) == 0 {
		return "a key encrypted with a password (decrypt it with openssl pkey)"
	}
	return "no key that can be read, perhaps cut short"
}
