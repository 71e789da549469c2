package testworld

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a redis-server of its own, on loopback.
type Redis struct {
	Client *redis.Client

	t    testing.TB
	port int
	dir  string
	args []string

	mu  sync.Mutex
	cmd *exec.Cmd
}

// StartRedis starts a redis-server that ends with the test.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := &Redis{t: t, port: StablePort(t), dir: t.TempDir(), args: args}
	r.Client = redis.NewClient(&redis.Options{Addr: r.Addr()})
	r.Start()
	t.Cleanup(func() {
		r.Client.Close()
		r.Thaw()
		r.Kill()
	})
	return r
}

// reserved are the locks of the ports that this process has taken. They end with it.
var reserved sync.Map

// StablePort returns a port on loopback that no other test gets, in this process or another. It is below those that the
// kernel gives to outgoing connections, so a server that is down for a while finds it free when it comes back.
func StablePort(t testing.TB) int {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("koubei-test-ports-%d", os.Getuid()))
	must(t, os.MkdirAll(dir, 0o700))
	for range 1000 {
		port := 12000 + rand.IntN(18000)
		lock, err := os.Create(filepath.Join(dir, strconv.Itoa(port)))
		must(t, err)
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || listens(port) {
			must(t, lock.Close())
			continue
		}
		reserved.Store(port, lock)
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// listens reports whether somebody listens on a port already.
func listens(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return true
	}
	return l.Close() != nil
}

// Addr is where it listens.
func (r *Redis) Addr() string { return "127.0.0.1:" + strconv.Itoa(r.port) }

// URL is its address for REDIS_URL.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

// Start starts the server, again after Kill: with what it had saved, which is nothing unless its arguments say so.
func (r *Redis) Start() {
	r.t.Helper()
	args := append([]string{"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir, "--save", "",
		"--logfile", filepath.Join(r.dir, "redis.log")}, r.args...)
	cmd := exec.Command("redis-server", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("redis-server: %v: install Debian's package redis-server", err)
	}
	r.mu.Lock()
	r.cmd = cmd
	r.mu.Unlock()
	Eventually(r.t, 10*time.Second, "redis-server answers", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return r.Client.Ping(ctx).Err()
	})
}

// Kill ends the server as a power cut does.
func (r *Redis) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

// Freeze stops the process: connections stay, and nothing is answered.
func (r *Redis) Freeze() { r.signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (r *Redis) Thaw() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s os.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_ = r.cmd.Process.Signal(s)
	}
}

// Eventually waits until check returns nil, and fails the test with its last error when it hasn't within d.
func Eventually(t testing.TB, d time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.After(d)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(fmt.Errorf("%s: not within %s: %w", what, d, err))
		case <-tick.C:
		}
	}
}
