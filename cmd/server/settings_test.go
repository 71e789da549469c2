package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/setting"
	"koubei-landing/koubeisim"
)

// validValues returns a valid value of each setting that is not its default.
func validValues(t *testing.T) map[string]string {
	t.Helper()
	env, _ := good(t)
	certs := settingsFor(t, koubeisim.Options{Certificates: true}).env
	cert, key := certificateFiles(t)
	return map[string]string{
		"PUBLIC_URL": "https://isv.example/k", "CALLBACK_PATH": "/arrive", "HOME_URL": "/shop", "HOME_URLS": "MER=/m", "RETURN_TO_ORIGINS": "https://a.example,https://b.example",
		"ENTRY_URL": "https://koubei.example/app", "CORS_ORIGINS": "https://shop.isv.example", "FRAME_ANCESTORS": "https://koubei.example", "ARRIVAL_CHECK": "off",
		"FORWARD_AUTH_CODE": "true", "ADMIN_TOKEN": strings.Repeat("a1", 16), "TRUSTED_PROXIES": "10.0.0.0/8", "MAX_REQUESTS": "7", "ACCESS_LOG": "all",
		"CONFIRM_OPERATOR_SWITCH": "false", "OPERATOR_MEMORY": "1h", "CALLBACK_RATE": "7",
		"ALIPAY_APP_ID": env["ALIPAY_APP_ID"], "ALIPAY_APP_PRIVATE_KEY": env["ALIPAY_APP_PRIVATE_KEY"], "ALIPAY_PUBLIC_KEY": env["ALIPAY_PUBLIC_KEY"],
		"ALIPAY_APP_CERT_FILE": certs["ALIPAY_APP_CERT_FILE"], "ALIPAY_CERT_FILE": certs["ALIPAY_CERT_FILE"], "ALIPAY_ROOT_CERT_FILE": certs["ALIPAY_ROOT_CERT_FILE"],
		"ALIPAY_ENCRYPT_KEY": "MDEyMzQ1Njc4OWFiY2RlZg==", "ALIPAY_APP_AUTH_TOKEN": "202601BB", "ALIPAY_GATEWAY_URL": env["ALIPAY_GATEWAY_URL"] + "/gateway.do",
		"ALIPAY_ALLOW_HTTP": "true", "ALIPAY_SIGN_TYPE": "RSA", "ALIPAY_CHARSET": "gbk", "ALIPAY_TIMEOUT": "8s", "ALIPAY_ATTEMPT_TIMEOUT": "5s",
		"REDIS_URL": "rediss://127.0.0.1:1/0", "REDIS_MODE": "single", "REDIS_TIMEOUT": "300ms", "REDIS_KEY_PREFIX": "k:", "REDIS_CA_FILE": cert, "REDIS_CERT_FILE": cert, "REDIS_KEY_FILE": key, "REDIS_WAIT_REPLICAS": "1",
		"SEAL_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "SESSION_LIFETIME": "1h", "SESSION_IDLE_TIMEOUT": "1h", "SESSION_CACHE_TTL": "1s",
		"SESSION_COOKIE_NAME": "who", "SESSION_COOKIE_SAMESITE": "none", "SESSION_COOKIE_DOMAIN": "isv.example",
		"ASSERTION_KEYS_FILE": writeFile(t, []byte(assertionKey(t))), "ASSERTION_AUDIENCE": "a,b", "ASSERTION_TTL": "30s",
		"PUBLIC_LISTEN": "127.0.0.1:1", "INTERNAL_LISTEN": "127.0.0.1:2", "SHUTDOWN_DELAY": "1s", "SHUTDOWN_TIMEOUT": "20s", "LOG_LEVEL": "debug", "LOG_FORMAT": "text",
	}
}

// withSetting returns the values with another value of one setting.
func withSetting(values map[string]string, name, value string) map[string]string {
	env := maps.Clone(values)
	env[name] = value
	if strings.HasSuffix(name, "_CERT_FILE") && strings.HasPrefix(name, "ALIPAY_") {
		env["ALIPAY_PUBLIC_KEY"] = ""
		return env
	}
	for _, file := range certificateSettings {
		env[file] = ""
	}
	return env
}

func withFile(values map[string]string, name, path string) map[string]string {
	env := maps.Clone(values)
	env[name+"_FILE"] = path
	return env
}

func valueOf(p parsed, name string) setting.InForce {
	for _, s := range p.inForce {
		if s.Name == name {
			return s
		}
	}
	return setting.InForce{}
}

