package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/logging"
	"koubei-landing/internal/setting"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// ran is the result of a command.
type ran struct {
	code           int
	stdout, stderr string
}

// runWith runs a command with these environment variables only.
func runWith(ctx context.Context, env map[string]string, args ...string) ran {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, environ(env), &stdout, &stderr)
	return ran{code, stdout.String(), stderr.String()}
}

// silent returns an invocation without output.
func silent(t *testing.T, environ []string) *invocation {
	t.Helper()
	stderr := logging.NewWriter(io.Discard)
	t.Cleanup(func() { stderr.Close(time.Second) })
	return &invocation{t.Context(), newEnvironment(environ), io.Discard, stderr}
}

// environ returns variables in the form of os.Environ.
func environ(env map[string]string) []string {
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// good returns valid settings for a new koubeisim.
func good(t *testing.T) (map[string]string, *koubeisim.Koubei) {
	t.Helper()
	k := testworld.NewKoubei(koubeisim.Options{})
	return map[string]string{
		"ALIPAY_APP_ID":          k.AppID(),
		"ALIPAY_APP_PRIVATE_KEY": k.AppPrivateKey(),
		"ALIPAY_PUBLIC_KEY":      k.AlipayPublicKey(),
		"ALIPAY_GATEWAY_URL":     testworld.Serve(t, k.Gateway()),
		"REDIS_URL":              "redis://user:topsecret@127.0.0.1:1/0",
		"PUBLIC_LISTEN":          "127.0.0.1:0",
		"INTERNAL_LISTEN":        "127.0.0.1:0",
	}, k
}

func TestEveryProblemIsListedAtOnce(t *testing.T) {
	t.Parallel()
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
		"SESSION_COOKIE_DOMAIN":   "example",
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
	problems := parseWith(t, env).problems
	for name := range env {
		want := 1
		switch name {
		case "ALIPAY_APP_ID", "ALIPAY_PUBLIC_KEY", "ALIPAY_GATEWAY_URL", "PUBLIC_LISTEN", "INTERNAL_LISTEN":
			want = 0
		}
		if n := concerning(problems, name); n != want {
			t.Errorf("%s has %d problems, want %d", name, n, want)
		}
		if strings.Contains(got.stderr, name) != (want == 1) {
			t.Errorf("stderr names %s: %v", name, want == 0)
		}
	}
}

// parseWith returns the settings that serve would use with these variables and flags.
func parseWith(t *testing.T, env map[string]string, flags ...string) parsed {
	t.Helper()
	w := silent(t, environ(env))
	var c cli
	parser, err := newParser(&c, w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"serve"}, flags...)); err != nil {
		t.Fatal(err)
	}
	return c.Serve.parse(w)
}

// concerning returns the number of problems of a setting.
func concerning(problems []setting.Problem, name string) int {
	n := 0
	for _, p := range problems {
		if slices.Contains(p.Settings, name) {
			n++
		}
	}
	return n
}

func TestMissingSettings(t *testing.T) {
	t.Parallel()
	env := map[string]string{"ALIPAY_APP_ID": ""}
	problems := parseWith(t, env).problems
	for _, name := range []string{"ALIPAY_APP_ID", "ALIPAY_APP_PRIVATE_KEY", "ALIPAY_PUBLIC_KEY", "REDIS_URL"} {
		if concerning(problems, name) != 1 {
			t.Errorf("%s is not missing: %v", name, problems)
		}
	}
	if got := runWith(t.Context(), env); got.code != exitUsage || len(problems) != 4 {
		t.Errorf("got exit code %d and %d problems, want 2 and 4", got.code, len(problems))
	}
}

