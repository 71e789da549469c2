package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// reportTime is the maximum time until a change is reported.
const reportTime = 5 * time.Second

// readyz returns the status and the checks of /readyz.
func readyz(t *testing.T, w *testworld.World) (int, map[string]string) {
	t.Helper()
	a := w.Program().Get(w.Internal + "/readyz")
	var body struct{ Checks map[string]string }
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return a.StatusCode, body.Checks
}

// awaitCheck waits until the cause of a check has this prefix, and compares the status.
func awaitCheck(t *testing.T, w *testworld.World, check, cause string, status int) {
	t.Helper()
	testworld.Eventually(t, reportTime, check+" says "+cause, func() error {
		got, checks := readyz(t, w)
		if !strings.HasPrefix(checks[check], cause) {
			return fmt.Errorf("%d %v", got, checks)
		}
		if got != status {
			return fmt.Errorf("got %d, want %d with %v", got, status, checks)
		}
		return nil
	})
}

// readinessLines returns the log lines about a check.
func readinessLines(t *testing.T, w *testworld.World, message, check string) []string {
	t.Helper()
	var causes []string
	for text := range strings.Lines(w.Log.String()) {
		var l struct{ Msg, Check, Cause string }
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if l.Msg == message && l.Check == check {
			causes = append(causes, l.Cause)
		}
	}
	return causes
}

func wantMetric(t *testing.T, w *testworld.World, sample string) {
	t.Helper()
	if !strings.Contains(w.Program().Get(w.Internal+"/metrics").Body, "\n"+sample+"\n") {
		t.Errorf("/metrics lacks %s", sample)
	}
}

