package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"koubei-landing/koubeisim"
)

// utf16File returns a text in UTF-16 with a byte order mark, as Windows editors save it.
func utf16File(text string, mark ...byte) []byte {
	raw := mark
	for _, unit := range utf16.Encode([]rune(text)) {
		if mark[0] == 0xff {
			raw = append(raw, byte(unit), byte(unit>>8))
		} else {
			raw = append(raw, byte(unit>>8), byte(unit))
		}
	}
	return raw
}

// Every setting, in its variable, its flag and its file: white space and a byte order mark around the value are dropped,
// quotes around it are refused.
func TestTextAroundValues(t *testing.T) {
	t.Parallel()
	values := validValues(t)
	for _, f := range table {
		value, ok := values[f.name]
		if !ok {
			t.Fatalf("validValues lacks a value of %s", f.name)
		}
		if strings.HasPrefix(f.name, "ALIPAY_") && strings.HasSuffix(f.name, "_CERT_FILE") {
			continue // TestTextAroundPaths tests them, because they belong to another key
		}
		plain := parseWith(t, withSetting(values, f.name, value))
		if len(plain.problems) > 0 {
			t.Errorf("%s: got %v", f.name, plain.problems)
			continue
		}
		for _, row := range []struct {
			before, after string
			refused       bool
		}{
			{"\ufeff", " \r\n", false}, {"\t\u3000", "\u00a0", false}, {`"`, `"`, true}, {" '", "' ", true}, {"“", "”", true},
		} {
			text := row.before + value + row.after
			name := fmt.Sprintf("%s %q", f.name, row.before+"…"+row.after)
			ways := map[string]parsed{"variable": parseWith(t, withSetting(values, f.name, text))}
			if f.secret {
				ways["file"] = parseWith(t, withSetting(withFile(values, f.name, writeFile(t, []byte(text))), f.name, ""))
			} else {
				ways["flag"] = parseWith(t, withSetting(values, f.name, ""), "--"+f.flag+"="+text)
			}
			for way, got := range ways {
				if n := concerning(got.problems, f.name); row.refused != (n == 1) || len(got.problems) != n {
					t.Errorf("%s in a %s: got %v, want refused %v", name, way, got.problems, row.refused)
				}
				if !row.refused && valueOf(got, f.name).Value != valueOf(plain, f.name).Value {
					t.Errorf("%s in a %s: got %q, want %q", name, way, valueOf(got, f.name).Value, valueOf(plain, f.name).Value)
				}
			}
		}
		if f.secret {
			for _, mark := range [][]byte{{0xff, 0xfe}, {0xfe, 0xff}} {
				env := withSetting(withFile(values, f.name, writeFile(t, utf16File(value+"\r\n", mark...))), f.name, "")
				if got := parseWith(t, env); len(got.problems) > 0 {
					t.Errorf("%s in a UTF-16 file: got %v", f.name, got.problems)
				}
			}
		}
	}
}

// The same for the path of a secret's file and for the paths of certificates.
func TestTextAroundPaths(t *testing.T) {
	t.Parallel()
	certs := settingsFor(t, koubeisim.Options{Certificates: true}).env
	token := writeFile(t, []byte(strings.Repeat("t", 32)))
	for _, name := range slices.Concat(certificateSettings, []string{"ADMIN_TOKEN_FILE"}) {
		for _, row := range []struct {
			before, after string
			refused       bool
		}{{"", "", false}, {" ", "\n", false}, {"\ufeff", "", false}, {`"`, `"`, true}, {"'", "'", true}} {
			env := maps.Clone(certs)
			env["ADMIN_TOKEN_FILE"] = token
			env[name] = row.before + env[name] + row.after
			got := parseWith(t, env)
			if n := concerning(got.problems, name); len(got.problems) != n || row.refused != (n == 1) {
				t.Errorf("%q around %s: got %v, want refused %v", row.before+row.after, name, got.problems, row.refused)
			}
		}
	}
}

