package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestNothingSecretIsWritten runs the real program with every secret at debug level, through all usual failures. Its output
// must not contain a code, a token, a password or a key.
func TestNothingSecretIsWritten(t *testing.T) {
	t.Parallel()
	s := startWithSecrets(t)
	t.Run("landings", s.land)
	t.Run("codes in wrong requests", s.sendCodes)
	t.Run("right and wrong admin tokens", s.sendAdminTokens)
	t.Run("Redis stops and forgets the password", s.restartRedis)
	s.Signal(syscall.SIGTERM)
	if err := s.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, text := range []string{`"result":"landed"`, `"level":"WARN"`, `"route":"/koubei/callback"`, "WRONGPASS"} {
		if !strings.Contains(s.Log.String(), text) {
			t.Errorf("the log does not contain %s, so a part of the test did not run:\n%s", text, s.Log.String())
		}
	}
	s.Log.Check(t, testworld.SecretsOf(s.koubei)...)
}

const (
	secretPassword = "redis-redis-redis-redis"
	secretAdmin    = "admin-admin-admin-admin-admin-admin"
	secretAppAuth  = "202601BBappauthappauthX40"
	secretAES      = "aes-key-of-16-by"
	secretSeal     = "seal-key-of-thirty-two-bytes-123"
)

// withSecrets is the real program with every secret.
type withSecrets struct {
	*testworld.Server
	koubei *koubeisim.Koubei
	redis  *testworld.Redis
}

func startWithSecrets(t *testing.T) *withSecrets {
	t.Helper()
	s := &withSecrets{redis: testworld.StartRedis(t)}
	s.setPassword(t)
	c := settingsFor(t, koubeisim.Options{EncryptKey: []byte(secretAES)})
	s.koubei = c.koubei
	assertion := assertionKey(t)
	file := filepath.Join(t.TempDir(), "assertion-keys.pem")
	if err := os.WriteFile(file, []byte(assertion), 0o600); err != nil {
		t.Fatal(err)
	}
	maps.Copy(c.env, map[string]string{
		"PUBLIC_LISTEN": "127.0.0.1:0", "INTERNAL_LISTEN": "127.0.0.1:0", "LOG_LEVEL": "debug", "FORWARD_AUTH_CODE": "true", "CALLBACK_RATE": "0",
		"REDIS_URL":   strings.Replace(s.redis.URL(), "redis://", "redis://koubei:"+secretPassword+"@", 1),
		"ADMIN_TOKEN": secretAdmin, "SEAL_KEYS": base64.StdEncoding.EncodeToString([]byte(secretSeal)), "ASSERTION_KEYS_FILE": file,
		"ALIPAY_ENCRYPT_KEY": base64.StdEncoding.EncodeToString([]byte(secretAES)), "ALIPAY_APP_AUTH_TOKEN": secretAppAuth,
		"ALIPAY_TIMEOUT": "2s", "ALIPAY_ATTEMPT_TIMEOUT": "1s",
	})
	s.Server = startProgram(t, c.env)
	if err := s.koubei.SetLandingURL(s.Public + "/koubei/callback"); err != nil {
		t.Fatal(err)
	}
	s.Log.KeepOut(secretPassword, secretAdmin, secretAppAuth)
	s.Log.KeepOut(append(testworld.Spellings([]byte(secretSeal)), testworld.Spellings([]byte(secretAES))...)...)
	for _, line := range strings.Split(assertion, "\n") {
		if !strings.HasPrefix(line, "---") {
			s.Log.KeepOut(testworld.Fragments(line)...)
		}
	}
	return s
}

