package testworld

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/koubeisim"
)

// Log collects log lines or a program's output, and the secrets that they must not contain.
type Log struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	secrets []string
}

// Logger returns a logger at debug level that writes to the log.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// KeepOut adds secrets that the log must not contain. It ignores strings of less than 16 bytes, which occur by chance and are
// never secrets of the service.
func (l *Log) KeepOut(secrets ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < 16 })...)
}

// Secrets returns all secrets that were given to KeepOut.
func (l *Log) Secrets() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.secrets)
}

// Check fails the test if the log contains one of these secrets or of those given to KeepOut.
func (l *Log) Check(t testing.TB, secrets ...string) {
	t.Helper()
	CheckLog(t, l.String(), append(l.Secrets(), secrets...)...)
}

// CheckLog fails the test if the text contains a secret.
func CheckLog(t testing.TB, text string, secrets ...string) {
	t.Helper()
	found := Leaks(text, secrets...)
	for _, s := range found[:min(5, len(found))] {
		at := strings.Index(text, s)
		t.Errorf("the log holds a code, a token or a key, one of %d: …%s", len(found), text[max(0, at-80):at+len(s)])
	}
}

// Leaks returns the secrets that a text contains, unchanged or escaped for a URL. It ignores secrets of less than four bytes,
// and reads the text once, because a soak has a hundred thousand secrets.
func Leaks(text string, secrets ...string) []string {
	const stem = 4
	var found []string
	begin := map[string][]string{} // the secrets by their first bytes
	for _, s := range secrets {
		for _, spelling := range []string{s, url.QueryEscape(s)} {
			if len(spelling) >= stem {
				begin[spelling[:stem]] = append(begin[spelling[:stem]], spelling)
			}
		}
	}
	for i := range max(0, len(text)-stem+1) {
		for _, s := range begin[text[i:i+stem]] {
			if strings.HasPrefix(text[i:], s) && !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
	}
	return found
}

// Fragments cuts a long secret into pieces, because a part of a key, such as one line, is a leak, too.
func Fragments(secret string) []string {
	const size = 32 // long enough not to occur by chance
	pieces := []string{secret[max(0, len(secret)-size):]}
	for i := 0; i+size <= len(secret); i += size {
		pieces = append(pieces, secret[i:i+size])
	}
	return pieces
}

// SecretsOf returns what no log may contain of a Koubei: every code that it issued or was asked about, and the keys.
func SecretsOf(k *koubeisim.Koubei) []string {
	secrets := slices.Concat(k.Issued(), Fragments(k.AlipayPublicKey()))
	for _, call := range k.Calls() {
		secrets = append(secrets, call.Code)
	}
	if text := k.AppPrivateKey(); text != "" {
		secrets = append(secrets, privateKey(must(alipay.ParsePrivateKey(text)))...)
	}
	return secrets
}

// secretsIn returns the secrets among a service's settings.
func secretsIn(c app.Config) []string {
	secrets := []string{c.Web.AdminToken, c.Alipay.AppAuthToken}
	for _, key := range append(slices.Clone(c.Session.SealKeys), c.Alipay.EncryptKey) {
		secrets = append(secrets, Spellings(key)...)
	}
	for _, key := range append(slices.Clone(c.Assertions.Keys), c.Alipay.PrivateKey) {
		secrets = append(secrets, privateKey(key)...)
	}
	return secrets
}

// privateKey returns pieces of a private key in all its forms: PKCS #8, and for an RSA key PKCS #1 and its numbers as %v prints
// them.
func privateKey(key crypto.PrivateKey) []string {
	secrets := Fragments(base64.StdEncoding.EncodeToString(must(x509.MarshalPKCS8PrivateKey(key))))
	if key, ok := key.(*rsa.PrivateKey); ok {
		secrets = append(secrets, Fragments(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key)))...)
		for _, n := range append(slices.Clone(key.Primes), key.D) {
			secrets = append(secrets, Fragments(n.String())...)
		}
	}
	return secrets
}

// Spellings returns a key in the forms in which code might log it: base64, hexadecimal, bytes, and bytes as %v prints them.
func Spellings(key []byte) []string {
	return []string{base64.StdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key), hex.EncodeToString(key),
		string(key), strings.Trim(fmt.Sprint(key), "[]")}
}
