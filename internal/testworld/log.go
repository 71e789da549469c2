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

// Log is a log at debug level, and what must not be in it.
type Log struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	secrets []string
}

// Logger writes to the log.
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

// KeepOut adds what must not be in the log. What is shorter than 16 bytes is no secret of ours: it would be found by chance.
func (l *Log) KeepOut(secrets ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range secrets {
		if len(s) >= 16 {
			l.secrets = append(l.secrets, s)
		}
	}
}

// Secrets are what was to be kept out.
func (l *Log) Secrets() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.secrets)
}

// Check fails the test when the log holds what was to be kept out, or one of these.
func (l *Log) Check(t testing.TB, secrets ...string) {
	t.Helper()
	CheckLog(t, l.String(), append(l.Secrets(), secrets...)...)
}

// CheckLog fails the test when what a process wrote holds a secret.
func CheckLog(t testing.TB, text string, secrets ...string) {
	t.Helper()
	found := Leaks(text, secrets...)
	for _, s := range found[:min(5, len(found))] {
		t.Errorf("the log holds a code, a token or a key: …%s…", around(text, s))
	}
	if len(found) > 5 {
		t.Errorf("the log holds %d of them", len(found))
	}
}

func around(text, s string) string {
	at := strings.Index(text, s)
	return text[max(0, at-80):min(len(text), at+len(s)+20)]
}

// stem is how much of a secret it is looked up by.
const stem = 8

// Leaks returns the secrets that a text holds, as they stand there: as they are, or as an address spells them. It reads the
// text once, however many secrets there are: a soak has a hundred thousand.
func Leaks(text string, secrets ...string) []string {
	begin, seen := map[string][]string{}, map[string]bool{}
	var found []string
	for _, s := range secrets {
		for _, spelling := range []string{s, url.QueryEscape(s)} {
			if spelling == "" || seen[spelling] {
				continue
			}
			seen[spelling] = true
			if len(spelling) >= stem {
				begin[spelling[:stem]] = append(begin[spelling[:stem]], spelling)
			} else if strings.Contains(text, spelling) {
				found = append(found, spelling)
			}
		}
	}
	for i := 0; i+stem <= len(text) && len(begin) > 0; i++ {
		for _, s := range begin[text[i:i+stem]] {
			if seen[s] && strings.HasPrefix(text[i:], s) {
				seen[s] = false // once is enough
				found = append(found, s)
			}
		}
	}
	return found
}

// fragment is long enough to be found by intent only.
const fragment = 32

// Fragments cuts a long secret into pieces, each of which is a leak: a line of a key is one, too.
func Fragments(secret string) []string {
	if len(secret) <= fragment {
		return []string{secret}
	}
	pieces := []string{secret[len(secret)-fragment:]}
	for i := 0; i+fragment <= len(secret); i += fragment {
		pieces = append(pieces, secret[i:i+fragment])
	}
	return pieces
}

// SecretsOf is what Koubei and the application share and no log may hold: every code that was handed out or asked about,
// and the keys.
func SecretsOf(k *koubeisim.Koubei) []string {
	secrets := slices.Concat(k.Issued(), Fragments(k.AlipayPublicKey()))
	for _, call := range k.Calls() {
		secrets = append(secrets, call.Code)
	}
	if text := k.AppPrivateKey(); text != "" {
		key, err := alipay.ParsePrivateKey(text)
		if err != nil {
			panic(err)
		}
		secrets = append(secrets, privateKey(key)...)
	}
	return secrets
}

// secretsIn are the secrets among a service's settings.
func secretsIn(c app.Config) []string {
	secrets := []string{c.Web.AdminToken, c.Alipay.AppAuthToken}
	for _, key := range append(slices.Clone(c.Session.SealKeys), c.Alipay.EncryptKey) {
		secrets = append(secrets, Spellings(key)...)
	}
	for _, key := range c.Assertions.Keys {
		secrets = append(secrets, privateKey(key)...)
	}
	if c.Alipay.PrivateKey != nil {
		secrets = append(secrets, privateKey(c.Alipay.PrivateKey)...)
	}
	return secrets
}

// privateKey is a private key as a file holds it, in pieces; an RSA key also in its older form, and its numbers as %v prints
// them.
func privateKey(key crypto.PrivateKey) []string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	secrets := Fragments(base64.StdEncoding.EncodeToString(der))
	if key, ok := key.(*rsa.PrivateKey); ok {
		secrets = append(secrets, Fragments(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key)))...)
		for _, n := range append(slices.Clone(key.Primes), key.D) {
			secrets = append(secrets, Fragments(n.String())...)
		}
	}
	return secrets
}

// Spellings are the ways in which careless code logs a key: as base64, as hexadecimal, as bytes, and as %v prints them.
func Spellings(key []byte) []string {
	return []string{base64.StdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key), hex.EncodeToString(key),
		string(key), strings.Trim(fmt.Sprint(key), "[]")}
}
