package app_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/pemfile"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// claimant starts a fake Redis that reports this version.
func claimant(t *testing.T, version string) string {
	t.Helper()
	s, err := server.NewServer("127.0.0.1:0")
	must(t, err)
	t.Cleanup(s.Close)
	must(t, s.Register("INFO", func(c *server.Peer, _ string, _ []string) {
		c.WriteBulk("# Server\r\nredis_version:" + version + "\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n")
	}))
	return "redis://" + s.Addr().String()
}

func TestCheckOfRedisVersions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		version string
		want    app.Level
	}{
		{"6.2.0", app.OK},
		{"7.4.1", app.OK},
		{"10.0.0", app.OK},
		{"6.0.16", app.Failure},
		{"5.9.9", app.Failure},
		{"", app.Failure},
		{"unknown", app.Failure},
		{"7.x", app.Failure},
	} {
		got := app.Check(t.Context(), app.Config{Redis: app.Redis{URL: claimant(t, row.version), Timeout: time.Second}})
		f := find(got, "redis")
		if f.Level != row.want || !strings.Contains(f.Detail, row.version) || (f.Fix == "") != (row.want == app.OK) {
			t.Errorf("%s: got %+v, want %s", row.version, f, row.want)
		}
		if f := find(got, "gateway"); f.Level != app.Skipped {
			t.Errorf("the gateway, without settings: got %+v, want it skipped", f)
		}
	}
}

func TestCheckOfAClusterOutOfReach(t *testing.T) {
	t.Parallel()
	got := app.Check(t.Context(), app.Config{Redis: app.Redis{URL: "redis://127.0.0.1:1", Mode: app.Cluster, Timeout: 100 * time.Millisecond}})
	if f := find(got, "redis"); f.Level != app.Failure || f.Fix == "" {
		t.Errorf("no node: got %+v", got)
	}
}

func find(findings []app.Finding, check string) app.Finding {
	for _, f := range findings {
		if f.Check == check {
			return f
		}
	}
	return app.Finding{}
}

// The findings contain the warnings of the gateway and the keys. Warnings of the settings appear once.
func TestCheckWarns(t *testing.T) {
	t.Parallel()
	m := newMeeting(t, freshKey(t), false, alipay.RSA, nil)
	m.config.Charset = alipay.GB18030
	m.config.AppAuthToken = "token"
	got := app.Check(t.Context(), app.Config{Alipay: m.config})
	warnings := 0
	for _, f := range got {
		if f.Level == app.Warning {
			warnings++
			if f.Check != "keys" || f.Fix == "" {
				t.Errorf("got %+v", f)
			}
		}
	}
	if warnings != 2 { // the charset and the sign type
		t.Errorf("got %d warnings, want 2: %+v", warnings, got)
	}
	if f := find(got, "mode"); !strings.Contains(f.Detail, "app auth token; RSA, gb18030") {
		t.Errorf("mode: got %+v", f)
	}
	if f := find(got, "redis"); f.Level != app.Skipped {
		t.Errorf("Redis, without settings: got %+v, want it skipped", f)
	}
}

// TestCheckOfAnEllipticCertificate: only RSA keys have a size to report.
func TestCheckOfAnEllipticCertificate(t *testing.T) {
	t.Parallel()
	withSize := 0
	for _, f := range app.Check(t.Context(), app.Config{Alipay: withAnotherRoot(t).config}) {
		if strings.Contains(f.Detail, "RSA, 0 bits") {
			t.Errorf("got %+v", f)
		}
		if strings.HasSuffix(f.Check, " certificate") && strings.Contains(f.Detail, "RSA, 2048 bits; ") {
			withSize++
		}
	}
	if withSize < 4 {
		t.Errorf("got the size of %d keys, want those of the app, Alipay, the intermediate and the root", withSize)
	}
}