// The service warns about a shutdown timeout that may cut off a landing with a claimed code.
func TestShortShutdownWarning(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	for _, row := range []struct {
		shutdown, exchange, redis string
		warned                    bool
	}{
		{"", "", "", false}, {"13s", "", "", true}, {"15s", "12s", "", true}, {"15s", "10s", "1s", true}, {"5s", "1s", "100ms", false},
	} {
		env["SHUTDOWN_TIMEOUT"], env["ALIPAY_TIMEOUT"], env["REDIS_TIMEOUT"] = row.shutdown, row.exchange, row.redis
		got := parseWith(t, env)
		if n := concerning(got.warnings, "SHUTDOWN_TIMEOUT"); len(got.problems) > 0 || (n == 1) != row.warned {
			t.Errorf("%+v: got %v %v", row, got.problems, got.warnings)
		}
	}
}

// Every setting in effect has its source. Secrets and invalid values are not shown.
func TestSettingsInForce(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	env["ADMIN_TOKEN_FILE"] = writeFile(t, []byte(strings.Repeat("t", 32)))
	env["MAX_REQUESTS"], env["CALLBACK_RATE"], env["LOG_LEVEL"] = "5", "", " debug "
	env["PUBLIC_URL"] = "ftp://isv.example"
	got := parseWith(t, env, "--max-requests=7", "--session-lifetime", "1h")
	want := map[string]setting.InForce{
		"MAX_REQUESTS":       {Value: "7", Source: setting.Flag},
		"SESSION_LIFETIME":   {Value: "1h", Source: setting.Flag},
		"CALLBACK_RATE":      {Value: "60", Source: setting.Default},
		"LOG_LEVEL":          {Value: "debug", Source: setting.Variable},
		"ALIPAY_APP_ID":      {Value: env["ALIPAY_APP_ID"], Source: setting.Variable},
		"REDIS_KEY_PREFIX":   {Value: "koubei:" + env["ALIPAY_APP_ID"] + ":", Source: setting.Default},
		"REDIS_URL":          {Secret: true, Source: setting.Variable},
		"ADMIN_TOKEN":        {Secret: true, Source: setting.File},
		"SEAL_KEYS":          {Secret: true, Source: setting.Default},
		"ALIPAY_ENCRYPT_KEY": {Secret: true, Source: setting.Unset},
		"ENTRY_URL":          {Source: setting.Unset},
		"PUBLIC_URL":         {Invalid: true, Source: setting.Variable},
	}
	if len(got.inForce) != len(table) {
		t.Errorf("got %d settings, want %d", len(got.inForce), len(table))
	}
	for name, w := range want {
		w.Name = name
		if s := valueOf(got, name); s != w {
			t.Errorf("got %+v, want %+v", s, w)
		}
	}
	for _, s := range got.inForce {
		if s.Secret && s.Value != "" {
			t.Errorf("%s shows its value", s.Name)
		}
	}
}

