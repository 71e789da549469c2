package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// ran is what a command left behind.
type ran struct {
	code           int
	stdout, stderr string
}

// runWith runs a command with an environment of its own.
func runWith(ctx context.Context, env map[string]string, args ...string) ran {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, func(name string) string { return env[name] }, &stdout, &stderr)
	return ran{code, stdout.String(), stderr.String()}
}

// good are settings that work, against a koubeisim of the test's.
func good(t *testing.T) (map[string]string, *koubeisim.Koubei) {
	t.Helper()
	k, err := koubeisim.New(koubeisim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(k.Gateway())
	t.Cleanup(gateway.Close)
	return map[string]string{
		"ALIPAY_APP_ID":          k.AppID(),
		"ALIPAY_APP_PRIVATE_KEY": k.AppPrivateKey(),
		"ALIPAY_PUBLIC_KEY":      k.AlipayPublicKey(),
		"ALIPAY_GATEWAY_URL":     gateway.URL,
		"REDIS_URL":              "redis://user:topsecret@127.0.0.1:1/0",
		"PUBLIC_LISTEN":          "127.0.0.1:0",
		"INTERNAL_LISTEN":        "127.0.0.1:0",
	}, k
}

func TestEveryProblemIsListedAtOnce(t *testing.T) {
	env, _ := good(t)
	for name, value := range map[string]string{
		"PUBLIC_URL":              "ftp://isv.example",
		"CALLBACK_PATH":           "/session",
		"ALIPAY_APP_PRIVATE_KEY":  "MIIsecretsecretsecret",
		"ALIPAY_SIGN_TYPE":        "SM2",
		"ALIPAY_CHARSET":          "latin1",
		"ALIPAY_TIMEOUT":          "soon",
		"ALIPAY_ENCRYPT_KEY":      "secretsecret",
		"REDIS_URL":               "http://user:topsecret@127.0.0.1:1/0",
		"REDIS_MODE":              "galaxy",
		"REDIS_WAIT_REPLICAS":     "-1",
		"SEAL_KEYS":               "c2VjcmV0",
		"SESSION_LIFETIME":        "25h",
		"SESSION_COOKIE_SAMESITE": "strict",
		"SESSION_COOKIE_DOMAIN":   "other.example",
		"SESSION_COOKIE_NAME":     "a b",
		"FRAME_ANCESTORS":         "https://*.example",
		"ARRIVAL_CHECK":           "maybe",
		"HOME_URL":                "https://evil.example",
		"HOME_URLS":               "BOSS=/x",
		"RETURN_TO_ORIGINS":       "null",
		"CORS_ORIGINS":            "*",
		"CONFIRM_OPERATOR_SWITCH": "perhaps",
		"ADMIN_TOKEN":             "secret",
		"CALLBACK_RATE":           "many",
		"TRUSTED_PROXIES":         "10.0.0.1",
		"MAX_REQUESTS":            "0",
		"SHUTDOWN_TIMEOUT":        "0s",
		"LOG_LEVEL":               "loud",
		"LOG_FORMAT":              "xml",
	} {
		env[name] = value
	}
	got := runWith(t.Context(), env)
	if got.code != 2 || got.stdout != "" {
		t.Errorf("got exit code %d and %q on stdout, want 2 and nothing", got.code, got.stdout)
	}
	for name := range env {
		switch name {
		case "ALIPAY_APP_ID", "ALIPAY_PUBLIC_KEY", "ALIPAY_GATEWAY_URL", "PUBLIC_LISTEN", "INTERNAL_LISTEN":
		default:
			if n := strings.Count(got.stderr, "- "+name+" "); n != 1 {
				t.Errorf("%s is named %d times, want once", name, n)
			}
		}
	}
	for _, secret := range []string{"secretsecret", "topsecret", "c2VjcmV0"} {
		if strings.Contains(got.stderr, secret) {
			t.Errorf("a secret is printed: %s", got.stderr)
		}
	}
}

func TestMissingSettings(t *testing.T) {
	got := runWith(t.Context(), map[string]string{"ALIPAY_APP_ID": ""})
	for _, name := range []string{"ALIPAY_APP_ID", "ALIPAY_APP_PRIVATE_KEY", "ALIPAY_PUBLIC_KEY", "REDIS_URL"} {
		if !strings.Contains(got.stderr, name+" is missing") {
			t.Errorf("%s is not said to be missing: %s", name, got.stderr)
		}
	}
	if got.code != 2 {
		t.Errorf("got exit code %d, want 2", got.code)
	}
}

func TestSettingsThatDontGoTogether(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"two keys of one's own", map[string]string{"ALIPAY_PUBLIC_KEY": "OWN"}, "own public key was given"},
		{"http far away", map[string]string{"ALIPAY_GATEWAY_URL": "http://gateway.example/gateway.do"}, "http://"},
		{"one certificate of three", map[string]string{"ALIPAY_CERT_FILE": "/x"}, "all three or not at all"},
		{"a frame with lax", map[string]string{"FRAME_ANCESTORS": "https://koubei.example"}, "SESSION_COOKIE_SAMESITE=none"},
		{"none without https", map[string]string{"SESSION_COOKIE_SAMESITE": "none"}, "https://"},
		{"a callback on the switch", map[string]string{"CALLBACK_PATH": "/static/x"}, "collides"},
		{"a replica's answers", map[string]string{"REDIS_URL": "redis://127.0.0.1:1?read_only=true", "REDIS_MODE": "cluster"}, "read_only"},
		{"a secret twice", map[string]string{"REDIS_URL_FILE": "/x"}, "REDIS_URL_FILE too"},
		{"a secret's file away", map[string]string{"ADMIN_TOKEN_FILE": "/nowhere/token"}, "ADMIN_TOKEN can't be read"},
	} {
		env, _ := good(t)
		for name, value := range tt.env {
			if value == "OWN" {
				value = ownPublicKey(t, env["ALIPAY_APP_PRIVATE_KEY"])
			}
			env[name] = value
		}
		if got := runWith(t.Context(), env, "serve"); got.code != 2 || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("%s: got %d %q, want 2 and %q", tt.name, got.code, got.stderr, tt.want)
		}
	}
}