// TestCheckOfEndedCertificates: without the application's own certificate, the gateway refuses every call. New ones of Alipay
// are downloaded.
func TestCheckOfEndedCertificates(t *testing.T) {
	t.Parallel()
	m := newMeeting(t, freshKey(t), true, alipay.RSA2, nil)
	later := func() time.Time { return time.Now().AddDate(100, 0, 0) }
	found := app.Check(t.Context(), app.Config{Alipay: m.config, Now: later})
	for check, want := range map[string]app.Level{"app certificate": app.Failure, "alipay certificate": app.Warning} {
		if f := find(found, check); f.Level != want || f.Fix == "" || !strings.Contains(f.Detail, " 0 days left") {
			t.Errorf("%s: got %+v, want %s and no days left", check, f, want)
		}
	}
}

// TestCheckOfRefusedSettings: without a usable key there is nothing to call the gateway with.
func TestCheckOfRefusedSettings(t *testing.T) {
	t.Parallel()
	k := testworld.NewKoubei(koubeisim.Options{})
	c := keyMode(t, k)
	c.PublicKey, c.AppID = nil, ""
	got := app.Check(t.Context(), app.Config{Alipay: c})
	failures := 0
	for _, f := range got {
		if f.Check == "keys" && f.Level == app.Failure && len(f.Settings) > 0 && f.Fix != "" {
			failures++
		}
	}
	if f := find(got, "gateway"); failures < 2 || f.Level != app.Skipped {
		t.Errorf("got %+v, want failures of the keys and of the app id, and the gateway skipped", got)
	}
	if n := len(k.Calls()); n != 0 {
		t.Errorf("got %d calls to the gateway", n)
	}
}

// TestCheckOfAnUnreachableRedis: the finding says why it is unreachable.
func TestCheckOfAnUnreachableRedis(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { silent.Close() })
	closing, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	acceptAll(t, closing, func(conn net.Conn) {
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1<<10))
	})
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	details := map[string]string{}
	for name, address := range map[string]string{
		"refused": "127.0.0.1:1", "silent": silent.Addr().String(), "closing": closing.Addr().String(), "no Redis": web.Listener.Addr().String(), "unknown host": "redis.invalid:1",
	} {
		timeout := 2 * time.Second // the machine may be busy
		if name == "silent" {
			timeout = 100 * time.Millisecond
		}
		f := find(app.Check(t.Context(), app.Config{Redis: app.Redis{URL: "redis://" + address, Timeout: timeout}}), "redis")
		if f.Level != app.Failure || f.Fix == "" || details[f.Detail] != "" {
			t.Errorf("%s: got %+v, want a failure with a reason of its own, not that of %s", name, f, details[f.Detail])
		}
		if name == "refused" && !strings.Contains(f.Detail, syscall.ECONNREFUSED.Error()) {
			t.Errorf("%s: got %+v", name, f)
		}
		if tls := strings.Contains(f.Fix, "rediss://"); tls != (name == "closing") {
			t.Errorf("%s: got %+v, with TLS as a fix: %t", name, f, tls)
		}
		if strings.Contains(f.Fix, "redis://") { // which is no part of rediss://
			t.Errorf("%s: got %+v, which already has no TLS", name, f)
		}
		details[f.Detail] = name
	}
}

