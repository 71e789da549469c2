package alipay

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
)

// BenchmarkExchange is one exchange without a network, to be held against BenchmarkSignVerify.
func BenchmarkExchange(b *testing.B) {
	c := newTestClient(b, testConfig(b))
	c.transport = answering(signedBy(b, privateKey(b, "keys/alipay_private_pkcs8.pem"), successNode))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Exchange(b.Context(), testCode); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignVerify is what an exchange can't do without: one signature made and one verified, with the same keys.
func BenchmarkSignVerify(b *testing.B) {
	own, theirs := privateKey(b, "keys/app_private_pkcs8.pem"), privateKey(b, "keys/alipay_private_pkcs8.pem")
	sum := sha256.Sum256([]byte(successNode))
	sig, err := rsa.SignPKCS1v15(nil, theirs, crypto.SHA256, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(nil, own, crypto.SHA256, sum[:]); err != nil {
			b.Fatal(err)
		}
		if err := rsa.VerifyPKCS1v15(&theirs.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead is the reading of an answer alone, verification included.
func BenchmarkRead(b *testing.B) {
	c := newTestClient(b, testConfig(b))
	body := []byte(signedBy(b, privateKey(b, "keys/alipay_private_pkcs8.pem"), successNode))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.read(b.Context(), answer{status: 200, contentType: "text/html;charset=utf-8", body: body}); err != nil {
			b.Fatal(err)
		}
	}
}