// A problem names all its settings.
func TestProblemsNameTheirSettings(t *testing.T) {
	t.Parallel()
	certificates := "ALIPAY_APP_CERT_FILE ALIPAY_CERT_FILE ALIPAY_ROOT_CERT_FILE"
	authorities, _ := certificateFiles(t)
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string // the settings of the only problem
	}{
		{"one certificate of three", map[string]string{"ALIPAY_CERT_FILE": "/x"}, certificates},
		{"a frame with lax", map[string]string{"FRAME_ANCESTORS": "https://koubei.example"}, "FRAME_ANCESTORS SESSION_COOKIE_SAMESITE"},
		{"none without https", map[string]string{"SESSION_COOKIE_SAMESITE": "none"}, "SESSION_COOKIE_SAMESITE PUBLIC_URL"},
		{"a callback on a route", map[string]string{"CALLBACK_PATH": "/static/x"}, "CALLBACK_PATH"},
		{"a callback on a route of the path", map[string]string{"PUBLIC_URL": "https://isv.example/k", "CALLBACK_PATH": "/k/signin"}, "CALLBACK_PATH PUBLIC_URL"},
		{"a stranger's cookie domain", map[string]string{"PUBLIC_URL": "https://isv.example", "SESSION_COOKIE_DOMAIN": "other.example"}, "SESSION_COOKIE_DOMAIN PUBLIC_URL"},
		{"reading from replicas", map[string]string{"REDIS_URL": "redis://127.0.0.1:1?read_only=true", "REDIS_MODE": "cluster"}, "REDIS_URL"},
		{"a secret twice", map[string]string{"REDIS_URL_FILE": "/x"}, "REDIS_URL REDIS_URL_FILE"},
		{"Redis's authorities without TLS", map[string]string{"REDIS_CA_FILE": authorities}, "REDIS_URL REDIS_CA_FILE REDIS_CERT_FILE REDIS_KEY_FILE"},
		{"http far away", map[string]string{"ALIPAY_GATEWAY_URL": "http://gateway.example/gateway.do"}, "ALIPAY_GATEWAY_URL ALIPAY_ALLOW_HTTP"},
		{"the application's own public key", map[string]string{"ALIPAY_PUBLIC_KEY": "OWN"}, "ALIPAY_PUBLIC_KEY"},
		{"an app id with a space", map[string]string{"ALIPAY_APP_ID": "2014 0723"}, "ALIPAY_APP_ID"},
		{"a certificate without key", map[string]string{"REDIS_CERT_FILE": "/x"}, "REDIS_CERT_FILE REDIS_KEY_FILE"},
	} {
		env, _ := good(t)
		maps.Copy(env, tt.env)
		if env["ALIPAY_PUBLIC_KEY"] == "OWN" {
			env["ALIPAY_PUBLIC_KEY"] = ownPublicKey(t, env["ALIPAY_APP_PRIVATE_KEY"])
		}
		got := parseWith(t, env).problems
		if len(got) != 1 || strings.Join(got[0].Settings, " ") != tt.want {
			t.Errorf("%s: got %v, want one problem of %s", tt.name, got, tt.want)
		}
		if got := runWith(t.Context(), env, "serve"); got.code != exitUsage {
			t.Errorf("%s: got exit code %d, want 2", tt.name, got.code)
		}
	}
}

func TestFlagsTakePrecedence(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	env["MAX_REQUESTS"], env["CALLBACK_RATE"] = "wrong", ""
	got := parseWith(t, env, "--max-requests=7", "--redis-mode", "x")
	if got.config.Web.MaxRequests != 7 || len(got.problems) != 1 || concerning(got.problems, "REDIS_MODE") != 1 {
		t.Errorf("got %d and %v, want 7 and a problem of REDIS_MODE", got.config.Web.MaxRequests, got.problems)
	}
	if got := runWith(t.Context(), env, "serve", "--redis-url=x"); got.code != exitUsage || !strings.Contains(got.stderr, "REDIS_URL") {
		t.Errorf("a secret as a flag: got %d %q", got.code, got.stderr)
	}
}

// synced is a buffer for the output of a running command.
type synced struct {
	testworld.Log
}

