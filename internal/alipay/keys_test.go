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
	"regexp"
	"strings"
	"testing"
)

func TestEveryFormOfAKey(t *testing.T) {
	t.Parallel()
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
		"bag attributes":   "Bag Attributes\n    localKeyID: 54 69\nKey Attributes: <No Attributes>\n" + pkcs8,
		"comments":         "# 应用私钥\n" + pkcs8 + "# end\n",
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

// Each row is a mistake that users make.
func TestKeysRefused(t *testing.T) {
	t.Parallel()
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
	// Go creates no keys with a password.
	encrypted, err := exec.Command("openssl", "pkcs8", "-topk8", "-v2", "aes-128-cbc", "-passout", "pass:x", "-in", "testdata/vectors/keys/app_private_pkcs1.pem").Output()
	if err != nil {
		t.Fatalf("openssl: %v", err)
	}
	encryptedDER, _ := pem.Decode(encrypted)

	// Different mistakes have different explanations.
	explained := map[string]bool{}
	for _, text := range []string{"", whole[:len(whole)/2], file("certs/app_cert.crt"), file("keys/alipay_public.b64"), b64(ecPKCS8)} {
		_, err := ParsePrivateKey(text)
		explained[err.Error()] = true
	}
	for _, text := range []string{"", whole[:len(whole)/2], file("certs/app_cert.crt"), b64(ecPublic)} {
		_, err := ParsePublicKey(text)
		explained[err.Error()] = true
	}
	if len(explained) != 9 {
		t.Errorf("got %d explanations of 9 mistakes: %v", len(explained), explained)
	}

	type accepted struct{ private, public bool }
	for _, tt := range []struct {
		name, text string
		is         accepted
	}{
		{"nothing", " \n", accepted{}},
		{"a path", "/etc/keys/app.pem", accepted{}},
		{"half", whole[:len(whole)/2], accepted{}},
		{"in quotes", `"` + strings.TrimSpace(whole) + `"`, accepted{}},
		{"PEM lines alone", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", accepted{}},
		{"two keys", file("keys/app_private_pkcs8.pem") + file("keys/app_private_pkcs1.pem"), accepted{}},
		{"public key", file("keys/alipay_public.b64"), accepted{public: true}},
		{"PKCS #1 public key", file("keys/alipay_public_pkcs1.pem"), accepted{public: true}},
		{"private key", whole, accepted{private: true}},
		{"PKCS #1 private key", file("keys/app_private_pkcs1.b64"), accepted{private: true}},
		{"certificate", file("certs/app_cert.crt"), accepted{}},
		{"certificate chain", file("certs/alipay_cert_chain.crt"), accepted{}},
		{"certificate request", b64(request), accepted{}},
		{"EC key", b64(ecPKCS8), accepted{}},
		{"EC key, SEC 1", b64(ecSEC1), accepted{}},
		{"EC public key", b64(ecPublic), accepted{}},
		{"encrypted", string(encrypted), accepted{}},
		{"encrypted, bare", b64(encryptedDER.Bytes), accepted{}},
		{"too long", strings.Repeat("A", 1<<20+1), accepted{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParsePrivateKey(tt.text); tt.is.private && err != nil {
				t.Errorf("the private key: got %v", err)
			} else if !tt.is.private {
				checkRefused(t, err, privateKeySetting, tt.text)
			}
			if _, err := ParsePublicKey(tt.text); tt.is.public && err != nil {
				t.Errorf("the public key: got %v", err)
			} else if !tt.is.public {
				checkRefused(t, err, publicKeySetting, tt.text)
			}
		})
	}
}

// checkRefused fails unless err is a problem of a setting that does not quote the refused text.
func checkRefused(t *testing.T, err error, name, text string) {
	t.Helper()
	checkProblem(t, err, name)
	if quotes(err.Error(), text) {
		t.Errorf("the error quotes the key: %v", err)
	}
}

var armor = regexp.MustCompile(`-----(BEGIN|END)[^-]*-----`)

// quotes reports whether message holds 16 characters in a row of the base64 in text.
func quotes(message, text string) bool {
	bare := stripSpace(armor.ReplaceAllString(text[:min(len(text), 64<<10)], ""))
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
	_, err = ParsePrivateKey(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key)))
	checkProblem(t, err, privateKeySetting)
	_, err = ParsePublicKey(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey)))
	checkProblem(t, err, publicKeySetting)
	cfg := testConfig(t)
	cfg.PrivateKey = key
	_, err = New(cfg)
	checkProblem(t, err, privateKeySetting)
}

func TestParseEncryptKey(t *testing.T) {
	t.Parallel()
	if key, err := ParseEncryptKey(" ABEiM0RVZneImaq7zN3u/w==\n"); err != nil || len(key) != 16 {
		t.Errorf("got %d bytes, %v", len(key), err)
	}
	for _, text := range []string{"", "ABEiM0RVZneImaq7zN3u", "***"} {
		_, err := ParseEncryptKey(text)
		checkProblem(t, err, encryptKeySetting)
		if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}
