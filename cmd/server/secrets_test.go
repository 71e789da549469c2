package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// marked is a secret that looks like part of a key. No eight characters of it may be printed.
const marked = "Zq7WxK9vT2mRb4NsYh6LpCd8Fg3JtUe5"

// keyOf is a text like a private key, without line breaks, all of it marked.
var keyOf = strings.Repeat(marked, 40)

// place is a wrong place for a secret: variables and arguments that hold it.
type place struct {
	name string
	env  map[string]string
	args []string // after the command
}

// places returns the wrong places.
func places(t *testing.T) []place {
	t.Helper()
	pemOf := "-----BEGIN PRIVATE KEY-----\n" + keyOf + "\n-----END PRIVATE KEY-----\n"
	certOf := "-----BEGIN CERTIFICATE-----\n" + keyOf + "\n-----END CERTIFICATE-----\n"
	var all []place
	add := func(name string, env map[string]string, args ...string) { all = append(all, place{name, env, args}) }

	// A secret as the value of every setting, and of its NAME_FILE.
	for _, f := range table {
		for _, value := range []string{marked, pemOf} {
			if f.name != "ALIPAY_APP_ID" && f.name != "REDIS_KEY_PREFIX" && f.name != "ASSERTION_AUDIENCE" && f.name != "SESSION_COOKIE_NAME" { // any text is valid
				add(f.name+" is a secret", map[string]string{f.name: value})
			}
		}
		if !f.secret && f.name != "ASSERTION_AUDIENCE" && f.name != "REDIS_KEY_PREFIX" {
			add("--"+f.flag+" is a key", nil, "--"+f.flag+"="+keyOf)
		}
		if f.secret {
			for _, value := range []string{marked, keyOf, pemOf, `"` + marked + `"`} {
				add(f.name+"_FILE is a secret", map[string]string{f.name: "", f.name + "_FILE": value})
			}
			add("both forms of "+f.name, map[string]string{f.name: keyOf, f.name + "_FILE": marked})
		}
		add("quotes around "+f.name, map[string]string{f.name: `"` + marked + `"`})
		add("full width in "+f.name, map[string]string{f.name: marked + "，" + marked})
	}

	// Files with the wrong content.
	for _, name := range []string{"ALIPAY_APP_CERT_FILE", "ALIPAY_CERT_FILE", "ALIPAY_ROOT_CERT_FILE", "ASSERTION_KEYS_FILE", "REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE"} {
		for kind, content := range map[string]string{"text": marked, "base64": keyOf, "key": pemOf, "certificate": certOf, "headers": "-----BEGIN X-----\n" + marked + ": " + marked + "\n\n" + keyOf + "\n-----END X-----\n"} {
			path := writeFile(t, []byte(content))
			add(name+" names a file of "+kind, map[string]string{
				"ALIPAY_PUBLIC_KEY": "", "ALIPAY_APP_CERT_FILE": path, "ALIPAY_CERT_FILE": path, "ALIPAY_ROOT_CERT_FILE": path,
				"REDIS_URL": "rediss://127.0.0.1:1", "REDIS_CERT_FILE": path, "REDIS_KEY_FILE": path, name: path})
		}
	}

	// Addresses of Redis. The password has a character that must be escaped, at every position, in every mode.
	for _, mode := range []string{"single", "sentinel", "cluster"} {
		for _, c := range []string{"/", "?", "#", "@", "%", " ", "，"} {
			for _, password := range []string{c + marked, marked + c + marked, "12" + c + marked, "p@127.0.0.1" + c + marked} {
				for _, scheme := range []string{"redis", "unix"} {
					add(mode+" "+scheme+" "+password, map[string]string{"REDIS_MODE": mode, "REDIS_URL": scheme + "://:" + password + "@127.0.0.1:1/0"})
				}
			}
		}
		for _, url := range []string{
			marked + "://127.0.0.1:1", marked, "redis:" + marked, "redis:///" + marked, "redis://127.0.0.1:1/" + marked, "redis://127.0.0.1:" + marked,
			"redis://127.0.0.1:1?password=" + marked, "redis://127.0.0.1:1?" + marked + "=1", "redis://127.0.0.1:1?dial_timeout=" + marked, "redis://127.0.0.1:1/0#" + marked,
			"http://:" + marked + "@127.0.0.1:1", "redis://u:" + marked + "@[::1", "redis://u:" + marked + "@127.0.0.1:1:2",
		} {
			add(mode+" "+url, map[string]string{"REDIS_MODE": mode, "REDIS_URL": url})
		}
	}

	// Other malformed addresses.
	for _, name := range []string{"PUBLIC_URL", "ALIPAY_GATEWAY_URL", "ENTRY_URL", "HOME_URL", "HOME_URLS", "RETURN_TO_ORIGINS", "CORS_ORIGINS", "FRAME_ANCESTORS", "TRUSTED_PROXIES", "PUBLIC_LISTEN", "INTERNAL_LISTEN"} {
		for _, value := range []string{
			"https://u:" + marked + "@h.example", "https://h.example?" + marked + "=1", "https://h.example#" + marked, "https://h.example:" + marked, "https://[" + marked,
			marked + "://h.example", "%" + marked, "https://h.example/{" + marked + "}", "MER=https://u:" + marked + "@h.example", marked + "=/x", ":" + marked, "unix:" + marked,
		} {
			if (name == "ENTRY_URL" || name == "HOME_URL" || name == "HOME_URLS") && strings.ContainsAny(value, "?#") {
				continue // a valid address
			}
			add(name+"="+value, map[string]string{name: value})
		}
	}

	// Variables of OpenTelemetry.
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:" + marked + "@[::1", "OTEL_EXPORTER_OTLP_HEADERS": "authorization:" + marked, "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=%zz" + marked,
		"OTEL_TRACES_EXPORTER": marked, "OTEL_EXPORTER_OTLP_PROTOCOL": marked,
	} {
		env := map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}
		env[name] = value
		add(name, env)
	}

	// Secrets in their right places, with an unreachable Redis.
	for _, mode := range []string{"single", "sentinel", "cluster"} {
		add("REDIS_URL, "+mode, map[string]string{"REDIS_MODE": mode, "REDIS_URL": "redis://u:" + marked + "@127.0.0.1:1"})
	}
	add("ADMIN_TOKEN and others", map[string]string{"ADMIN_TOKEN": marked, "ALIPAY_APP_AUTH_TOKEN": marked})

	// Arguments.
	for _, arg := range []string{
		"REDIS_URL=redis://:" + marked + "@h/0", "ALIPAY_APP_PRIVATE_KEY=" + keyOf, "ADMIN_TOKEN=" + marked, "LOG_LEVEL=" + marked, marked, keyOf, pemOf,
		"--redis-url=redis://:" + marked + "@h/0", "--" + marked, "--" + marked + "=1", "--admin-token=" + marked, "--max-request=" + marked, "-" + marked, "--json=" + marked, "--version=" + marked, "--help=" + marked,
	} {
		add("argument "+arg, nil, arg)
	}
	add("argument after a flag", nil, "--redis-url", marked)
	add("value that looks like a flag", nil, "--log-level", "-"+marked)
	return all
}