// TestCheckExplainsRepliesOfRedis: each error has a problem and a fix of its own. The rest of its text may contain a part of
// REDIS_URL.
func TestCheckExplainsRepliesOfRedis(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		reply        string
		mode         app.RedisMode
		problem, fix string
	}{
		{"NOAUTH hush", app.Single, "NOAUTH", "write the user"},
		{"WRONGPASS hush", app.Single, "WRONGPASS", "correct the user"},
		{"READONLY hush", app.Single, "READONLY", "REDIS_MODE=sentinel"},
		{"MASTERDOWN hush", app.Single, "MASTERDOWN", "REDIS_MODE=sentinel"},
		{"MISCONF hush", app.Single, "MISCONF", "BGSAVE"},
		{"OOM hush", app.Single, "OOM", "maxmemory"},
		{"NOREPLICAS hush", app.Single, "NOREPLICAS", "min-replicas-to-write"},
		{"LOADING hush", app.Single, "LOADING", "wait until"},
		{"BUSY hush", app.Single, "BUSY", "SCRIPT KILL"},
		{"CLUSTERDOWN hush", app.Single, "CLUSTERDOWN", "REDIS_MODE=cluster"},
		{"MOVED 1 hush", app.Single, "MOVED", "REDIS_MODE=cluster"},
		{"CROSSSLOT hush", app.Single, "CROSSSLOT", "REDIS_MODE=cluster"},
		{"ERR DB index is out of range", app.Single, "database", "number after the host"},
		{"ERR SELECT is not allowed in cluster mode", app.Single, "one database", "remove the number"},
		{"ERR max number of clients reached", app.Single, "no more clients", "maxclients"},
		{"DENIED hush", app.Single, "DENIED", "bind address"},
		{"ODD hush", app.Single, "(ODD)", "documentation"},
		{"ERR odd hush", app.Single, "(odd)", "documentation"},
		{"ERR This instance has cluster support disabled", app.Cluster, "not a Cluster", "REDIS_MODE=single"},
		{"ERR unknown command 'cluster'", app.Cluster, "not a Cluster", "REDIS_MODE=single"},
		{"CLUSTERDOWN hush", app.Cluster, "is down", "every slot"},
		{"NOAUTH hush", app.Sentinel, "in front of the host", "the master's are the options"},
		{"WRONGPASS hush", app.Sentinel, "WRONGPASS", "&password="},
		{"ERR AUTH <password> called without any password configured for the default user.", app.Sentinel, "in front of the host", "or none"},
		{"ERR unknown command 'sentinel'", app.Sentinel, "not a Sentinel", "REDIS_MODE=single"},
	} {
		t.Run(row.reply, func(t *testing.T) {
			t.Parallel()
			s, err := server.NewServer("127.0.0.1:0")
			must(t, err)
			t.Cleanup(s.Close)
			s.SetPreHook(func(c *server.Peer, _ string, _ ...string) bool {
				c.WriteError(row.reply)
				return true
			})
			c := app.Redis{URL: "redis://" + s.Addr().String() + "?", Mode: row.mode, Timeout: 2 * time.Second}
			if row.mode == app.Sentinel {
				c.URL += "master_name=koubei"
			}
			problems := problemsOf(app.Check(t.Context(), app.Config{Redis: c}))
			if len(problems) != 1 || problems[0].Level != app.Failure || !strings.Contains(problems[0].Detail, row.problem) || !strings.Contains(problems[0].Fix, row.fix) {
				t.Errorf("got %+v, want one failure with %q and %q", problems, row.problem, row.fix)
			} else if strings.Contains(problems[0].Detail+problems[0].Fix, "hush") {
				t.Errorf("the rest of the reply is in %+v", problems[0])
			}
		})
	}
}

func TestCheckOfTheClock(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		ahead time.Duration // ahead of the gateway
		want  app.Level
		text  string
	}{
		{"together", 0, app.OK, "agrees"},
		{"a second behind", -time.Second, app.OK, "agrees"},
		{"ten seconds behind", -10 * time.Second, app.OK, "10s behind"},
		{"a minute ahead", time.Minute, app.Warning, "1m0s ahead"},
		{"a minute behind", -time.Minute, app.Warning, "1m0s behind"},
		{"three minutes behind", -3 * time.Minute, app.Failure, "3m0s behind"},
	} {
		noon := time.Now()
		k := testworld.NewKoubei(koubeisim.Options{Now: func() time.Time { return noon.Truncate(time.Second).Add(time.Second / 2) }})
		config := keyMode(t, k)
		now := func() time.Time { return noon.Truncate(time.Second).Add(time.Second/2 + row.ahead) }
		f := find(app.Check(t.Context(), app.Config{Alipay: config, Now: now}), "clock")
		if f.Level != row.want || !strings.Contains(f.Detail, row.text) || (f.Fix == "") != (row.want == app.OK) {
			t.Errorf("%s: got %+v, want %s and %q", row.name, f, row.want, row.text)
		}
	}
}

