package app_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/buildinfo"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestSessionsRefuse: REDIS_URL is not the address of a Redis.
func TestSessionsRefuse(t *testing.T) {
	t.Parallel()
	c := testworld.New(t).Config
	c.Redis.URL = "http://127.0.0.1"
	if _, err := app.Sessions(t.Context(), c, testworld.Merchant.OperatorID); err == nil {
		t.Error("sessions list: got no error")
	}
	if _, err := app.Revoke(t.Context(), c, testworld.Merchant.OperatorID); err == nil {
		t.Error("sessions revoke: got no error")
	}
}

// TestRunRefuses: with such settings the service does not start, and opens no listener.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	dir := t.TempDir()
	file, datagrams := filepath.Join(dir, "file"), filepath.Join(dir, "datagrams")
	must(t, os.WriteFile(file, nil, 0o600))
	socket, err := net.ListenPacket("unixgram", datagrams)
	must(t, err)
	t.Cleanup(func() {
		for _, path := range []string{file, datagrams} {
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("a file that is no stale socket was removed: %v", err)
			}
		}
		socket.Close()
	})
	for name, change := range map[string]func(*app.Config){
		"no private key":                         func(c *app.Config) { c.Alipay.PrivateKey = nil },
		"no seal key":                            func(c *app.Config) { c.Session.SealKeys = nil },
		"an address that is not Redis's":         func(c *app.Config) { c.Redis.URL = "http://127.0.0.1" },
		"a key that cannot sign assertions":      func(c *app.Config) { c.Assertions = assertion.Config{Keys: []crypto.Signer{weak}} },
		"an origin with a path":                  func(c *app.Config) { c.Web.CORSOrigins = []string{"https://shop.example/path"} },
		"a public address in use":                func(c *app.Config) { c.Operations.PublicListen = w.Config.Operations.PublicListen },
		"an internal address in use":             func(c *app.Config) { c.Operations.InternalListen = w.Config.Operations.PublicListen },
		"a file in place of a socket":            func(c *app.Config) { c.Operations.InternalListen = "unix:" + file },
		"another kind of socket":                 func(c *app.Config) { c.Operations.InternalListen = "unix:" + datagrams },
		"a folder that does not exist":           func(c *app.Config) { c.Operations.InternalListen = "unix:" + dir + "/missing/socket" },
		"a file in place of the socket's folder": func(c *app.Config) { c.Operations.InternalListen = "unix:" + file + "/socket" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := w.Config
			own := fmt.Sprintf("127.0.0.1:%d", testworld.StablePort(t))
			c.Operations.PublicListen, c.Operations.InternalListen = own, "127.0.0.1:0"
			c.Listening = func(string, string) {
				t.Error("the service started")
				cancel()
			}
			change(&c)
			if err := app.Run(ctx, c); err == nil {
				t.Error("got no error")
			}
			l, err := net.Listen("tcp", own)
			if err != nil {
				t.Fatalf("the public address is still in use: %v", err)
			}
			l.Close()
		})
	}
}

// TestRunSaysThatAnInternalRequestHasNotEnded: the service waits for it until the end of SHUTDOWN_TIMEOUT.
func TestRunSaysThatAnInternalRequestHasNotEnded(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) {
		c.Operations.ShutdownDelay, c.Operations.ShutdownTimeout = time.Second, time.Second
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.Internal, "http://"))
	must(t, err)
	defer conn.Close()
	_, err = fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n") // the headers never end
	must(t, err)
	if err := w.Stop(); err == nil {
		t.Error("got no error")
	}
}

func TestAMetricNamesTheBuild(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Build = buildinfo.Info{Version: "1.2.3", Revision: "abc", GoVersion: "go1"} })
	const want = "\nkoubei_build_info{goversion=\"go1\",revision=\"abc\",version=\"1.2.3\"} 1\n"
	if metrics := w.Program().Get(w.Internal + "/metrics").Body; !strings.Contains(metrics, want) {
		t.Errorf("got no %q", want)
	}
}

func TestMetricsCountRetries(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	w.Koubei.Next(koubeisim.Busy)
	must(t, want(w.Browser().Land(w.Landing(w.Koubei.Issue(testworld.Provider))), http.StatusSeeOther))
	wantMetric(t, w, "koubei_exchange_retries_total 1")
	wantMetric(t, w, `koubei_exchange_duration_seconds_count{outcome="busy"} 1`)
	wantMetric(t, w, `koubei_exchange_duration_seconds_count{outcome="success"} 1`)
}

// TestEvictionIsNamedWhenRedisIsBack: Redis is not there when the service starts.
func TestEvictionIsNamedWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t, "--maxmemory-policy", "allkeys-lru")
	r.Kill()
	w := testworld.New(t, func(c *app.Config) { c.Redis.URL = r.URL() })
	testworld.Eventually(t, 30*time.Second, "the replica has noticed the outage", func() error {
		if !strings.Contains(w.Log.String(), "readiness check failed") {
			return errors.New("not yet")
		}
		return nil
	})
	r.Start()
	testworld.Eventually(t, 30*time.Second, "the warning", func() error {
		if !strings.Contains(w.Log.String(), "redis evicts keys when it is full") {
			return errors.New("none yet")
		}
		return nil
	})
}