func set(settings ...string) func(*testing.T, *testworld.World) {
	return func(t *testing.T, w *testworld.World) {
		t.Helper()
		for i := 0; i < len(settings); i += 2 {
			if err := w.Redis.Client.ConfigSet(t.Context(), settings[i], settings[i+1]).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func command(args ...any) func(*testing.T, *testworld.World) {
	return func(t *testing.T, w *testworld.World) {
		t.Helper()
		if err := w.Redis.Client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// unsaved makes Redis refuse writes because it cannot save: the name of its dump is a directory.
func unsaved(t *testing.T, w *testworld.World) {
	t.Helper()
	dir := w.Redis.Client.ConfigGet(t.Context(), "dir").Val()["dir"]
	if err := os.MkdirAll(filepath.Join(dir, "dump.rdb", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	set("save", "3600 1")(t, w)
	command("BGSAVE")(t, w)
}

func saved(t *testing.T, w *testworld.World) {
	t.Helper()
	set("save", "")(t, w)
}

// TestReadiness: /readyz, the log and a metric report what Redis refuses, with Redis's own word. The replica is not ready
// only if Redis cannot be read.
func TestReadiness(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		begins, ends  func(*testing.T, *testworld.World)
		check, cause  string
		stillAnswered bool
	}{
		{"it could not save", unsaved, saved, "redis_writes", "MISCONF ", true},
		{"it is a replica", command("REPLICAOF", "127.0.0.1", "1"), command("REPLICAOF", "NO", "ONE"), "redis_writes", "READONLY ", true},
		{"it is full", set("maxmemory", "1"), set("maxmemory", "0"), "redis_writes", "OOM ", true},
		{"it has too few replicas", set("min-replicas-to-write", "1"), set("min-replicas-to-write", "0"), "redis_writes", "NOREPLICAS ", true},
		{"the user may not write", command("ACL", "SETUSER", "app", "-set"), command("ACL", "SETUSER", "app", "+set"), "redis_writes", "NOPERM ", true},
		{"the user may not read", command("ACL", "SETUSER", "app", "-get"), command("ACL", "SETUSER", "app", "+get"), "redis", "NOPERM ", false},
		{"the user has another password", func(t *testing.T, w *testworld.World) {
			command("ACL", "SETUSER", "app", "resetpass", ">other")(t, w)
			command("CLIENT", "KILL", "USER", "app")(t, w)
		}, command("ACL", "SETUSER", "app", ">pw"), "redis", "WRONGPASS ", false},
		{"it is a replica without its master", func(t *testing.T, w *testworld.World) {
			set("replica-serve-stale-data", "no")(t, w)
			command("REPLICAOF", "127.0.0.1", "1")(t, w)
		}, command("REPLICAOF", "NO", "ONE"), "redis", "MASTERDOWN ", false},
		{"it is frozen", func(_ *testing.T, w *testworld.World) { w.Redis.Freeze() }, func(_ *testing.T, w *testworld.World) { w.Redis.Thaw() }, "redis", "no reply in time", false},
		{"it is dead", func(_ *testing.T, w *testworld.World) { w.Redis.Kill() }, func(t *testing.T, w *testworld.World) {
			w.Redis.Start()
			withUser(t, app.Redis{URL: w.Redis.URL()}, "~* &* +@all")
		}, "redis", "unreachable: ", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := testworld.New(t, func(c *app.Config) { c.Redis.URL = withUser(t, c.Redis, "~* &* +@all") })
			b := w.Browser()
			if err := landedFor(b, w, b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), testworld.Provider); err != nil {
				t.Fatal(err)
			}
			awaitCheck(t, w, row.check, "ok", http.StatusOK)
			wantMetric(t, w, `koubei_ready{check="`+row.check+`"} 1`)

			row.begins(t, w)
			status := http.StatusServiceUnavailable
			if row.stillAnswered {
				status = http.StatusOK
			}
			awaitCheck(t, w, row.check, row.cause, status)
			wantMetric(t, w, `koubei_ready{check="`+row.check+`"} 0`)
			wantMetric(t, w, `koubei_ready{check="serving"} 1`)
			if got := readinessLines(t, w, "readiness check failed", row.check); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], row.cause) {
				t.Errorf("the log says %q, want %s", got, row.cause)
			}
			if a := b.Get(w.Internal + "/auth/verify"); a.StatusCode != status {
				t.Errorf("a check during the failure: got %d, want %d", a.StatusCode, status)
			}

			row.ends(t, w)
			awaitCheck(t, w, row.check, "ok", http.StatusOK)
			wantMetric(t, w, `koubei_ready{check="`+row.check+`"} 1`)
			if got := readinessLines(t, w, "readiness check recovered", row.check); len(got) != 1 {
				t.Errorf("got %d lines of the recovery, want one", len(got))
			}
			// A state is logged when it changes, not once a second.
			if got := readinessLines(t, w, "readiness check failed", row.check); len(got) > 3 {
				t.Errorf("got %d lines of the failure: %q", len(got), got)
			}
		})
	}
}

// TestReadinessFromTheStart: problems at the start are reported even if nobody signs in.
func TestReadinessFromTheStart(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name         string
		change       func(*testing.T, *app.Config)
		check, cause string
		status       int
	}{
		{"a wrong password", func(t *testing.T, c *app.Config) {
			c.Redis.URL = strings.Replace(withUser(t, c.Redis, "~* &* +@all"), ":pw@", ":wrong@", 1)
		}, "redis", "WRONGPASS ", http.StatusServiceUnavailable},
		{"no password", func(t *testing.T, c *app.Config) {
			o, err := redis.ParseURL(c.Redis.URL)
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(o)
			defer client.Close()
			if err := client.ConfigSet(t.Context(), "requirepass", "pw").Err(); err != nil {
				t.Fatal(err)
			}
		}, "redis", "NOAUTH ", http.StatusServiceUnavailable},
		{"another prefix than the user's", func(t *testing.T, c *app.Config) { c.Redis.URL = withUser(t, c.Redis, "~other:* &* +@all") },
			"redis", "NOPERM ", http.StatusServiceUnavailable},
		{"no replica to wait for", func(_ *testing.T, c *app.Config) { c.Redis.Replicas, c.Redis.Timeout = 1, 500*time.Millisecond }, "redis_writes", "0 of 1 replicas", http.StatusOK},
		{"no channel for the cache", func(t *testing.T, c *app.Config) {
			c.Session.CacheTTL = time.Minute
			c.Redis.URL = withUser(t, c.Redis, "~* resetchannels +@all")
		}, "cache", "NOPERM ", http.StatusOK},
		{"a cache that hears", func(_ *testing.T, c *app.Config) { c.Session.CacheTTL = time.Minute }, "cache", "ok", http.StatusOK},
		{"no cache", func(*testing.T, *app.Config) {}, "cache", "", http.StatusOK},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := testworld.New(t, func(c *app.Config) { row.change(t, c) })
			awaitCheck(t, w, row.check, row.cause, row.status)
			lines := readinessLines(t, w, "readiness check failed", row.check)
			if fails := row.cause != "ok" && row.cause != ""; fails != (len(lines) == 1) {
				t.Errorf("the log says %q, want a line: %t", lines, fails)
			}
			if _, checks := readyz(t, w); row.cause == "" && len(checks) != 3 {
				t.Errorf("got the checks %v, want three", checks)
			}
		})
	}
}

// TestAClusterWithoutAKnownNodeIsNotReady: there is no node to ask.
func TestAClusterWithoutAKnownNodeIsNotReady(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Redis.URL, c.Redis.Mode = "redis://127.0.0.1:1", app.Cluster })
	for _, check := range []string{"redis", "redis_writes"} {
		awaitCheck(t, w, check, "unreachable", http.StatusServiceUnavailable)
	}
}

// TestProbesCostRedisNothing: the service checks Redis once a second, independent of requests to /readyz.
func TestProbesCostRedisNothing(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	awaitCheck(t, w, "redis", "ok", http.StatusOK)
	calls := func() (n int) {
		t.Helper()
		stats := w.Redis.Client.InfoMap(t.Context(), "commandstats").Val()["Commandstats"]["cmdstat_get"]
		if _, err := fmt.Sscanf(stats, "calls=%d,", &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	begun, before := time.Now(), calls()
	var probes sync.WaitGroup
	for range 20 {
		probes.Go(func() {
			p := w.Program()
			for range 20 {
				if a := p.Get(w.Internal + "/readyz"); a.StatusCode != http.StatusOK {
					t.Errorf("got %d", a.StatusCode)
				}
			}
		})
	}
	probes.Wait()
	if n, most := calls()-before, 2+int(time.Since(begun)/time.Second); n > most {
		t.Errorf("400 probes made %d reads in %s, want at most %d", n, time.Since(begun), most)
	}
}
