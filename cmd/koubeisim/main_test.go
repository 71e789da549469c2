package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// start runs the program until the test ends, and returns its first line once it is listening.
func start(t *testing.T, env map[string]string, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out, in := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, args, func(name string) string { return env[name] }, in, in)
		in.Close()
	}()
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("no line: %v", err)
	}
	go io.Copy(io.Discard, lines)
	t.Cleanup(func() {
		stop()
		if code := <-exit; code != 0 {
			t.Errorf("exit code %d, want 0 after a signal", code)
		}
	})
	return line
}

func portalIn(t *testing.T, line string) string {
	t.Helper()
	_, rest, ok := strings.Cut(line, "portal ")
	address, _, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 {
		t.Fatalf("no address in %q", line)
	}
	return strings.TrimSuffix(address, "/")
}

func environmentIn(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = value
	}
	return env
}

func TestRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "isv.env")
	line := start(t, map[string]string{"KOUBEISIM_LANDING_URL": "http://isv.example/callback", "KOUBEISIM_APP_ID": "", "KOUBEISIM_LISTEN": "127.0.0.1:1"},
		"--listen", "127.0.0.1:0", "--write-env", file)
	portal := portalIn(t, line)

	res, err := http.Get(portal + "/api/app")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	app := map[string]string{}
	if err := json.NewDecoder(res.Body).Decode(&app); err != nil {
		t.Fatal(err)
	}
	env := environmentIn(t, file)
	for name, want := range map[string]string{
		"ALIPAY_APP_ID": app["app_id"], "ALIPAY_APP_PRIVATE_KEY": app["app_private_key"],
		"ALIPAY_PUBLIC_KEY": app["alipay_public_key"], "ALIPAY_GATEWAY_URL": portal + "/gateway.do",
	} {
		if env[name] != want || want == "" {
			t.Errorf("%s: got %q, want %q", name, env[name], want)
		}
	}
	if len(env) != 4 || app["landing_url"] != "http://isv.example/callback" {
		t.Errorf("got %d settings, landing %q", len(env), app["landing_url"])
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if strings.Contains(line, app["app_private_key"]) {
		t.Error("the key is printed")
	}
	gateway, err := http.Post(portal+"/gateway.do", "", nil)
	if err != nil || gateway.Header.Get("trace_id") == "" {
		t.Errorf("no gateway: %v", err)
	}
	gateway.Body.Close()
}

func TestRunWithCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "isv.env")
	start(t, nil, "--listen", "127.0.0.1:0", "--certificates", filepath.Join(dir, "certs"), "--write-env", file,
		"--encrypt-key", "MDEyMzQ1Njc4OWFiY2RlZg==", "--charset", "gbk", "--sign-type", "RSA", "--gateway-url", "https://gateway.example/gateway.do")
	env := environmentIn(t, file)
	for _, name := range []string{"ALIPAY_APP_CERT_FILE", "ALIPAY_CERT_FILE", "ALIPAY_ROOT_CERT_FILE"} {
		content, err := os.ReadFile(env[name])
		if block, _ := pem.Decode(content); err != nil || block == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"ALIPAY_PUBLIC_KEY": "", "ALIPAY_ENCRYPT_KEY": "MDEyMzQ1Njc4OWFiY2RlZg==", "ALIPAY_CHARSET": "gbk", "ALIPAY_SIGN_TYPE": "RSA",
		"ALIPAY_GATEWAY_URL": "https://gateway.example/gateway.do",
	} {
		if env[name] != want {
			t.Errorf("%s: got %q, want %q", name, env[name], want)
		}
	}
}

func TestRunWithTheAppsOwnKey(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "app.pem")
	content, err := os.ReadFile("../../koubeisim/testdata/keys/app_public.pem")
	if err == nil {
		err = os.WriteFile(key, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	line := start(t, map[string]string{"KOUBEISIM_APP_PUBLIC_KEY_FILE": key}, "--listen", "127.0.0.1:0", "--app-id", "2021000000000001")
	if !strings.Contains(line, "app 2021000000000001") {
		t.Errorf("got %q", line)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"unknown flag", []string{"--nonsense"}, 2, "nonsense"},
		{"landing URL", []string{"--landing-url", "isv"}, 2, "landing URL"},
		{"encrypt key", []string{"--encrypt-key", "%"}, 2, "--encrypt-key"},
		{"key file", []string{"--app-public-key-file", "/nonexistent"}, 2, "/nonexistent"},
		{"duration", []string{"--slow-for", "long"}, 2, "slow-for"},
		{"address", []string{"--listen", "256.0.0.1:1"}, 1, "256.0.0.1"},
		{"directory", []string{"--listen", "127.0.0.1:0", "--write-env", "/nonexistent/x"}, 1, "/nonexistent"},
	} {
		var stdout, stderr bytes.Buffer
		got := run(t.Context(), row.args, func(string) string { return "" }, &stdout, &stderr)
		if got != row.want || !strings.Contains(stderr.String(), row.says) || stdout.Len() > 0 {
			t.Errorf("%s: got %d, %q, want %d and %q", row.name, got, stderr.String(), row.want, row.says)
		}
	}
}

func TestHelpDescribesTheControlAPI(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), []string{"--help"}, func(string) string { return "x" }, &stdout, &stderr); got != 0 {
		t.Errorf("exit code %d: %s", got, stderr.String())
	}
	for _, want := range []string{"/api/app", "/api/codes", "/api/faults", "/api/release", "/api/calls", "--write-env", "KOUBEISIM_LISTEN"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("help says nothing of %s", want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"", "0"} { // the environment does not turn it on
		var stdout, stderr bytes.Buffer
		getenv := func(name string) string {
			if name == "KOUBEISIM_VERSION" {
				return env
			}
			return ""
		}
		code := run(t.Context(), []string{"--version"}, getenv, &stdout, &stderr)
		if fields := strings.Fields(stdout.String()); code != 0 || len(fields) != 3 || fields[0] != "koubeisim" || stderr.Len() > 0 {
			t.Errorf("got %d %q %q, want the program, its version and Go's", code, stdout.String(), stderr.String())
		}
	}
}