// TestCheckOfTheGateway: a signed verdict on the impossible code says that everything else is right, except
// ACCESS_NOT_ALLOWED.
func TestCheckOfTheGateway(t *testing.T) {
	t.Parallel()
	for fault, want := range map[koubeisim.Fault]app.Level{
		koubeisim.NotExist:         app.OK,
		koubeisim.Expired:          app.OK,
		koubeisim.InvalidParameter: app.OK,
		koubeisim.AccessDenied:     app.Failure,
		koubeisim.NoPermission:     app.Failure,
		koubeisim.UnknownError:     app.Failure,
		koubeisim.UnsignedExpired:  app.Failure,
		koubeisim.WrongKey:         app.Failure,
	} {
		k := testworld.NewKoubei(koubeisim.Options{})
		k.Next(fault)
		f := find(app.Check(t.Context(), app.Config{Alipay: keyMode(t, k)}), "gateway")
		if f.Level != want || (f.Fix == "") != (want == app.OK) {
			t.Errorf("%s: got %+v, want %s", fault, f, want)
		}
	}
}

func TestCheckWithoutADate(t *testing.T) {
	t.Parallel()
	config := keyMode(t, testworld.NewKoubei(koubeisim.Options{}))
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		fmt.Fprint(w, "<html>")
	}))
	t.Cleanup(gateway.Close)
	address, err := url.Parse(gateway.URL)
	must(t, err)
	config.GatewayURL = address
	got := app.Check(t.Context(), app.Config{Alipay: config})
	if f := find(got, "clock"); f.Level != app.Skipped {
		t.Errorf("clock: got %+v", f)
	}
	if f := find(got, "gateway"); f.Level != app.Failure || !strings.Contains(f.Detail, "is unavailable") {
		t.Errorf("gateway: got %+v", f)
	}
}

// keyMode returns the configuration of a client of k.
func keyMode(t *testing.T, k *koubeisim.Koubei) alipay.Config {
	t.Helper()
	gateway := httptest.NewServer(k.Gateway())
	t.Cleanup(gateway.Close)
	u, err := url.Parse(gateway.URL)
	must(t, err)
	private, err := alipay.ParsePrivateKey(k.AppPrivateKey())
	must(t, err)
	public, err := alipay.ParsePublicKey(k.AlipayPublicKey())
	must(t, err)
	return alipay.Config{AppID: k.AppID(), GatewayURL: u, PrivateKey: private, PublicKey: public}
}

// withAnotherRoot returns a meeting in certificate mode that also trusts a root with an elliptic key, which ends first.
func withAnotherRoot(t *testing.T) *meeting {
	t.Helper()
	m := newMeeting(t, freshKey(t), true, alipay.RSA2, nil)
	files := m.koubei.Certificates()
	files.Root = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: newAuthority(t).cert.Raw}), files.Root...)
	var err error
	m.config.Certificates, err = alipay.ParseCertificates(pemfile.File{Data: files.App}, pemfile.File{Data: files.Alipay}, pemfile.File{Data: files.Root})
	must(t, err)
	return m
}

// In certificate mode the metrics contain the expiry of each certificate, for alerts.
func TestCertificatesEndInMetrics(t *testing.T) {
	t.Parallel()
	m := withAnotherRoot(t)
	w := testworld.New(t, func(c *app.Config) { c.Alipay = m.config })
	ends := map[string]time.Time{}
	for _, cert := range m.config.Certificates.List() {
		if end, ok := ends[cert.Name]; !ok || cert.NotAfter.Before(end) {
			ends[cert.Name] = cert.NotAfter
		}
	}
	text := metrics(t, w)
	for _, name := range []string{"app", "alipay", "intermediate", "root"} {
		want := fmt.Sprintf("koubei_certificate_expiry_seconds{certificate=%q} %v\n", name, float64(ends[name].Unix()))
		if ends[name].IsZero() || !strings.Contains(text, want) {
			t.Errorf("no %q among the metrics", want)
		}
	}
	if n := strings.Count(text, "\nkoubei_certificate_expiry_seconds{"); n != 4 {
		t.Errorf("got %d certificates, want 4", n)
	}
	if text := metrics(t, testworld.New(t)); strings.Contains(text, "koubei_certificate_expiry_seconds{") {
		t.Error("certificates in key mode")
	}
}

func metrics(t *testing.T, w *testworld.World) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Internal+"/metrics", nil)
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return string(body)
}