// Full-width punctuation in lists and addresses is refused with that reason.
func TestFullWidthPunctuation(t *testing.T) {
	t.Parallel()
	values := validValues(t)
	for name, value := range map[string]string{
		"ASSERTION_AUDIENCE": "a，b", "RETURN_TO_ORIGINS": "https://a.example、https://b.example", "CORS_ORIGINS": "https：//shop.isv.example", "FRAME_ANCESTORS": "https://koubei。example",
		"TRUSTED_PROXIES": "10.0.0.0／8", "HOME_URLS": "MER＝/m", "HOME_URL": "/shop？partner_id={partner_id}", "ENTRY_URL": "https://koubei.example／app", "PUBLIC_URL": "https://isv.example／k",
		"CALLBACK_PATH": "／arrive", "ALIPAY_GATEWAY_URL": "https：//openapi.alipay.com/gateway.do", "REDIS_URL": "rediss://127.0.0.1：1/0",
		"SEAL_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=，MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "PUBLIC_LISTEN": "127.0.0.1：1", "INTERNAL_LISTEN": "：9090",
		"SESSION_COOKIE_DOMAIN": "isv．example",
	} {
		got := parseWith(t, withSetting(values, name, value)).problems
		if len(got) != 1 || got[0].Settings[0] != name || !strings.Contains(got[0].Problem, "full-width") {
			t.Errorf("%s=%s: got %v, want one problem that names the punctuation", name, value, got)
		}
	}
}

// Host names in Unicode are used as browsers send them.
func TestUnicodeHosts(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	maps.Copy(env, map[string]string{
		"PUBLIC_URL": "https://店.ISV.example", "SESSION_COOKIE_DOMAIN": "店.isv.example", "SESSION_COOKIE_SAMESITE": "none",
		"CORS_ORIGINS": "https://Bücher.isv.example:8443, https://店.isv.example:443", "RETURN_TO_ORIGINS": "https://ｓｈｏｐ.isv.example", "FRAME_ANCESTORS": "https://口碑.example",
		"ENTRY_URL": "https://口碑.example/应用?a=b", "HOME_URL": "https://店.isv.example/p/{partner_id}", "HOME_URLS": "MER=https://ｓｈｏｐ.isv.example/m",
		"ALIPAY_GATEWAY_URL": "https://网关.example/gateway.do", "REDIS_URL": "redis://:p%40ss@缓存.example:6379/0", "PUBLIC_LISTEN": "店.isv.example:80",
	})
	got := parseWith(t, env)
	if len(got.problems) > 0 {
		t.Fatal(got.problems)
	}
	c := got.config
	for _, row := range []struct{ name, got, want string }{
		{"PUBLIC_URL", c.Web.PublicURL.String(), "https://xn--hxt.isv.example"},
		{"SESSION_COOKIE_DOMAIN", c.Session.Cookie.Domain, "xn--hxt.isv.example"},
		{"CORS_ORIGINS", strings.Join(c.Web.CORSOrigins, " "), "https://xn--bcher-kva.isv.example:8443 https://xn--hxt.isv.example"},
		{"RETURN_TO_ORIGINS", strings.Join(c.Web.ReturnToOrigins, " "), "https://shop.isv.example"},
		{"FRAME_ANCESTORS", strings.Join(c.Web.FrameAncestors, " "), "https://xn--6oro76f.example"},
		{"ENTRY_URL", c.Web.EntryURL, "https://xn--6oro76f.example/%E5%BA%94%E7%94%A8?a=b"},
		{"ASSERTION_AUDIENCE", strings.Join(c.Assertions.Audiences, " "), "https://xn--hxt.isv.example"},
		{"ALIPAY_GATEWAY_URL", c.Alipay.GatewayURL.String(), "https://xn--d6q013i.example/gateway.do"},
		{"REDIS_URL", c.Redis.URL, "redis://:p%40ss@xn--q8s744f.example:6379/0"},
		{"PUBLIC_LISTEN", c.Operations.PublicListen, "xn--hxt.isv.example:80"},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, row.got, row.want)
		}
	}
	for _, name := range []string{"PUBLIC_URL", "CORS_ORIGINS", "RETURN_TO_ORIGINS", "FRAME_ANCESTORS", "ENTRY_URL", "ALIPAY_GATEWAY_URL"} {
		changed := maps.Clone(env)
		changed[name] = "https://\u202eabc.example"
		if concerning(parseWith(t, changed).problems, name) != 1 {
			t.Errorf("%s: a host that no browser takes is not refused", name)
		}
	}
}
