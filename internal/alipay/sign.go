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

// SignType fixes the algorithm of both the request's signature and the answer's.
type SignType string

// The sign types: PKCS #1 v1.5 over SHA-256 and over SHA-1.
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

// param is one request parameter; an empty value means that there is none.
type param struct{ name, value string }

// canonical returns the string to sign: what has a value, sorted by name in byte order, values raw. sign_type is part of
// it; only asynchronous notifications leave it out. Empty values are left out, and must not be sent either
// (yansongda/pay#148). Source: the official Java SDK, AlipaySignature.getSignContent.
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

// sign returns the base64 signature over the bytes of content in charset.
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

// verify fails unless signature, in base64, is key's over the raw bytes of node. It returns what the signature covers: a
// node that doesn't verify is tried once more with its \/ written as /, as the Java, .NET and PHP SDKs do.
func verify(key *rsa.PublicKey, hash crypto.Hash, node decoded, signature string) (decoded, error) {
	if strings.ContainsAny(signature, "\r\n") { // which the base64 package skips
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