// setPassword gives the service's user its password, which a restarted Redis does not have.
func (s *withSecrets) setPassword(t *testing.T) {
	t.Helper()
	if err := s.redis.Client.Do(t.Context(), "ACL", "SETUSER", "koubei", "on", ">"+secretPassword, "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
}

// browser returns a browser whose cookies the log must not contain.
func (s *withSecrets) browser(t *testing.T) *testworld.Browser {
	b := testworld.NewBrowser(t, &s.Log)
	t.Cleanup(b.Client.CloseIdleConnections)
	return b
}

func (s *withSecrets) link(state koubeisim.CodeState) string {
	return s.koubei.LandingURL(s.koubei.IssueIn(state, testworld.Provider), koubeisim.Observed)
}

// landsWith opens a link in a new browser.
func (s *withSecrets) landsWith(t *testing.T, status int, link string) *testworld.Browser {
	t.Helper()
	b := s.browser(t)
	if a := b.Land(link); a.StatusCode != status {
		t.Errorf("got %d, want %d: %.300s", a.StatusCode, status, a.Body)
	}
	return b
}

// land succeeds, and then fails in each usual way.
func (s *withSecrets) land(t *testing.T) {
	first := s.link(koubeisim.CodeFresh)
	b := s.landsWith(t, http.StatusSeeOther, first)
	if a := b.Get(s.Internal + "/auth/verify"); a.StatusCode != http.StatusOK || a.Header.Get("X-Koubei-Assertion") == "" || a.Header.Get("X-Koubei-Auth-Code") == "" {
		t.Errorf("the check: got %d %v, want an assertion and a code", a.StatusCode, a.Header)
	}
	s.landsWith(t, http.StatusGone, first)
	s.landsWith(t, http.StatusGone, s.link(koubeisim.CodeExpired))
	s.landsWith(t, http.StatusForbidden, s.link(koubeisim.CodeForeign))
	for _, fault := range []koubeisim.Fault{koubeisim.InvalidAppID, koubeisim.Tampered} {
		s.koubei.Next(fault)
		s.landsWith(t, http.StatusBadGateway, s.link(koubeisim.CodeFresh))
	}
	s.koubei.Next(slices.Repeat([]koubeisim.Fault{koubeisim.HTML}, 6)...)
	s.landsWith(t, http.StatusServiceUnavailable, s.link(koubeisim.CodeFresh))
	s.koubei.ClearFaults()
}

// sendCodes sends a live code in each place where it does not belong.
func (s *withSecrets) sendCodes(t *testing.T) {
	b := s.landsWith(t, http.StatusSeeOther, s.link(koubeisim.CodeFresh))
	code := s.koubei.Issue(testworld.Provider)
	for _, path := range []string{
		"/koubei/callback?code=" + code + "&code=" + code,
		"/koubei/callback?code=" + code + code,
		"/koubei/callback?code=" + code + "&app_id=" + code,
		"/koubei/callback?code=" + code + "&return_to=//" + code + ".example/%zz",
		"/koubei/" + code,
		"/" + code + "?code=" + code,
		"/session?code=" + code,
	} {
		b.Get(s.Public + path)
	}
	b.Post(s.Public+"/koubei/callback?code="+code, map[string][]string{"code": {code}})
}

func (s *withSecrets) sendAdminTokens(t *testing.T) {
	for _, token := range []string{secretAdmin, "admin-admin-admin-admin-admin-wrong"} {
		r, err := http.NewRequest(http.MethodGet, s.Internal+"/admin/operators/"+testworld.Provider.OperatorID+"/sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		s.browser(t).Do(r)
	}
}

func (s *withSecrets) restartRedis(t *testing.T) {
	s.redis.Kill()
	s.landsWith(t, http.StatusServiceUnavailable, s.link(koubeisim.CodeFresh))
	s.redis.Start()
	s.landsWith(t, http.StatusServiceUnavailable, s.link(koubeisim.CodeFresh))
	s.setPassword(t)
	testworld.Eventually(t, 10*time.Second, "it is ready again", func() error {
		a, err := http.Get(s.Internal + "/readyz")
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK {
			return os.ErrInvalid
		}
		return nil
	})
	s.landsWith(t, http.StatusSeeOther, s.link(koubeisim.CodeFresh))
}

// assertionKey returns a new key for ASSERTION_KEYS_FILE.
func assertionKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
