package testworld

import (
	"context"
	"errors"
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

// Redis is a redis-server on loopback.
type Redis struct {
	Client *redis.Client

	t    testing.TB
	port int
	args []string

	mu  sync.Mutex
	cmd *exec.Cmd
}

// StartRedis starts a redis-server that ends with the test. It keeps its address when it is killed and started again.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	port, dir := StablePort(t), t.TempDir()
	r := &Redis{t: t, port: port, args: append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--logfile", filepath.Join(dir, "redis.log")}, args...)}
	r.Client = redis.NewClient(&redis.Options{Addr: r.Addr(), DialTimeout: time.Second, ReadTimeout: time.Second})
	r.Start()
	t.Cleanup(func() {
		_ = r.Client.Close()
		r.Thaw()
		r.Kill()
	})
	return r
}

// StartReplica starts a redis-server that replicates a master, and waits until it has the master's data.
func StartReplica(t testing.TB, master string) *Redis {
	t.Helper()
	host, port, err := net.SplitHostPort(master)
	must(t, err)
	r := StartRedis(t, "--replicaof", host+" "+port)
	Eventually(t, 30*time.Second, "the replica has its master's data", func() error {
		_, err := r.role(t.Context())
		return err
	})
	return r
}

// role returns "master" or "slave". It fails for a replica that does not have its master's data.
func (r *Redis) role(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	info, err := r.Client.InfoMap(ctx, "replication").Result()
	if err != nil {
		return "", err
	}
	i := info["Replication"]
	if i["role"] == "slave" && i["master_link_status"] != "up" {
		return "", errors.New(r.Addr() + ": the link to its master is " + i["master_link_status"])
	}
	return i["role"], nil
}

// tempDir returns a directory that the test processes of one user share.
func tempDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("koubei-tests-%d", os.Getuid()))
}

// reserved are the locks of the ports that this process has taken. They end with it.
var reserved sync.Map

// StablePort returns a port on loopback that no other test gets, in this process or another. It is below those that the
// kernel gives to outgoing connections, so a server that is down for a while finds it free when it comes back.
func StablePort(t testing.TB) int {
	t.Helper()
	dir := filepath.Join(tempDir(), "ports")
	must(t, os.MkdirAll(dir, 0o700))
	for range 1000 {
		port := 12000 + rand.IntN(18000)
		lock, err := os.Create(filepath.Join(dir, strconv.Itoa(port)))
		must(t, err)
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || inUse(port) {
			must(t, lock.Close())
			continue
		}
		reserved.Store(port, lock)
		return port
	}
	t.Fatal("no port is free")
	return 0
}

func inUse(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	return err != nil || l.Close() != nil
}

// Addr returns the server's address without a scheme.
func (r *Redis) Addr() string { return "127.0.0.1:" + strconv.Itoa(r.port) }

// URL returns the value for REDIS_URL.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

// Start starts the server, also after Kill. It then has no data unless its arguments make it save them.
func (r *Redis) Start() {
	r.t.Helper()
	cmd := exec.Command("redis-server", r.args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("redis-server: %v: install Debian's package redis-server", err)
	}
	r.mu.Lock()
	r.cmd = cmd
	r.mu.Unlock()
	Eventually(r.t, 30*time.Second, "redis-server answers", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return r.Client.Ping(ctx).Err()
	})
}

// Running reports whether the process was started and not killed.
func (r *Redis) Running() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd != nil
}

// Kill ends the server with SIGKILL.
func (r *Redis) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		r.cmd = nil
	}
}

// Freeze stops the process: its connections stay open, and it answers nothing.
func (r *Redis) Freeze() { r.signal(syscall.SIGSTOP) }

// Thaw ends a freeze.
func (r *Redis) Thaw() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s os.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_ = r.cmd.Process.Signal(s)
	}
}

// Eventually waits until check returns nil. It fails the test with check's last error if that takes longer than d.
func Eventually(t testing.TB, d time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(d)
	for err := check(); err != nil; err = check() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, d, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
