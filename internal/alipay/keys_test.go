package alipay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"
)

func TestEveryFormOfAKey(t *testing.T) {
	want := privateKey(t, "keys/app_private_pkcs8.pem")
	relabel := func(s, from, to string) string { return strings.ReplaceAll(s, from, to) }
	pkcs1, pkcs8 := string(vectorFile(t, "keys/app_private_pkcs1.pem")), string(vectorFile(t, "keys/app_private_pkcs8.pem"))
	bare := string(vectorFile(t, "keys/app_private_pkcs8.b64"))
	for name, text := range map[string]string{
		"pkcs1":            pkcs1,
		"pkcs8":            pkcs8,
		"bare pkcs1":       string(vectorFile(t, "keys/app_private_pkcs1.b64")),
		"bare pkcs8":       bare,
		"wrong label":      relabel(pkcs1, "RSA PRIVATE KEY", "PRIVATE KEY"),
		"other label":      relabel(pkcs8, "PRIVATE KEY", "RSA PRIVATE KEY"),
		"CRLF":             relabel(pkcs8, "\n", "\r\n"),
		"one line":         relabel(pkcs8, "\n", " "),
		"no line breaks":   relabel(pkcs8, "\n", ""),
		"escaped breaks":   relabel(pkcs8, "\n", `\n`),
		"byte order mark":  "\ufeff" + bare,
		"no-break spaces":  "\u00a0" + bare[:100] + "\u00a0\t\u200b" + bare[100:],
		"without padding":  strings.TrimRight(strings.TrimSpace(bare), "="),
		"broken in places": bare[:7] + "\n\n" + bare[7:],
	} {
		if got, err := ParsePrivateKey(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, name := range []string{"app_public.pem", "app_public.b64", "app_public_pkcs1.pem"} {
		text := string(vectorFile(t, "keys/"+name))
		for _, text := range []string{text, relabel(text, "RSA PUBLIC", "PUBLIC"), relabel(text, "\n", `\n`)} {
			if got, err := ParsePublicKey(text); err != nil || !got.Equal(want.Public()) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

// Each row is something that people do give, and what the message must say.
func TestKeysThatAreNone(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecPKCS8, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	ecSEC1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	ecPublic, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ec)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	file := func(name string) string { return string(vectorFile(t, name)) }
	whole := file("keys/app_private_pkcs8.b64")
	// Go makes no password-protected keys.
	openssl := func(args ...string) string {
		out, err := exec.Command("openssl", args...).Output()
		if err != nil {
			t.Fatalf("openssl %s: %v", args[0], err)
		}
		return string(out)
	}
	encrypted := openssl("pkcs8", "-topk8", "-v2", "aes-128-cbc", "-passout", "pass:x", "-in", "testdata/vectors/keys/app_private_pkcs1.pem")
	encryptedDER, _ := pem.Decode([]byte(encrypted))

	tests := []struct {
		name, text      string
		private, public string // in the message; empty: that is a key
	}{
		{"nothing", " \n", "empty", "empty"},
		{"a path", "/etc/keys/app.pem", "copy it again", "copy it again"},
		{"half", whole[:len(whole)/2], "cut short", "cut short"},
		{"PEM lines alone", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", "nothing between", "nothing between"},
		{"public key", file("keys/alipay_public.b64"), "a public key", ""},
		{"PKCS #1 public key", file("keys/alipay_public_pkcs1.pem"), "an RSA public key", ""},
		{"private key", whole, "", "a private key"},
		{"PKCS #1 private key", file("keys/app_private_pkcs1.b64"), "", "an RSA private key"},
		{"certificate", file("certs/app_cert.crt"), "a certificate", "a certificate"},
		{"certificate chain", file("certs/alipay_cert_chain.crt"), "more than one PEM block", "more than one PEM block"},
		{"certificate request", b64(request), "a certificate request", "a certificate request"},
		{"EC key", b64(ecPKCS8), "not an RSA key", "a private key"},
		{"EC key, SEC 1", b64(ecSEC1), "an EC key", "an EC key"},
		{"EC public key", b64(ecPublic), "a public key", "not an RSA key"},
		{"encrypted", encrypted, "encrypted with a password", "encrypted with a password"},
		{"encrypted, bare", b64(encryptedDER.Bytes), "encrypted with a password", "encrypted with a password"},
		{"too long", strings.Repeat("A", 100_000), "too long", "too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParsePrivateKey(tt.text)
			checkKeyError(t, err, tt.private, tt.text)
			_, err = ParsePublicKey(tt.text)
			checkKeyError(t, err, tt.public, tt.text)
		})
	}
}

func checkKeyError(t *testing.T, err error, want, text string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("got %v", err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
		return
	}
	if quotes(err.Error(), text) {
		t.Errorf("quotes the key: %v", err)
	}
}

// quotes reports whether message holds 16 characters in a row of the base64 in text.
func quotes(message, text string) bool {
	bare := stripSpace(armour.ReplaceAllString(text, ""))
	for i := 0; i+16 <= len(bare); i++ {
		if strings.Contains(message, bare[i:i+16]) {
			return true
		}
	}
	return false
}

func TestShortKeysAreRefused(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePrivateKey(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key))); err == nil || !strings.Contains(err.Error(), "512 bits") {
		t.Errorf("got %v", err)
	}
	if _, err := ParsePublicKey(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey))); err == nil || !strings.Contains(err.Error(), "512 bits") {
		t.Errorf("got %v", err)
	}
	cfg := testConfig(t)
	cfg.PrivateKey = key
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "512 bits") {
		t.Errorf("got %v", err)
	}
}

func TestParseEncryptKey(t *testing.T) {
	if key, err := ParseEncryptKey(" ABEiM0RVZneImaq7zN3u/w==\n"); err != nil || len(key) != 16 {
		t.Errorf("got %d bytes, %v", len(key), err)
	}
	for _, text := range []string{"", "ABEiM0RVZneImaq7zN3u", "***"} {
		if _, err := ParseEncryptKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
