package testworld

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"koubei-landing/internal/app"
)

// Tests take Redis away. go-redis would log each failed dial between the messages of the tests.
func init() { logging.Disable() }

// Redis is a redis-server on loopback.
type Redis struct {
	*Process
	Client *redis.Client
}

// StartRedis starts a redis-server that ends with the test. It keeps its address when it is killed and started again.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	port := strconv.Itoa(StablePort(t))
	args = append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--repl-diskless-sync-delay", "0"}, args...)
	r := &Redis{&Process{t: t, program: "redis-server", args: args},
		redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, DialTimeout: time.Second, ReadTimeout: time.Second})}
	t.Cleanup(func() { _ = r.Client.Close() })
	r.Start()
	return r
}

// Addr returns the server's address without a scheme.
func (r *Redis) Addr() string { return r.Client.Options().Addr }

// URL returns the value for REDIS_URL.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

// Start starts the server, also after Kill. It then has no data unless its arguments make it save them.
func (r *Redis) Start() {
	r.t.Helper()
	r.Process.Start()
	Eventually(r.t, 30*time.Second, "redis-server answers", func() error { return r.Client.Ping(context.Background()).Err() })
}

// Freeze stops the process: its connections stay open, and it answers nothing.
func (r *Redis) Freeze() { r.t.Helper(); r.Signal(syscall.SIGSTOP) }

// Thaw ends a freeze.
func (r *Redis) Thaw() { r.t.Helper(); r.Signal(syscall.SIGCONT) }

// Masters returns the nodes that are masters. It fails if a node does not answer or is a replica without its master's data.
func Masters(ctx context.Context, nodes ...*Redis) (masters []*Redis, err error) {
	for _, n := range nodes {
		role, roleErr := n.Client.Do(ctx, "ROLE").Slice()
		switch {
		case roleErr != nil:
			err = errors.Join(err, roleErr)
		case role[0] == "master":
			masters = append(masters, n)
		case role[3] != "connected":
			err = errors.Join(err, fmt.Errorf("%s: the link to its master: %v", n.Addr(), role[3]))
		}
	}
	return masters, err
}

// Cluster is a Redis Cluster of three masters with a replica each.
type Cluster struct {
	URL   string   // the value for REDIS_URL
	Nodes []*Redis // the masters of the beginning come first
}

// StartCluster starts a cluster and returns when it is healthy. A node that is silent for timeout is taken for dead.
func StartCluster(t testing.TB, timeout time.Duration) *Cluster {
	t.Helper()
	c, addresses := &Cluster{}, []string(nil)
	for range 6 {
		n := StartRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(timeout.Milliseconds(), 10),
			"--cluster-port", strconv.Itoa(StablePort(t)), "--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1")
		c.Nodes, addresses = append(c.Nodes, n), append(addresses, n.Addr())
	}
	c.URL = "redis://" + addresses[0] + "?" + url.Values{"addr": addresses[1:]}.Encode()
	create := slices.Concat([]string{"--cluster", "create"}, addresses, []string{"--cluster-replicas", "1", "--cluster-yes"})
	if out, err := exec.CommandContext(t.Context(), "redis-cli", create...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	Eventually(t, time.Minute, "the cluster is healthy", func() error { return c.Healthy(t.Context()) })
	return c
}

// On changes a world's settings so that the service uses the cluster.
func (c *Cluster) On(config *app.Config) { config.Redis.URL, config.Redis.Mode = c.URL, app.Cluster }

// Healthy returns an error unless three nodes are masters, the others have their data, and every node serves all keys.
func (c *Cluster) Healthy(ctx context.Context) error {
	masters, err := Masters(ctx, c.Nodes...)
	if err != nil || len(masters) != 3 {
		return fmt.Errorf("%d masters, %v", len(masters), err)
	}
	for _, n := range c.Nodes {
		info, err := n.Client.ClusterInfo(ctx).Result()
		if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") {
			return fmt.Errorf("%s: the cluster is not ok: %s, %v", n.Addr(), info, err)
		}
	}
	return nil
}

// tempDir is a directory that the test processes of one user share.
var tempDir = filepath.Join(os.TempDir(), fmt.Sprintf("koubei-tests-%d", os.Getuid()))

// reserved are the locks of the ports that this process has taken. They end with it.
var reserved sync.Map

// StablePort returns a port on loopback that no other test gets, in this process or another. It is below those that the
// kernel gives to outgoing connections, so a server that is down for a while finds it free when it comes back.
func StablePort(t testing.TB) int {
	t.Helper()
	dir := filepath.Join(tempDir, "ports")
	check(t, os.MkdirAll(dir, 0o700))
	for {
		port := 12000 + rand.IntN(18000)
		lock, err := os.Create(filepath.Join(dir, strconv.Itoa(port)))
		check(t, err)
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && free(port) {
			reserved.Store(port, lock)
			return port
		}
		check(t, lock.Close())
	}
}

func free(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	return err == nil && l.Close() == nil
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
