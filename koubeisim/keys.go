package koubeisim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for sign type RSA
	_ "crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
)

// digests are the hashes behind the sign types; the padding is PKCS#1 v1.5 for both.
var digests = map[string]crypto.Hash{"RSA": crypto.SHA1, "RSA2": crypto.SHA256}

func sign(key *rsa.PrivateKey, signType string, content []byte) string {
	hash := digests[signType]
	h := hash.New()
	h.Write(content)
	signature, err := rsa.SignPKCS1v15(nil, key, hash, h.Sum(nil))
	if err != nil {
		panic("koubeisim: sign: " + err.Error()) // an RSA-2048 key of ours can always sign
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func verify(key *rsa.PublicKey, signType string, content []byte, signature string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(signature)
	if err != nil {
		return false
	}
	hash := digests[signType]
	h := hash.New()
	h.Write(content)
	return rsa.VerifyPKCS1v15(key, hash, h.Sum(nil), raw) == nil
}

func freshKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("koubeisim: generate key: " + err.Error()) // the system has no randomness: nothing to go on with
	}
	return key
}

func marshalPrivate(key *rsa.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("koubeisim: marshal key: " + err.Error())
	}
	return der
}

func marshalPublic(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic("koubeisim: marshal key: " + err.Error())
	}
	return der
}

func bareBase64(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

func parsePublicKey(text string) (*rsa.PublicKey, error) {
	der, err := keyBytes(text)
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		if key, ok := key.(*rsa.PublicKey); ok {
			return key, nil
		}
	}
	return nil, errors.New("the app's public key is not an RSA public key (SubjectPublicKeyInfo or PKCS#1)")
}

func parsePrivateKey(text string) (*rsa.PrivateKey, error) {
	der, err := keyBytes(text)
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if key, ok := key.(*rsa.PrivateKey); ok {
			return key, nil
		}
	}
	return nil, errors.New("the app's private key is not an RSA private key (PKCS#8 or PKCS#1)")
}

// keyBytes takes PEM, whatever its label, or bare base64 with any white space in it.
func keyBytes(text string) ([]byte, error) {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return block.Bytes, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, errors.New("a key is neither PEM nor base64") // the cause would quote the key
	}
	return der, nil
}
