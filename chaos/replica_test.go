package chaos_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// replica is one server process, on addresses that stay.
type replica struct {
	t        *testing.T
	number   int
	program  string
	env      []string
	public   string
	internal string
	logPath  string

	kills *spans // from the SIGKILL until it serves again
	rolls *spans // likewise from the SIGTERM

	mu  sync.Mutex
	cmd *exec.Cmd
}

// startReplicas builds the server and starts it so many times.
func (w *world) startReplicas(n int) {
	w.t.Helper()
	program := filepath.Join(w.t.TempDir(), "server")
	if out, err := exec.Command("go", "build", "-o", program, "koubei-landing/cmd/server").CombinedOutput(); err != nil {
		w.t.Fatalf("go build: %v\n%s", err, out)
	}
	logs := w.t.TempDir()
	for i := range n {
		public, internal := testworld.StablePort(w.t), testworld.StablePort(w.t)
		r := &replica{
			t: w.t, number: i, program: program, kills: &spans{}, rolls: &spans{},
			public:   fmt.Sprintf("http://127.0.0.1:%d", public),
			internal: fmt.Sprintf("http://127.0.0.1:%d", internal),
			logPath:  filepath.Join(logs, fmt.Sprintf("replica-%d.log", i)),
		}
		r.env = []string{
			fmt.Sprintf("PUBLIC_LISTEN=127.0.0.1:%d", public),
			fmt.Sprintf("INTERNAL_LISTEN=127.0.0.1:%d", internal),
			"PUBLIC_URL=" + r.public,
			"ALIPAY_APP_ID=" + w.koubei.AppID(),
			"ALIPAY_APP_PRIVATE_KEY=" + w.koubei.AppPrivateKey(),
			"ALIPAY_PUBLIC_KEY=" + w.koubei.AlipayPublicKey(),
			"ALIPAY_GATEWAY_URL=" + w.gateway.forReplica(w.t, i),
			"REDIS_URL=" + w.redis.URL(),
			"CALLBACK_RATE=0",
			// Shorter than in production, so that the lease of a claim whose replica was killed ends sooner.
			"ALIPAY_TIMEOUT=6s", "ALIPAY_ATTEMPT_TIMEOUT=4s",
		}
		w.replicas = append(w.replicas, r)
		r.start()
		w.t.Cleanup(func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		})
	}
}

// start starts the process and waits until it lives; ready it may not be, while Redis is away.
func (r *replica) start() {
	r.t.Helper()
	log, err := os.OpenFile(r.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(r.program)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.cmd = cmd
	r.mu.Unlock()
	client := http.Client{Timeout: time.Second}
	testworld.Eventually(r.t, 20*time.Second, "the replica lives", func() error {
		a, err := client.Get(r.internal + "/healthz")
		if err != nil {
			return err
		}
		return a.Body.Close()
	})
}

// kill ends the process as a power cut does.
func (r *replica) kill() {
	r.kills.open(time.Now())
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// roll tells the process to end, waits until it has, and starts it again. What was in flight must have ended well.
func (r *replica) roll(meanwhile func()) {
	r.t.Helper()
	r.rolls.open(time.Now())
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Error(err)
	}
	meanwhile()
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("replica %d, told to end: %v", r.number, err)
	}
	r.start()
	r.rolls.close(time.Now())
}

// disturbed reports whether a request from one moment to another may have died with the process. One that was under way
// before a SIGTERM may not; for one that had just begun, who knows.
func (r *replica) disturbed(from, to time.Time) bool {
	const justBegun = 500 * time.Millisecond
	return r.kills.touch(from, to.Add(justBegun)) || r.rolls.touch(from, to.Add(justBegun)) && !r.rolls.began(from.Add(justBegun), to)
}