// CALLBACK_PATH cannot be a route of the service or a path below one.
func TestCallbackCollidesWithNoRoute(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "/koubei", "/a/b"} {
		env, _ := good(t)
		env["PUBLIC_URL"] = "https://isv.example" + base
		config := parseWith(t, env).config
		h, err := handler.New(handler.Options{Config: config.Web})
		if err != nil {
			t.Fatal(err)
		}
		paths := map[string]bool{}
		err = chi.Walk(h.Public().(chi.Routes), func(_, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			if !strings.HasPrefix(route, config.Web.CallbackPath) {
				paths[strings.TrimSuffix(route, "/*")] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) < 7 {
			t.Fatalf("got only %v", paths)
		}
		for path := range paths {
			for _, callback := range []string{path, path + "/x", strings.TrimSuffix(path, "/switch")} {
				if strings.TrimSuffix(callback, "/") == base || callback == base+"/x" || callback == base+"//x" {
					callback = path // the identity page
				}
				env["CALLBACK_PATH"] = callback
				if concerning(parseWith(t, env).problems, "CALLBACK_PATH") != 1 {
					t.Errorf("CALLBACK_PATH=%s is not refused beside the route %s; ownPaths (internal/handler/routes.go) must list every route", callback, path)
				}
			}
		}
	}
}

// The service uses charsets that the gateway may refuse, and warns about them at the start and in the check.
func TestDoubtfulCharsetWarning(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	for charset, warned := range map[string]bool{"utf-8": false, "GBK": false, "gb2312": true, "GB18030": true} {
		env["ALIPAY_CHARSET"] = charset
		s := startServing(t, env)
		if strings.Contains(s.log.String(), "ALIPAY_CHARSET") != warned {
			t.Errorf("%s: the start says %s", charset, s.log.String())
		}
		s.end()
		got := runWith(t.Context(), env, "check", "--json")
		var findings []app.Finding
		if err := json.Unmarshal([]byte(got.stdout), &findings); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(findings, func(f app.Finding) bool {
			return f.Level == app.Warning && slices.Contains(f.Settings, "ALIPAY_CHARSET")
		}) != warned {
			t.Errorf("%s: the check finds %v", charset, findings)
		}
	}
}

// The files for TLS to Redis are read completely or refused.
func TestRedisCertificates(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	cert, key := certificateFiles(t)
	_, otherKey := certificateFiles(t)
	empty := writeFile(t, nil)
	none := filepath.Join(t.TempDir(), "none")
	for _, row := range []struct {
		name, url, ca, cert, key string
		want                     string // the settings of the only problem
	}{
		{"nothing", "redis://h:1", "", "", "", ""},
		{"authorities", "rediss://h:1", cert, "", "", ""},
		{"authorities and a certificate", "rediss://h:1", cert, cert, key, ""},
		{"a certificate", "rediss://h:1", "", cert, key, ""},
		{"without TLS", "redis://h:1", cert, "", "", "REDIS_URL REDIS_CA_FILE REDIS_CERT_FILE REDIS_KEY_FILE"},
		{"over a socket", "unix:///run/redis.sock", "", cert, key, "REDIS_URL REDIS_CA_FILE REDIS_CERT_FILE REDIS_KEY_FILE"},
		{"a certificate alone", "rediss://h:1", "", cert, "", "REDIS_CERT_FILE REDIS_KEY_FILE"},
		{"a key alone", "rediss://h:1", "", "", key, "REDIS_CERT_FILE REDIS_KEY_FILE"},
		{"a key of another certificate", "rediss://h:1", "", cert, otherKey, "REDIS_CERT_FILE REDIS_KEY_FILE"},
		{"a key among the authorities", "rediss://h:1", key, "", "", "REDIS_CA_FILE"},
		{"an empty file", "rediss://h:1", empty, "", "", "REDIS_CA_FILE"},
		{"no file", "rediss://h:1", none, "", "", "REDIS_CA_FILE"},
	} {
		for _, mode := range []string{"single", "sentinel", "cluster"} {
			env["REDIS_MODE"], env["REDIS_URL"], env["REDIS_CA_FILE"], env["REDIS_CERT_FILE"], env["REDIS_KEY_FILE"] = mode, row.url, row.ca, row.cert, row.key
			if mode == "sentinel" {
				env["REDIS_URL"] += "?master_name=m"
			}
			if mode != "single" && strings.HasPrefix(row.url, "unix:") {
				continue
			}
			got := parseWith(t, env)
			if row.want == "" {
				if r := got.config.Redis; len(got.problems) > 0 || (r.Authorities != nil) != (row.ca != "") || (r.Certificate != nil) != (row.cert != "") {
					t.Errorf("%s, %s: got %v", row.name, mode, got.problems)
				}
				continue
			}
			if len(got.problems) != 1 || strings.Join(got.problems[0].Settings, " ") != row.want {
				t.Errorf("%s, %s: got %v, want a problem of %s", row.name, mode, got.problems, row.want)
			}
		}
	}
}

// Every setting with bounds or a list of values, at and just past its bounds.
func TestBounds(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	for name, row := range map[string]struct{ valid, invalid string }{
		"SESSION_LIFETIME":        {"1s 24h 90m", "0s 24h1s 1d 12 -1h"},
		"SESSION_IDLE_TIMEOUT":    {"0 0s 24h", "-1s 25h"},
		"SESSION_CACHE_TTL":       {"0 500ms 1h", "-1s 61m"},
		"OPERATOR_MEMORY":         {"0 1s 720h 2160h", "-1s 2160h1s 90d"},
		"ASSERTION_TTL":           {"1s 1h", "0 61m"},
		"ALIPAY_TIMEOUT":          {"10ms 5m", "9ms 6m"},
		"ALIPAY_ATTEMPT_TIMEOUT":  {"10ms 10s", "0 6m"},
		"REDIS_TIMEOUT":           {"1ms 1m", "0 61s"},
		"SHUTDOWN_DELAY":          {"0 1h", "-1s 61m"},
		"SHUTDOWN_TIMEOUT":        {"1ms 1h", "0 61m"},
		"MAX_REQUESTS":            {"1 1000000", "0 1000001 1.5 ten"},
		"CALLBACK_RATE":           {"0 60", "-1 60/m"},
		"REDIS_WAIT_REPLICAS":     {"0 2", "-1 101"},
		"ACCESS_LOG":              {"all public off", "none true"},
		"ARRIVAL_CHECK":           {"auto off", "on true"},
		"CONFIRM_OPERATOR_SWITCH": {"true false 1 0", "yes on"},
		"FORWARD_AUTH_CODE":       {"true false", "yes"},
		"ALIPAY_ALLOW_HTTP":       {"true false", "yes"},
		"ALIPAY_SIGN_TYPE":        {"RSA2 RSA", "SM2 rsa2"},
		"ALIPAY_CHARSET":          {"utf-8 UTF-8 gbk GBK gb2312 gb18030", "utf8 latin1"},
		"REDIS_MODE":              {"single cluster", "Single galaxy"},
		"SESSION_COOKIE_SAMESITE": {"lax Lax", "none strict Strict off"},
		"LOG_LEVEL":               {"debug info WARN error", "loud"},
		"LOG_FORMAT":              {"json text", "xml"},
		"ADMIN_TOKEN":             {strings.Repeat("a", 32), strings.Repeat("a", 31) + " " + strings.Repeat("é", 32)},
		"TRUSTED_PROXIES":         {"10.0.0.0/8 ::1/128,10.1.2.3/32", "10.0.0.1 10.0.0.0/33 proxy"},
		"SESSION_COOKIE_NAME":     {"s koubei-session", "__Host-s a=b a;b"},
		"PUBLIC_URL":              {"https://isv.example:8443 https://isv.example/ HTTPS://ISV.example/k/", "https://isv.example:12345678 isv.example https://isv.example/a/../b"},
		"CORS_ORIGINS":            {"https://shop.isv.example:8443", "https://shop.isv.example:12345678 https://shop.isv.example/x null *"},
		"REDIS_URL": {"redis://h:1 rediss://u:p@h:1/0 unix:///run/redis.sock redis://h:1?pool_size=5",
			"redis://u:12345678 redis://h:1/x http://h:1 h:1 unix://h/run/redis.sock redis://h:1#f redis://h:1?read_only=true redis://h:1?route_by_latency=true redis://h:1?route_randomly=true redis://h:1?replica_only=true redis://h:1?unheard=of"},
	} {
		for value := range strings.FieldsSeq(row.valid) {
			if got := parseWith(t, withText(env, name, value)); len(got.problems) > 0 {
				t.Errorf("%s=%s: got %v", name, value, got.problems)
			}
		}
		for value := range strings.FieldsSeq(row.invalid) {
			if got := parseWith(t, withText(env, name, value)); concerning(got.problems, name) != 1 {
				t.Errorf("%s=%s: got %v, want one problem", name, value, got.problems)
			}
		}
	}
}

func withText(env map[string]string, name, value string) map[string]string {
	changed := maps.Clone(env)
	changed[name] = value
	return changed
}

// TestDefaults: the settings without a variable are those that app.Defaults returns to other programs.
func TestDefaults(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	p := parseWith(t, map[string]string{
		"ALIPAY_APP_ID": env["ALIPAY_APP_ID"], "ALIPAY_APP_PRIVATE_KEY": env["ALIPAY_APP_PRIVATE_KEY"], "ALIPAY_PUBLIC_KEY": env["ALIPAY_PUBLIC_KEY"],
		"REDIS_URL": env["REDIS_URL"],
	})
	if len(p.problems) > 0 {
		t.Fatal(p.problems)
	}
	got, want := p.config, app.Defaults(env["ALIPAY_APP_ID"])
	want.Web.Targets = got.Web.Targets
	want.Alipay.PrivateKey, want.Alipay.PublicKey, want.Alipay.GatewayURL = got.Alipay.PrivateKey, got.Alipay.PublicKey, got.Alipay.GatewayURL
	want.Alipay.SignType, want.Alipay.Charset = alipay.RSA2, alipay.UTF8 // what an empty value means
	want.Redis.URL = got.Redis.URL
	want.Session.SealKeys = got.Session.SealKeys
	for group, pair := range map[string][2]any{
		"Web": {got.Web, want.Web}, "Landing": {got.Landing, want.Landing}, "Alipay": {got.Alipay, want.Alipay},
		"Redis": {got.Redis, want.Redis}, "Session": {got.Session, want.Session}, "Operations": {got.Operations, want.Operations},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %+v, want %+v", group, pair[0], pair[1])
		}
	}
}
