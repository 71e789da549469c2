package alipay

import (
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"

	"koubei-landing/internal/pemfile"
	"koubei-landing/internal/setting"
)

const (
	privateKeyFix = "give the application's RSA private key: PEM, or the base64 that Alipay's key tool prints, which begins with MI"
	publicKeyFix  = "give Alipay's public key (支付宝公钥) from Alipay's console: PEM, or base64, which begins with MI"
)

// ParsePrivateKey reads the application's RSA key: PKCS #1 or PKCS #8, in PEM or as the bare base64 that Alipay's key tool
// prints. It fails with a setting.Problem that says what was given instead.
func ParsePrivateKey(text string) (*rsa.PrivateKey, error) {
	block, err := keyBlock(text)
	if err != nil {
		return nil, pemfile.Setting(privateKeySetting, err, privateKeyFix)
	}
	key, err := block.PrivateKey()
	if err != nil {
		return nil, pemfile.Setting(privateKeySetting, err, privateKeyFix)
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, setting.Bad(privateKeySetting, "is "+pemfile.KeyName(key), "create an RSA key pair with Alipay's key tool")
	}
	if bits := rsaKey.N.BitLen(); bits < minKeyBits {
		return nil, shortKey(bits)
	}
	return rsaKey, nil
}

func shortKey(bits int) setting.Problem {
	return setting.Bad(privateKeySetting, fmt.Sprintf("has only %d bits", bits),
		fmt.Sprintf("create a new key pair of %d bits and upload its public key in Alipay's console", goodKeyBits))
}

// ParsePublicKey reads Alipay's RSA key: SubjectPublicKeyInfo or PKCS #1, in PEM or as bare base64. It fails with a
// setting.Problem that says what was given instead.
func ParsePublicKey(text string) (*rsa.PublicKey, error) {
	block, err := keyBlock(text)
	if err != nil {
		return nil, pemfile.Setting(publicKeySetting, err, publicKeyFix)
	}
	key, err := block.PublicKey()
	if err != nil {
		return nil, pemfile.Setting(publicKeySetting, err, publicKeyFix)
	}
	rsaKey, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, setting.Bad(publicKeySetting, "is "+pemfile.KeyName(key), publicKeyFix)
	}
	if bits := rsaKey.N.BitLen(); bits < minKeyBits {
		return nil, setting.Bad(publicKeySetting, fmt.Sprintf("has only %d bits", bits), publicKeyFix)
	}
	return rsaKey, nil
}

func keyBlock(text string) (pemfile.Block, error) {
	return pemfile.File{Data: []byte(text)}.KeyBlock()
}

// privateKeyProblem returns nil if the key can sign.
func privateKeyProblem(key *rsa.PrivateKey) *setting.Problem {
	var p setting.Problem
	switch {
	case key == nil || key.N == nil:
		p = setting.Bad(privateKeySetting, "is missing", privateKeyFix)
	case key.N.BitLen() < minKeyBits:
		p = shortKey(key.N.BitLen())
	case key.Validate() != nil:
		p = setting.Bad(privateKeySetting, "is damaged", "copy the whole key again")
	default:
		return nil
	}
	return &p
}

const encryptKeySize = 16

// ParseEncryptKey reads the AES key for content encryption as Alipay's console shows it: base64 of 16 bytes. It fails with
// a setting.Problem.
func ParseEncryptKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(stripSpace(text))
	if err != nil || len(key) != encryptKeySize {
		return nil, setting.Bad(encryptKeySetting, fmt.Sprintf("is not base64 of %d bytes", encryptKeySize),
			"copy the AES key of the application from Alipay's console")
	}
	return key, nil
}

// stripSpace removes white space, and the invisible characters that come along with copying.
func stripSpace(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
}
