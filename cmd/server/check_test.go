package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// checked are settings to check, and their koubeisim.
type checked struct {
	env    map[string]string
	koubei *koubeisim.Koubei
	stop   func() // the gateway
}

// settingsFor returns settings that work with a koubeisim of these options, but without Redis.
func settingsFor(t *testing.T, o koubeisim.Options) checked {
	t.Helper()
	k := testworld.NewKoubei(o)
	gateway := httptest.NewServer(k.Gateway())
	t.Cleanup(gateway.Close)
	env := map[string]string{
		"ALIPAY_APP_ID":          k.AppID(),
		"ALIPAY_APP_PRIVATE_KEY": k.AppPrivateKey(),
		"ALIPAY_PUBLIC_KEY":      k.AlipayPublicKey(),
		"ALIPAY_GATEWAY_URL":     gateway.URL + "/gateway.do",
		"REDIS_URL":              "redis://127.0.0.1:1/0",
		"REDIS_TIMEOUT":          "100ms",
	}
	if o.Certificates {
		env["ALIPAY_PUBLIC_KEY"] = ""
		c := k.Certificates()
		dir := t.TempDir()
		for name, content := range map[string][]byte{"ALIPAY_APP_CERT_FILE": c.App, "ALIPAY_CERT_FILE": c.Alipay, "ALIPAY_ROOT_CERT_FILE": c.Root} {
			env[name] = filepath.Join(dir, name)
			if err := os.WriteFile(env[name], content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return checked{env, k, gateway.Close}
}

// check runs server check --json and returns its findings.
func (c checked) check(t *testing.T) (findings []app.Finding, code int) {
	t.Helper()
	got := runWith(t.Context(), c.env, "check", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &findings); err != nil {
		t.Fatalf("got %q, %v", got.stdout, err)
	}
	if got.stderr != "" {
		t.Errorf("got %q on stderr: what is wrong belongs to the findings, once", got.stderr)
	}
	for _, f := range findings {
		if problem := f.Level == app.Failure || f.Level == app.Warning; problem != (f.Fix != "") {
			t.Errorf("%+v: a fix belongs to a problem", f)
		}
	}
	return findings, got.code
}

// has reports whether a finding of the level has the text in its settings, detail or fix.
func has(findings []app.Finding, check string, level app.Level, text string) bool {
	return slices.ContainsFunc(findings, func(f app.Finding) bool {
		return f.Check == check && f.Level == level && strings.Contains(strings.Join(f.Settings, ", ")+" "+f.Detail+" → "+f.Fix, text)
	})
}

// failures returns the names of the failed checks.
func failures(findings []app.Finding) string {
	var names []string
	for _, f := range findings {
		if f.Level == app.Failure {
			names = append(names, f.Check)
		}
	}
	return strings.Join(names, " ")
}

func TestCheckInKeyMode(t *testing.T) {
	t.Parallel()
	redis := testworld.StartRedis(t)
	c := settingsFor(t, koubeisim.Options{EncryptKey: []byte("0123456789abcdef")})
	c.env["REDIS_URL"] = redis.URL()
	c.env["REDIS_TIMEOUT"] = "2s" // the machine may be busy
	c.env["ALIPAY_ENCRYPT_KEY"] = "MDEyMzQ1Njc4OWFiY2RlZg=="
	got, code := c.check(t)
	if code != exitOK {
		t.Errorf("got exit code %d, want 0", code)
	}
	for _, want := range []struct{ check, text string }{
		{"settings", ""},
		{"mode", "public keys, AES content encryption; RSA2, utf-8"},
		{"app key", "2048 bits"},
		{"alipay key", "2048 bits"},
		{"gateway", "knows the application and its signature"},
		{"clock", ""},
		{"redis", "version "},
		{"redis role", "master"},
		{"redis memory", "noeviction"},
	} {
		if !has(got, want.check, app.OK, want.text) {
			t.Errorf("%s: want ok and %q in %+v", want.check, want.text, got)
		}
	}
	if n := len(c.koubei.Calls()); n != 1 {
		t.Errorf("the gateway was called %d times, want once", n)
	}
}

func TestCheckInCertificateMode(t *testing.T) {
	t.Parallel()
	redis := testworld.StartRedis(t)
	c := settingsFor(t, koubeisim.Options{Certificates: true})
	c.env["REDIS_URL"] = redis.URL()
	c.env["REDIS_TIMEOUT"] = "2s" // the machine may be busy
	got, code := c.check(t)
	if code != exitOK {
		t.Errorf("got exit code %d, want 0", code)
	}
	sn := map[string]int{"app_cert_sn": 32, "alipay_cert_sn": 32, "alipay_root_cert_sn": 32}
	for _, f := range got {
		if n, ok := sn[f.Check]; ok && len(f.Detail) == n {
			delete(sn, f.Check)
		}
	}
	if len(sn) > 0 {
		t.Errorf("no %v in %+v", sn, got)
	}
	for _, name := range []string{"app", "alipay", "intermediate", "root"} {
		if !has(got, name+" certificate", app.OK, "days left") {
			t.Errorf("no dates of the %s certificate in %+v", name, got)
		}
	}
	if !has(got, "mode", app.OK, "certificates; RSA2") || !has(got, "gateway", app.OK, "knows the application") {
		t.Errorf("got %+v", got)
	}
}

// Each case has one problem, which the check must report in the right place.
func TestCheckTellsProblemsApart(t *testing.T) {
	t.Parallel()
	redis := testworld.StartRedis(t)
	other, err := koubeisim.New(koubeisim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		options koubeisim.Options
		spoil   func(checked)
		failed  string // the checks
		check   string
		text    string
	}{
		{"another app id", koubeisim.Options{}, func(c checked) { c.env["ALIPAY_APP_ID"] = other.AppID() },
			"gateway", "gateway", "does not know the app id"},
		{"another app id: the cure", koubeisim.Options{}, func(c checked) { c.env["ALIPAY_APP_ID"] = other.AppID() },
			"gateway", "gateway", "→ Check ALIPAY_APP_ID"},
		{"another private key", koubeisim.Options{}, func(c checked) { c.env["ALIPAY_APP_PRIVATE_KEY"] = other.AppPrivateKey() },
			"gateway", "gateway", "does not accept the application's signature"},
		{"another private key: the cure", koubeisim.Options{}, func(c checked) { c.env["ALIPAY_APP_PRIVATE_KEY"] = other.AppPrivateKey() },
			"gateway", "gateway", "→ Upload the public key that belongs to ALIPAY_APP_PRIVATE_KEY"},
		{"another Alipay's public key", koubeisim.Options{}, func(c checked) { c.env["ALIPAY_PUBLIC_KEY"] = other.AlipayPublicKey() },
			"gateway", "gateway", "→ Check that ALIPAY_PUBLIC_KEY"},
		{"our own public key", koubeisim.Options{}, func(c checked) { c.env["ALIPAY_PUBLIC_KEY"] = ownPublicKey(t, c.env["ALIPAY_APP_PRIVATE_KEY"]) },
			"settings", "settings", "ALIPAY_PUBLIC_KEY"},
		{"another app's certificate", koubeisim.Options{Certificates: true}, func(c checked) { c.env["ALIPAY_APP_PRIVATE_KEY"] = other.AppPrivateKey() },
			"settings", "settings", "ALIPAY_APP_CERT_FILE, ALIPAY_APP_PRIVATE_KEY"},
		{"the gateway is down", koubeisim.Options{}, func(c checked) { c.stop() },
			"gateway", "gateway", "→ Check ALIPAY_GATEWAY_URL"},
		{"the gateway is down: what it says", koubeisim.Options{}, func(c checked) { c.stop() }, "gateway", "gateway", " is unavailable: the gateway"},
		{"no right to the interface", koubeisim.Options{}, func(c checked) { c.koubei.Next(koubeisim.NoPermission) },
			"gateway", "gateway", " refused the call: "},
		{"another Alipay's public key: what it says", koubeisim.Options{}, func(c checked) { c.env["ALIPAY_PUBLIC_KEY"] = other.AlipayPublicKey() },
			"gateway", "gateway", "that Alipay's key did not sign"},
		{"the sign type", koubeisim.Options{SignType: "RSA"}, func(checked) {},
			"gateway", "gateway", "→ Upload the application's public key"},
		{"encryption", koubeisim.Options{EncryptKey: []byte("0123456789abcdef")}, func(c checked) { c.env["ALIPAY_ENCRYPT_KEY"] = "ZmVkY2JhOTg3NjU0MzIxMA==" },
			"gateway", "gateway", "→ Compare ALIPAY_ENCRYPT_KEY"},
		{"no encryption", koubeisim.Options{EncryptKey: []byte("0123456789abcdef")}, func(checked) {},
			"gateway", "gateway", "→ Set ALIPAY_ENCRYPT_KEY"},
		{"no certificates", koubeisim.Options{Certificates: true}, func(c checked) {
			c.env["ALIPAY_PUBLIC_KEY"] = c.koubei.AlipayPublicKey()
			c.env["ALIPAY_APP_CERT_FILE"], c.env["ALIPAY_CERT_FILE"], c.env["ALIPAY_ROOT_CERT_FILE"] = "", "", ""
		}, "gateway", "gateway", "→ Set ALIPAY_APP_CERT_FILE"},
		{"the gateway's clock", koubeisim.Options{Now: ahead(5 * time.Minute)}, func(checked) {},
			"clock", "clock", "behind the gateway's → set this machine's clock"},
		{"a clock that the gateway refuses", koubeisim.Options{Now: ahead(-20 * time.Minute)}, func(checked) {},
			"gateway clock", "clock", "ahead of the gateway's"},
		{"Redis", koubeisim.Options{}, func(c checked) { c.env["REDIS_URL"] = "redis://user:topsecret@127.0.0.1:1/0" },
			"redis", "redis", "unreachable"},
		{"replicas", koubeisim.Options{}, func(c checked) { c.env["REDIS_WAIT_REPLICAS"] = "2" },
			"redis role", "redis role", "REDIS_WAIT_REPLICAS is 2, "},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := settingsFor(t, row.options)
			c.env["REDIS_URL"] = redis.URL()
			c.env["REDIS_TIMEOUT"] = "2s" // the machine may be busy
			row.spoil(c)
			got, code := c.check(t)
			if code != exitFailed || failures(got) != row.failed || !has(got, row.check, app.Failure, row.text) {
				t.Errorf("got %d, failures %q: %+v, want %q and %q", code, failures(got), got, row.failed, row.text)
			}
		})
	}
}

func ahead(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

// No problem hides another one.
func TestCheckListsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	c := settingsFor(t, koubeisim.Options{})
	c.env["MAX_REQUESTS"], c.env["LOG_LEVEL"] = "none", "loud"
	c.koubei.Next(koubeisim.InvalidSignature)
	got, code := c.check(t)
	if code != exitFailed || failures(got) != "settings settings gateway redis" {
		t.Errorf("two settings, gateway and Redis: got %d, %q in %+v", code, failures(got), got)
	}
	if !has(got, "settings", app.Failure, "MAX_REQUESTS") || !has(got, "settings", app.Failure, "LOG_LEVEL") {
		t.Errorf("got %+v", got)
	}

	c.env["ALIPAY_CHARSET"] = "latin1"
	got, _ = c.check(t)
	if failures(got) != "settings settings settings redis" || !has(got, "gateway", app.Skipped, "") {
		t.Errorf("the gateway's settings: got %q in %+v", failures(got), got)
	}

	c.env["ALIPAY_CHARSET"], c.env["REDIS_MODE"] = "", "galaxy"
	got, _ = c.check(t)
	if failures(got) != "settings settings settings" || !has(got, "redis", app.Skipped, "") || !has(got, "gateway", app.OK, "") {
		t.Errorf("Redis's settings: got %q in %+v", failures(got), got)
	}
}

func TestCheckWarnsAboutExpiringCertificates(t *testing.T) {
	t.Parallel()
	redis := testworld.StartRedis(t)
	// Made a year ago, less ten days: the certificates are valid for a year.
	c := settingsFor(t, koubeisim.Options{Certificates: true, Now: ahead(-355 * 24 * time.Hour)})
	c.env["REDIS_URL"] = redis.URL()
	c.env["REDIS_TIMEOUT"] = "2s" // the machine may be busy
	got, code := c.check(t)
	for _, name := range []string{"app", "alipay"} {
		if !has(got, name+" certificate", app.Warning, "→ renew it") || !has(got, name+" certificate", app.Warning, ", 9 days left; RSA, 2048 bits; ") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	for _, f := range got {
		if f.Check == "keys" {
			t.Errorf("said twice: %+v", f)
		}
	}
	if code != exitFailed || failures(got) != "gateway clock" { // its clock is a year behind; it was only needed to make the certificates
		t.Errorf("got %d, %q", code, failures(got))
	}

	c = settingsFor(t, koubeisim.Options{Certificates: true, Now: ahead(-370 * 24 * time.Hour)})
	c.env["REDIS_URL"] = redis.URL()
	c.env["REDIS_TIMEOUT"] = "2s" // the machine may be busy
	got, _ = c.check(t)
	if failures(got) != "settings" || !has(got, "settings", app.Failure, "ALIPAY_APP_CERT_FILE") || !has(got, "gateway", app.Skipped, "") {
		t.Errorf("expired: got %q in %+v", failures(got), got)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := settingsFor(t, koubeisim.Options{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if got := runWith(ctx, c.env, "check"); got.code != exitFailed || !strings.Contains(got.stdout, "failure  gateway") {
		t.Errorf("got %d\n%s", got.code, got.stdout)
	}
}