// No command prints any part of a secret in a wrong place.
func TestSecretsInWrongPlacesAreNotPrinted(t *testing.T) {
	t.Parallel()
	c := settingsFor(t, koubeisim.Options{})
	c.stop() // no command waits for the gateway
	c.env["REDIS_URL"] = testworld.StartRedis(t).URL()
	c.env["ALIPAY_TIMEOUT"] = "10ms"
	c.env["PUBLIC_LISTEN"] = "192.0.2.1:1" // an address of another machine: serve ends even if it accepts the settings
	c.env["INTERNAL_LISTEN"] = "127.0.0.1:1"
	fragments := map[string]bool{}
	for i := range len(marked+marked) - 7 {
		fragments[strings.ToLower((marked + marked)[i:i+8])] = true
	}
	commands := [][]string{{"serve"}, {"check"}, {"check", "--json"}, {"sessions", "list", "--operator=1"}, {"sessions", "revoke", "--operator=1"}, {"healthcheck"}}
	for i, p := range places(t) {
		env := maps.Clone(c.env)
		maps.Copy(env, p.env)
		for j, command := range commands {
			// All commands read the settings in the same way, so only every fourth place is tried with another command too.
			// Redis's address always is, because only the other commands connect.
			other := i%4 == 0 && j == 1+i/4%(len(commands)-1) || command[0] == "check" && p.env["REDIS_URL"] != ""
			if len(p.args) == 0 && command[0] != "serve" && !other {
				continue
			}
			got := runWith(t.Context(), env, slices.Concat(command, p.args)...)
			if shown := firstOf(got.stdout+got.stderr, fragments); shown != "" {
				t.Errorf("%s, %v: prints %q; a setting must refuse a key (p.add) or be secret:\n%.1000s", p.name, command, shown, got.stdout+got.stderr)
			}
			if command[0] == "serve" && got.code == exitOK {
				t.Errorf("%s: serve ends with exit code 0", p.name)
			}
			if command[0] == "serve" && strings.Contains(got.stderr, "_*") {
				t.Errorf("%s: names a pattern of variables: %s", p.name, got.stderr)
			}
		}
	}
}

// firstOf returns the first eight characters of text that are among the fragments.
func firstOf(text string, fragments map[string]bool) string {
	lower := strings.ToLower(text)
	for i := range len(lower) - 7 {
		if fragments[lower[i:i+8]] {
			return text[i : i+8]
		}
	}
	return ""
}

// The path of an unreadable file is not printed, because it may be a secret.
func TestPathsAreNotPrinted(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	dir := filepath.Join(t.TempDir(), marked)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range table {
		name := f.name
		switch {
		case f.secret:
			name += "_FILE"
		case !strings.HasSuffix(name, "_FILE"):
			continue
		}
		for _, path := range []string{dir, dir + "/none", strings.Repeat(marked, 200), marked + "\x00"} {
			changed := maps.Clone(env)
			changed[strings.TrimSuffix(name, "_FILE")] = ""
			changed[name] = path
			got := runWith(t.Context(), changed, "serve")
			if got.code != exitUsage || strings.Contains(got.stderr, marked[:8]) {
				t.Errorf("%s=%.60q: got %d %s", name, path, got.code, got.stderr)
			}
		}
	}
}
