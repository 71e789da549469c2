// Package soak_test runs the service for a chosen time at half of its capacity. It checks that memory and goroutines do not
// grow and that nothing fails. The service is its own process, with a real redis-server and koubeisim on the same machine.
// The test measures the capacity first; the visitors use the same processors.
//
// Package soak_test also measures the sizes that the operations page states: see [TestFigures].
package soak_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// world is the service and what it needs.
type world struct {
	t        *testing.T
	redis    *testworld.Redis
	koubei   *koubeisim.Koubei
	program  string
	env      []string
	process  *testworld.Server
	public   string
	internal string
	ready    time.Duration // from the start of the process until it was ready
	tokens   []string      // of sessions that were made beside the service
}

// adminToken opens /debug/pprof/, to find out why memory grew.
const adminToken = "soak-soak-soak-soak-soak-soak-soak"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, redis: testworld.StartRedis(t), koubei: testworld.NewKoubei(koubeisim.Options{CodeLifetime: time.Hour})}
	// Built as for the container image.
	w.program = testworld.Build(t, "server", "-ldflags=-s -w")
	w.env = testworld.Settings(w.koubei, testworld.Serve(t, w.koubei.Gateway()), w.redis.URL(), "ADMIN_TOKEN="+adminToken)
	return w
}

// start starts the service and waits until it is ready.
func (w *world) start(env ...string) {
	w.t.Helper()
	started := time.Now()
	w.process = testworld.StartServer(w.t, w.program, append(env, w.env...))
	w.process.AwaitReady()
	w.ready = time.Since(started)
	w.public, w.internal = w.process.Public, w.process.Internal
	if err := w.koubei.SetLandingURL(w.public + "/koubei/callback"); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		w.process.Signal(syscall.SIGTERM)
		if err := w.process.Wait(); err != nil {
			w.t.Errorf("the service ended with %v after SIGTERM", err)
		}
		w.checkLog()
	})
}

// checkLog fails the test if the log contains a code, a token, a key, a warning or an error.
func (w *world) checkLog() {
	w.process.Log.Check(w.t, append(append(testworld.SecretsOf(w.koubei), w.tokens...), adminToken)...)
	for line := range strings.Lines(w.process.Log.String()) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"level":"WARN"`) {
			w.t.Errorf("the log says %s", line)
			return
		}
	}
}

// figures are the metrics of the service's process.
type figures struct {
	resident   float64 // bytes
	heap       float64 // bytes at which the next collection begins: twice what the last one left, whatever garbage there is now
	goroutines float64
	files      float64
	cpu        float64 // seconds
}

func (w *world) figures() (figures, error) {
	a, err := http.Get(w.internal + "/metrics")
	if err != nil {
		return figures{}, err
	}
	defer a.Body.Close()
	var f figures
	into := map[string]*float64{"process_resident_memory_bytes": &f.resident, "go_memstats_next_gc_bytes": &f.heap,
		"go_goroutines": &f.goroutines, "process_open_fds": &f.files, "process_cpu_seconds_total": &f.cpu}
	lines := bufio.NewScanner(a.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to, ok := into[name]; ok {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return figures{}, err
			}
			delete(into, name)
		}
	}
	if len(into) > 0 {
		return figures{}, fmt.Errorf("/metrics lacks %v", into)
	}
	return f, lines.Err()
}
