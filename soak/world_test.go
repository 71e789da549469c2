// Package soak_test lets the service work for as long as one likes, at half of what it can do, and sees that its memory
// and goroutines stay what they are and that nothing fails. The service is a process of its own, with a real redis-server
// and Koubei's stand-in, all on this machine: what it "can do" is measured first, with the visitors taking their share of
// the same processors.
//
// Package soak_test also measures what the operations page says of sizes: see [TestFigures].
package soak_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
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
	public   string
	internal string
	started  time.Time
	ready    time.Duration // from the start of the process until it was ready
	log      string
	tokens   []string // of sessions that were made beside the service
}

// adminToken opens /debug/pprof/, for whoever looks into a soak that was not flat.
const adminToken = "soak-soak-soak-soak-soak-soak-soak"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, redis: testworld.StartRedis(t), program: filepath.Join(t.TempDir(), "server"), log: filepath.Join(t.TempDir(), "log")}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", w.program, "koubei-landing/cmd/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	var err error
	if w.koubei, err = koubeisim.New(koubeisim.Options{CodeLifetime: time.Hour}); err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(w.koubei.Gateway())
	t.Cleanup(gateway.Close)
	public, internal := testworld.StablePort(t), testworld.StablePort(t)
	w.public, w.internal = fmt.Sprintf("http://127.0.0.1:%d", public), fmt.Sprintf("http://127.0.0.1:%d", internal)
	w.env = []string{
		fmt.Sprintf("PUBLIC_LISTEN=127.0.0.1:%d", public), fmt.Sprintf("INTERNAL_LISTEN=127.0.0.1:%d", internal),
		"PUBLIC_URL=" + w.public, "ALIPAY_APP_ID=" + w.koubei.AppID(), "ALIPAY_APP_PRIVATE_KEY=" + w.koubei.AppPrivateKey(),
		"ALIPAY_PUBLIC_KEY=" + w.koubei.AlipayPublicKey(), "ALIPAY_GATEWAY_URL=" + gateway.URL, "REDIS_URL=" + w.redis.URL(), "CALLBACK_RATE=0",
		"ADMIN_TOKEN=" + adminToken,
	}
	if err := w.koubei.SetLandingURL(w.public + "/koubei/callback"); err != nil {
		t.Fatal(err)
	}
	return w
}

// start starts the service and waits until it is ready.
func (w *world) start(env ...string) {
	w.t.Helper()
	log, err := os.Create(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(w.program)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(env, w.env...), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	w.started = time.Now()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the service, told to end: %v", err)
		}
		w.readLog()
	})
	client := &http.Client{Timeout: time.Second}
	testworld.Eventually(w.t, 20*time.Second, "the service is ready", func() error {
		a, err := client.Get(w.internal + "/readyz")
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %d", a.StatusCode)
		}
		return nil
	})
	w.ready = time.Since(w.started)
}

// readLog fails the test on a code, a token or a key, and on a line that somebody would be woken up for.
func (w *world) readLog() {
	text, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	testworld.CheckLog(w.t, string(text), append(append(testworld.SecretsOf(w.koubei), w.tokens...), adminToken)...)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"level":"WARN"`) {
			w.t.Errorf("the log says %s", line)
			return
		}
	}
}

// figures are what the service tells of itself.
type figures struct {
	resident, heap float64 // bytes
	goroutines     float64
	files          float64
	cpu            float64 // seconds
}

func (w *world) figures() (figures, error) {
	a, err := http.Get(w.internal + "/metrics")
	if err != nil {
		return figures{}, err
	}
	defer a.Body.Close()
	var f figures
	into := map[string]*float64{"process_resident_memory_bytes": &f.resident, "go_memstats_heap_inuse_bytes": &f.heap,
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
