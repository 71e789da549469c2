package alipay

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"syscall"
	"testing"
	"time"
)

// BenchmarkExchange measures one exchange without a network, for comparison with BenchmarkSignVerify.
func BenchmarkExchange(b *testing.B) {
	exchange := exchanging(b)
	b.ReportAllocs()
	for b.Loop() {
		exchange()
	}
}

func exchanging(b *testing.B) func() {
	c := newTestClient(b, testConfig(b))
	c.transport = answering(signedBy(b, privateKey(b, "keys/alipay_private_pkcs8.pem"), successNode))
	return func() {
		if _, err := c.Exchange(b.Context(), testCode); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExchangeOverSignVerify compares the CPU time of both. They alternate within one run, so that a busy machine
// affects both equally. It fails if an exchange costs more than maxOverBare times its bare signatures.
func BenchmarkExchangeOverSignVerify(b *testing.B) {
	const maxOverBare, turn = 1.15, 8
	exchange, bare := exchanging(b), signingAndVerifying(b)
	var exchanges, bares time.Duration
	for b.Loop() {
		for range turn {
			bares += cpuOf(b, bare)
			exchanges += cpuOf(b, exchange)
		}
	}
	ratio := float64(exchanges) / float64(bares)
	b.ReportMetric(ratio, "x-bare")
	b.ReportMetric(float64(exchanges.Nanoseconds())/float64(b.N*turn), "cpu-ns/exchange")
	b.ReportMetric(float64(bares.Nanoseconds())/float64(b.N*turn), "cpu-ns/bare")
	b.ReportMetric(0, "ns/op") // of both together, which is meaningless
	if enough := 500; b.N*turn >= enough && ratio > maxOverBare {
		b.Errorf("an exchange takes %.3f times the CPU of its bare signatures, want at most %.2f", ratio, maxOverBare)
	}
}

// cpuOf returns the CPU time that f takes, including its garbage collection.
func cpuOf(b *testing.B, f func()) time.Duration {
	before := cpu(b)
	f()
	return cpu(b) - before
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSignVerify is the minimum of an exchange: one signature made and one verified, with the same keys.
func BenchmarkSignVerify(b *testing.B) {
	bare := signingAndVerifying(b)
	b.ReportAllocs()
	for b.Loop() {
		bare()
	}
}

func signingAndVerifying(b *testing.B) func() {
	own, theirs := privateKey(b, "keys/app_private_pkcs8.pem"), privateKey(b, "keys/alipay_private_pkcs8.pem")
	sum := sha256.Sum256([]byte(successNode))
	sig, err := rsa.SignPKCS1v15(nil, theirs, crypto.SHA256, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if _, err := rsa.SignPKCS1v15(nil, own, crypto.SHA256, sum[:]); err != nil {
			b.Fatal(err)
		}
		if err := rsa.VerifyPKCS1v15(&theirs.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads and verifies one response.
func BenchmarkRead(b *testing.B) {
	c := newTestClient(b, testConfig(b))
	body := []byte(signedBy(b, privateKey(b, "keys/alipay_private_pkcs8.pem"), successNode))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.read(b.Context(), response{status: 200, contentType: "text/html;charset=utf-8", body: body}); err != nil {
			b.Fatal(err)
		}
	}
}