func TestServeWithoutRedisIsAliveButNotReady(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	env["ALIPAY_APP_PRIVATE_KEY_FILE"] = writeFile(t, []byte(env["ALIPAY_APP_PRIVATE_KEY"]+"\n"))
	delete(env, "ALIPAY_APP_PRIVATE_KEY")
	s := startServing(t, env)
	internal := strings.TrimPrefix(s.address("internal"), "http://")
	if got := runWith(t.Context(), map[string]string{"INTERNAL_LISTEN": internal}, "healthcheck"); got.code != 0 {
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
	if code := s.end(); code != 0 {
		t.Errorf("got exit code %d, want 0: %s", code, s.log.String())
	}
	if got := runWith(t.Context(), map[string]string{"INTERNAL_LISTEN": internal}, "healthcheck"); got.code != 1 {
		t.Errorf("healthcheck afterwards: got %d, want 1", got.code)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
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
	if got := runWith(t.Context(), env, "check"); got.code != 1 || !strings.Contains(got.stdout, "failure  gateway") || !strings.Contains(got.stdout, "fix: ") {
		t.Errorf("an unknown application: got %d\n%s", got.code, got.stdout)
	}
	env["ALIPAY_APP_ID"] = ""
	if got := runWith(t.Context(), env, "check"); got.code != 1 || !strings.Contains(got.stdout, "ALIPAY_APP_ID") {
		t.Errorf("a missing setting: got %d\n%s", got.code, got.stdout)
	}
}

func TestSessionsCommands(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	env := map[string]string{
		"ALIPAY_APP_ID": w.Koubei.AppID(), "ALIPAY_APP_PRIVATE_KEY": w.Koubei.AppPrivateKey(),
		"ALIPAY_PUBLIC_KEY": w.Koubei.AlipayPublicKey(), "REDIS_URL": w.Redis.URL(),
	}
	list := runWith(t.Context(), env, "sessions", "list", "--operator", testworld.Provider.OperatorID)
	if list.code != 0 || !strings.Contains(list.stdout, "partner "+testworld.Provider.PartnerID) || !strings.Contains(list.stdout, "sessions: 1") {
		t.Errorf("list: got %d\n%s%s", list.code, list.stdout, list.stderr)
	}
	if got := runWith(t.Context(), env, "sessions", "revoke", "--operator", testworld.Provider.OperatorID); got.stdout != "sessions revoked: 1\n" {
		t.Errorf("revoke: got %d %q %s", got.code, got.stdout, got.stderr)
	}
	if a, _ := b.Session(w.Service, ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("afterwards: got %d, want 401", a.StatusCode)
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--version"}, {"serve", "--version"}, {"sessions", "--version"}, {"check", "--version", "--json"}} {
		got := runWith(t.Context(), map[string]string{"VERSION": "x", "JSON": "x", "OPERATOR": "x"}, args...)
		if fields := strings.Fields(got.stdout); got.code != exitOK || len(fields) != 3 || fields[0] != "koubei-landing" || fields[2] != runtime.Version() {
			t.Errorf("%v: got %+v, want the program, its version and Go's", args, got)
		}
	}
	got := runWith(t.Context(), nil, "serve", "--help")
	if got.code != exitOK || !strings.Contains(got.stdout, "--session-idle-timeout") || strings.Contains(got.stdout, "--alipay-app-private-key") {
		t.Errorf("help: got %+v", got)
	}
}

// The program refuses wrong arguments with exit code 2 and names the flag or the variable that was probably meant.
func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ args, hint string }{
		{"fly", ""},
		{"serve now", ""},
		{"sessions", "list"},
		{"sessions list", "--operator"},
		{"sessions list --operator", "--operator"},
		{"serve REDIS_URL=x", "REDIS_URL"},
		{"--redis-url=x", "REDIS_URL_FILE"},
		{"serve --max-request=5", "--max-requests"},
		{"check --jsno", "--json"},
		{"check --json=x", "--json"},
		{"serve --max-requests", "--max-requests="},
		{"serve --max-requests --log-level=info", "--max-requests="},
		{"--unheard-of", ""},
		{"serve -x", ""},
	} {
		got := runWith(t.Context(), nil, strings.Fields(row.args)...)
		if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, row.hint) {
			t.Errorf("%s: got %+v, want exit code 2 and %q", row.args, got, row.hint)
		}
	}
}