func TestAFlagWinsOverItsVariable(t *testing.T) {
	env, _ := good(t)
	env["MAX_REQUESTS"], env["CALLBACK_RATE"] = "wrong", ""
	got := runWith(t.Context(), env, "serve", "--max-requests=0", "--redis-mode", "x")
	if !strings.Contains(got.stderr, `MAX_REQUESTS is "0"`) || !strings.Contains(got.stderr, "REDIS_MODE") || strings.Contains(got.stderr, "CALLBACK_RATE") {
		t.Errorf("got %s, want the flags judged, and the empty variable as unset", got.stderr)
	}
	if got := runWith(t.Context(), env, "serve", "--redis-url=x"); got.code != 2 || !strings.Contains(got.stderr, "unknown flag") {
		t.Errorf("a secret as a flag: got %d %q", got.code, got.stderr)
	}
}

// synced is a buffer that a running command writes to.
type synced struct {
	testworld.Log
}

func TestServeWithoutRedisIsAliveButNotReady(t *testing.T) {
	env, _ := good(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte(env["ALIPAY_APP_PRIVATE_KEY"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	delete(env, "ALIPAY_APP_PRIVATE_KEY")
	env["ALIPAY_APP_PRIVATE_KEY_FILE"] = file
	ctx, stop := context.WithCancel(t.Context())
	var stderr synced
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, nil, func(name string) string { return env[name] }, &stderr, &stderr) }()
	internal := ""
	testworld.Eventually(t, 10*time.Second, "it serves", func() error {
		_, after, ok := strings.Cut(stderr.String(), `"internal":"`)
		if !ok {
			return os.ErrNotExist
		}
		internal, _, _ = strings.Cut(after, `"`)
		return nil
	})
	if got := runWith(ctx, map[string]string{"INTERNAL_LISTEN": internal}, "healthcheck"); got.code != 0 {
		t.Errorf("healthcheck: got %d %s", got.code, got.stderr)
	}
	res, err := http.Get("http://" + internal + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz: got %d, want 503", res.StatusCode)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("got exit code %d, want 0: %s", code, stderr.String())
	}
	if got := runWith(t.Context(), map[string]string{"INTERNAL_LISTEN": internal}, "healthcheck"); got.code != 1 {
		t.Errorf("healthcheck afterwards: got %d, want 1", got.code)
	}
}

func TestCheck(t *testing.T) {
	env, k := good(t)
	redis := testworld.StartRedis(t)
	got := runWith(t.Context(), env, "check")
	if got.code != 1 || !strings.Contains(got.stdout, "failure  redis") || !strings.Contains(got.stdout, "ok       gateway") {
		t.Errorf("without Redis: got %d\n%s", got.code, got.stdout)
	}
	env["REDIS_URL"] = redis.URL()
	if got := runWith(t.Context(), env, "check"); got.code != 0 {
		t.Errorf("all well: got %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	k.Next(koubeisim.InvalidAppID)
	if got := runWith(t.Context(), env, "check"); got.code != 1 || !strings.Contains(got.stdout, "failure  gateway") || !strings.Contains(got.stdout, "→") {
		t.Errorf("an unknown application: got %d\n%s", got.code, got.stdout)
	}
	env["ALIPAY_APP_ID"] = ""
	if got := runWith(t.Context(), env, "check"); got.code != 1 || !strings.Contains(got.stdout, "ALIPAY_APP_ID") {
		t.Errorf("a missing setting: got %d\n%s", got.code, got.stdout)
	}
}

func TestSessionsCommands(t *testing.T) {
	w := testworld.New(t)
	b := w.Browser()
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	env := map[string]string{
		"ALIPAY_APP_ID": w.Koubei.AppID(), "ALIPAY_APP_PRIVATE_KEY": w.Koubei.AppPrivateKey(),
		"ALIPAY_PUBLIC_KEY": w.Koubei.AlipayPublicKey(), "REDIS_URL": w.Redis.URL(),
	}
	list := runWith(t.Context(), env, "sessions", "list", "--operator", testworld.Provider.OperatorID)
	if list.code != 0 || !strings.Contains(list.stdout, "partner "+testworld.Provider.PartnerID) || !strings.Contains(list.stdout, "1 sessions") {
		t.Errorf("list: got %d\n%s%s", list.code, list.stdout, list.stderr)
	}
	if got := runWith(t.Context(), env, "sessions", "revoke", "--operator", testworld.Provider.OperatorID); got.stdout != "1 sessions revoked\n" {
		t.Errorf("revoke: got %d %q %s", got.code, got.stdout, got.stderr)
	}
	if a, _ := b.Session(w.Service, ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("afterwards: got %d, want 401", a.StatusCode)
	}
}

func TestVersionAndHelp(t *testing.T) {
	if got := runWith(t.Context(), nil, "version"); got.code != 0 || !strings.HasPrefix(got.stdout, "koubei-landing ") {
		t.Errorf("version: got %+v", got)
	}
	got := runWith(t.Context(), nil, "serve", "--help")
	if got.code != 0 || !strings.Contains(got.stdout, "--session-idle-timeout") || strings.Contains(got.stdout, "private-key") {
		t.Errorf("help: got %+v", got)
	}
	if got := runWith(t.Context(), nil, "fly"); got.code != 2 {
		t.Errorf("an unknown command: got %d, want 2", got.code)
	}
}
