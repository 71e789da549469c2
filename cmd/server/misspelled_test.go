package main

import (
	"maps"
	"strings"
	"testing"
)

// The start and the check warn about a variable that is probably a misspelled setting.
func TestMisspelledVariables(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	for name, hint := range map[string]string{ // empty: a warning without a hint; "-": no warning
		"SESION_LIFETIME": "SESSION_LIFETIME", "SESSION_LIFETMIE": "SESSION_LIFETIME", "session_lifetime": "SESSION_LIFETIME", "SESSION-LIFETIME": "SESSION_LIFETIME",
		"REDIS_URI": "REDIS_URL", "REDISURL": "REDIS_URL", "ALIPAY_APPID": "ALIPAY_APP_ID", "ALIPAY_PUBLIC_KEY_FIEL": "ALIPAY_PUBLIC_KEY_FILE", "PUBLIC_LISTENER": "PUBLIC_LISTEN", "MAX_REQUEST": "MAX_REQUESTS",
		"ALIPAY_NOTIFY_URL": "", "SESSION_STORE": "", "ASSERTION_ISSUER": "", "CALLBACK_URL": "", "ALIPAY_PORT": "",
		"REDIS_PORT": "-", "REDIS_SERVICE_HOST": "-", "REDIS_SERVICE_PORT": "-", "REDIS_SERVICE_PORT_REDIS": "-", "REDIS_PORT_6379_TCP": "-", "REDIS_PORT_6379_TCP_ADDR": "-", "REDIS_HOST": "-",
		"SESSION_SERVICE_HOST": "-", "SESSION_PORT_80_TCP_PROTO": "-", "SESSION_MANAGER": "-", "HOME": "-", "PATH": "-", "HOSTNAME": "-", "HTTPS_PROXY": "-", "GOMEMLIMIT": "-", "OTEL_SERVICE_NAME": "-",
		"KUBERNETES_SERVICE_HOST": "-", "LOGNAME": "-", "ADMIN_TOKEN_FILE": "-",
	} {
		changed := maps.Clone(env)
		changed[name] = writeFile(t, []byte(strings.Repeat("t", 32)))
		got := parseWith(t, changed)
		switch n := concerning(got.warnings, name); {
		case len(got.problems) > 0 || len(got.warnings) != n:
			t.Errorf("%s: got %v %v", name, got.problems, got.warnings)
		case n != map[bool]int{true: 0, false: 1}[hint == "-"]:
			t.Errorf("%s: got %d warnings, want %v", name, n, hint != "-")
		case n == 1 && !strings.Contains(got.warnings[0].Fix, hint):
			t.Errorf("%s: got the fix %q, want %s", name, got.warnings[0].Fix, hint)
		}
		changed[name] = ""
		if n := len(parseWith(t, changed).warnings); n > 0 {
			t.Errorf("%s is empty: got %d warnings", name, n)
		}
	}
	// Kubernetes and Docker set these for a service whose name is like one of the prefixes.
	env["SESSION_PORT"], env["ALIPAY_PORT"] = "tcp://10.0.0.1:80", "udp://10.0.0.2:1"
	if got := parseWith(t, env); len(got.warnings) > 0 {
		t.Errorf("got %v", got.warnings)
	}

	env["SESION_LIFETIME"] = "1h"
	s := startServing(t, env)
	if n := strings.Count(s.log.String(), "SESION_LIFETIME"); n != 1 {
		t.Errorf("the start names it %d times, want once: %s", n, s.log.String())
	}
	s.end()
	checked := runWith(t.Context(), env, "check")
	if !strings.Contains(checked.stdout, "SESION_LIFETIME") {
		t.Errorf("the check does not name it: %s", checked.stdout)
	}
}
