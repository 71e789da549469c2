package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// contract lists the settings of the contract. A ° marks a secret; the text after = is the default, if it is a value.
var contract = strings.Fields(`
	ACCESS_LOG=public OPERATOR_MEMORY=720h REDIS_CA_FILE REDIS_CERT_FILE REDIS_KEY_FILE PUBLIC_LISTEN=:8080 INTERNAL_LISTEN=127.0.0.1:9090 PUBLIC_URL=http://localhost:8080 CALLBACK_PATH=/koubei/callback
	ALIPAY_APP_ID ALIPAY_APP_PRIVATE_KEY° ALIPAY_PUBLIC_KEY° ALIPAY_APP_CERT_FILE ALIPAY_CERT_FILE ALIPAY_ROOT_CERT_FILE
	ALIPAY_ENCRYPT_KEY° ALIPAY_APP_AUTH_TOKEN° ALIPAY_GATEWAY_URL=https://openapi.alipay.com/gateway.do ALIPAY_ALLOW_HTTP=false
	ALIPAY_SIGN_TYPE=RSA2 ALIPAY_CHARSET=utf-8 ALIPAY_TIMEOUT=10s ALIPAY_ATTEMPT_TIMEOUT=6s
	REDIS_URL° REDIS_MODE=single REDIS_TIMEOUT=500ms REDIS_KEY_PREFIX REDIS_WAIT_REPLICAS=0
	SEAL_KEYS° SESSION_LIFETIME=12h SESSION_IDLE_TIMEOUT=2h SESSION_CACHE_TTL=0s
	SESSION_COOKIE_NAME=koubei_session SESSION_COOKIE_SAMESITE=lax SESSION_COOKIE_DOMAIN FRAME_ANCESTORS ARRIVAL_CHECK=auto
	HOME_URL=/ HOME_URLS RETURN_TO_ORIGINS CORS_ORIGINS ENTRY_URL CONFIRM_OPERATOR_SWITCH=true FORWARD_AUTH_CODE=false
	ASSERTION_KEYS_FILE ASSERTION_AUDIENCE ASSERTION_TTL=60s ADMIN_TOKEN° CALLBACK_RATE=60 TRUSTED_PROXIES MAX_REQUESTS=1000
	SHUTDOWN_DELAY=0s SHUTDOWN_TIMEOUT=15s LOG_LEVEL=info LOG_FORMAT=json OTEL_*=off`)

// The settings and their defaults are those of the contract.
func TestSettingsAreTheContracts(t *testing.T) {
	t.Parallel()
	var got []string
	for _, r := range settingsRows() {
		name := strings.NewReplacer("`", "", " ", "").Replace(r.variable)
		if preset := strings.Trim(r.preset, "`"); preset != "" && preset != "required" {
			name += "=" + preset
		}
		got = append(got, name)
	}
	for _, name := range got {
		if !slices.Contains(contract, name) {
			t.Errorf("%s is not in the contract; if it is new, add it there", name)
		}
	}
	for _, name := range contract {
		if !slices.Contains(got, name) {
			t.Errorf("%s is in the contract, but the settings lack it", name)
		}
	}
}

// The help of each command lists all settings: the flags with their defaults, and the secrets.
func TestHelpListsAllSettings(t *testing.T) {
	t.Parallel()
	for _, command := range [][]string{{"serve"}, {"check"}, {"sessions", "list"}, {"sessions", "revoke"}} {
		got := runWith(t.Context(), nil, append(command, "--help")...)
		text := regexp.MustCompile(`\s+`).ReplaceAllString(got.stdout, " ")
		for _, r := range settingsRows() {
			name, secret := strings.CutSuffix(strings.ReplaceAll(r.variable, "`", ""), " °")
			want := " " + name + " " + r.meaning
			if !secret && name != "OTEL_*" {
				want = " --" + strings.ToLower(strings.ReplaceAll(name, "_", "-")) + "="
				if preset := strings.Trim(r.preset, "`"); preset != "" && preset != "required" {
					want += `"` + preset + `" `
				}
			}
			if !strings.Contains(text, want) {
				t.Errorf("%s --help lacks %q", strings.Join(command, " "), want)
			}
		}
	}
}

// A secret comes from its variable or from a readable file, not from both.
func TestEverySecretFromOneFileOnly(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	secrets := 0
	for _, f := range table {
		if !f.secret {
			continue
		}
		secrets++
		for _, row := range []struct{ name, value, file string }{
			{"variable and file", "x", "/dev/null"},
			{"empty file", "", "/dev/null"},
			{"no such file", "", "/nowhere/x"},
			{"directory", "", "/"},
		} {
			changed := maps.Clone(env)
			changed[f.name], changed[f.name+"_FILE"] = row.value, row.file
			if got := parseWith(t, changed).problems; len(got) != 1 || !slices.Equal(got[0].Settings, []string{f.name, f.name + "_FILE"}) {
				t.Errorf("%s, %s: got %v, want one problem of both variables", f.name, row.name, got)
			}
		}
	}
	if want := strings.Count(strings.Join(contract, " "), "°"); secrets != want {
		t.Errorf("got %d secrets, want %d", secrets, want)
	}
}
