package alipay

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // SignType RSA
	_ "crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// SignType selects the algorithm for the signatures of requests and responses.
type SignType string

// The sign types: PKCS #1 v1.5 with SHA-256 and with SHA-1.
const (
	RSA2 SignType = "RSA2"
	RSA  SignType = "RSA"
)

func (t SignType) hash() crypto.Hash {
	if t == RSA {
		return crypto.SHA1
	}
	return crypto.SHA256
}

// param is one request parameter. A parameter with an empty value is neither signed nor sent.
type param struct{ name, value string }

// canonical returns the string to sign: all parameters that have a value, sorted by name in byte order, with raw values. It
// includes sign_type, which only asynchronous notifications omit. A parameter that is sent empty but not signed breaks the
// signature (yansongda/pay#148). Source: the official Java SDK, AlipaySignature.getSignContent.
func canonical(params []param) string {
	sorted := slices.SortedFunc(slices.Values(params), func(a, b param) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	for _, p := range sorted {
		if p.value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}

// sign returns the base64 signature over content, encoded in charset.
func sign(key *rsa.PrivateKey, hash crypto.Hash, charset Charset, content string) (string, error) {
	b, err := charset.encode(content)
	if err != nil {
		return "", err
	}
	sig, err := rsa.SignPKCS1v15(nil, key, hash, digest(hash, b))
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// verify fails unless signature, in base64, is a signature with key over the raw bytes of node. It returns what the
// signature covers: if the node does not verify, it tries once more with every \/ replaced by /, as the Java, .NET and PHP
// SDKs do.
func verify(key *rsa.PublicKey, hash crypto.Hash, node decoded, signature string) (decoded, error) {
	if strings.ContainsAny(signature, "\r\n") { // encoding/base64 skips them
		return decoded{}, untrusted("the signature is not base64")
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(signature)
	if err != nil {
		return decoded{}, untrusted("the signature is not base64")
	}
	if rsa.VerifyPKCS1v15(key, hash, digest(hash, node.raw), sig) == nil {
		return node, nil
	}
	if plain, ok := node.withoutSlashEscapes(); ok && rsa.VerifyPKCS1v15(key, hash, digest(hash, plain.raw), sig) == nil {
		return plain, nil
	}
	return decoded{}, untrusted("the signature is wrong")
}

func digest(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}
