package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// This runs the real program with every secret at debug level, through all usual failures. Its output must not contain a
// code, a token, a password or a key.
func TestNothingSecretIsWritten(t *testing.T) {
	const redisPassword, admin, appAuth = "redis-redis-redis-redis", "admin-admin-admin-admin-admin-admin", "202601BBappauthappauthX40"
	aes := []byte("aes-key-of-16-by")
	node := testworld.StartRedis(t)
	secure := func() {
		t.Helper()
		if err := node.Client.Do(t.Context(), "ACL", "SETUSER", "koubei", "on", ">"+redisPassword, "~*", "&*", "+@all").Err(); err != nil {
			t.Fatal(err)
		}
	}
	secure()
	c := settingsFor(t, koubeisim.Options{EncryptKey: aes})
	seal := []byte("seal-key-of-thirty-two-bytes-123")
	assertion := assertionKey(t)
	file := filepath.Join(t.TempDir(), "assertion-keys.pem")
	if err := os.WriteFile(file, []byte(assertion), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"PUBLIC_LISTEN": "127.0.0.1:0", "INTERNAL_LISTEN": "127.0.0.1:0", "LOG_LEVEL": "debug", "FORWARD_AUTH_CODE": "true", "CALLBACK_RATE": "0",
		"REDIS_URL": strings.Replace(node.URL(), "redis://", "redis://koubei:"+redisPassword+"@", 1), "ADMIN_TOKEN": admin, "SEAL_KEYS": base64.StdEncoding.EncodeToString(seal),
		"ALIPAY_ENCRYPT_KEY": base64.StdEncoding.EncodeToString(aes), "ALIPAY_APP_AUTH_TOKEN": appAuth, "ASSERTION_KEYS_FILE": file,
		"ALIPAY_TIMEOUT": "2s", "ALIPAY_ATTEMPT_TIMEOUT": "1s",
	} {
		c.env[name] = value
	}
	p := startProgram(t, c.env)
	public, internal := p.Public, p.Internal
	if err := c.koubei.SetLandingURL(public + "/koubei/callback"); err != nil {
		t.Fatal(err)
	}
	w := &testworld.World{T: t, Log: &p.Log} // keeps the output of its browsers out of this log
	link := func(state koubeisim.CodeState) string {
		return c.koubei.LandingURL(c.koubei.IssueIn(state, testworld.Provider), koubeisim.Observed)
	}
	landsWith := func(want int, link string) *testworld.Browser {
		t.Helper()
		b := w.Browser()
		if a := b.Land(link); a.StatusCode != want {
			t.Errorf("got %d, want %d: %.300s", a.StatusCode, want, a.Body)
		}
		return b
	}

	first := link(koubeisim.CodeFresh)
	b := landsWith(http.StatusSeeOther, first)
	if a := b.Get(internal + "/auth/verify"); a.StatusCode != http.StatusOK || a.Header.Get("X-Koubei-Assertion") == "" || a.Header.Get("X-Koubei-Auth-Code") == "" {
		t.Errorf("the check: got %d %v, want an assertion and a code", a.StatusCode, a.Header)
	}
	landsWith(http.StatusGone, first)
	landsWith(http.StatusGone, link(koubeisim.CodeExpired))
	landsWith(http.StatusForbidden, link(koubeisim.CodeForeign))
	for _, fault := range []koubeisim.Fault{koubeisim.InvalidAppID, koubeisim.Tampered} {
		c.koubei.Next(fault)
		landsWith(http.StatusBadGateway, link(koubeisim.CodeFresh))
	}
	c.koubei.Next(koubeisim.HTML, koubeisim.HTML, koubeisim.HTML, koubeisim.HTML, koubeisim.HTML, koubeisim.HTML)
	landsWith(http.StatusServiceUnavailable, link(koubeisim.CodeFresh))
	c.koubei.ClearFaults()
	code := c.koubei.Issue(testworld.Provider)
	for _, path := range []string{"/koubei/callback?code=" + code + "&code=" + code, "/koubei/callback?code=" + code + code, "/koubei/" + code, "/" + code + "?code=" + code,
		"/session?code=" + code, "/koubei/callback?code=" + code + "&app_id=" + code, "/koubei/callback?code=" + code + "&return_to=//" + code + ".example/%zz"} {
		b.Get(public + path)
	}
	b.Post(public+"/koubei/callback?code="+code, map[string][]string{"code": {code}})
	for _, token := range []string{admin, "admin-admin-admin-admin-admin-wrong"} {
		r, err := http.NewRequest(http.MethodGet, internal+"/admin/operators/"+testworld.Provider.OperatorID+"/sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		b.Do(r)
	}
	node.Kill()
	landsWith(http.StatusServiceUnavailable, link(koubeisim.CodeFresh))
	node.Start() // it no longer knows the service's password
	landsWith(http.StatusServiceUnavailable, link(koubeisim.CodeFresh))
	secure()
	testworld.Eventually(t, 10*time.Second, "it is ready again", func() error {
		a, err := http.Get(internal + "/readyz")
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK {
			return os.ErrInvalid
		}
		return nil
	})
	landsWith(http.StatusSeeOther, link(koubeisim.CodeFresh))
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}

	for _, text := range []string{`"result":"landed"`, `"level":"WARN"`, `"route":"/koubei/callback"`, "WRONGPASS"} {
		if !strings.Contains(p.Log.String(), text) {
			t.Errorf("the log says nothing of %s, and so not what was to be searched:\n%s", text, p.Log.String())
		}
	}
	p.Log.KeepOut(redisPassword, admin, appAuth)
	p.Log.KeepOut(append(testworld.Spellings(seal), testworld.Spellings(aes)...)...)
	for _, line := range strings.Split(assertion, "\n") {
		if !strings.HasPrefix(line, "---") {
			p.Log.KeepOut(testworld.Fragments(line)...)
		}
	}
	p.Log.Check(t, testworld.SecretsOf(c.koubei)...)
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
