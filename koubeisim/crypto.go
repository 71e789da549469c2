package koubeisim

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for sign type RSA
	_ "crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
)

// must returns the value of a call that cannot fail with the arguments it is given.
func must[T any](value T, err error) T {
	if err != nil {
		panic("koubeisim: " + err.Error())
	}
	return value
}

// hashes are the hash functions of the sign types. The padding is always PKCS #1 v1.5.
var hashes = map[string]crypto.Hash{"RSA": crypto.SHA1, "RSA2": crypto.SHA256}

func digest(signType string, content []byte) []byte {
	h := hashes[signType].New()
	h.Write(content)
	return h.Sum(nil)
}

func sign(key *rsa.PrivateKey, signType string, content []byte) string {
	return base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(nil, key, hashes[signType], digest(signType, content))))
}

func verify(key *rsa.PublicKey, signType string, content []byte, signature string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(signature)
	return err == nil && rsa.VerifyPKCS1v15(key, hashes[signType], digest(signType, content), raw) == nil
}

func newKey() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

// parseKey parses an RSA key in PEM, whatever its label, or in bare base64.
func parseKey[K any](text, refusal string, pkcs1 func([]byte) (K, error), other func([]byte) (any, error)) (key K, err error) {
	var der []byte
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der = block.Bytes
	} else if der, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err != nil {
		return key, errors.New("a key is neither PEM nor base64") // the cause would quote the key
	}
	if key, err := pkcs1(der); err == nil {
		return key, nil
	}
	if parsed, err := other(der); err == nil {
		if key, ok := parsed.(K); ok {
			return key, nil
		}
	}
	return key, errors.New(refusal)
}

// Content encryption is AES in CBC mode with PKCS #7 padding and an IV of zeros. New has checked the key.

func encryptAES(key, plain []byte) string {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(must(aes.NewCipher(key)), make([]byte, aes.BlockSize)).CryptBlocks(padded, padded)
	return base64.StdEncoding.EncodeToString(padded)
}

func decryptAES(key []byte, text string) (string, bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) == 0 || len(raw)%aes.BlockSize != 0 {
		return "", false
	}
	cipher.NewCBCDecrypter(must(aes.NewCipher(key)), make([]byte, aes.BlockSize)).CryptBlocks(raw, raw)
	pad := int(raw[len(raw)-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.HasSuffix(raw, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return "", false
	}
	return string(raw[:len(raw)-pad]), true
}

const digits = "0123456789"

// randomText returns n characters of the alphabet, each equally likely.
func randomText(alphabet string, n int) string {
	limit := 256 / len(alphabet) * len(alphabet) // bytes from here on would favor some characters
	text := make([]byte, 0, n)
	for b := make([]byte, 1); len(text) < n; {
		rand.Read(b)
		if int(b[0]) < limit {
			text = append(text, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return string(text)
}
