package testworld

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartNode is StartRedis for a server that is to be killed and started again, on a StablePort.
func StartNode(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := &Redis{t: t, port: StablePort(t), dir: t.TempDir(), args: args}
	r.Client = redis.NewClient(&redis.Options{Addr: r.Addr(), DialTimeout: time.Second, ReadTimeout: time.Second})
	r.Start()
	t.Cleanup(func() {
		_ = r.Client.Close()
		r.Thaw()
		r.Kill()
	})
	return r
}

// StartReplica starts a node that follows a master, and waits until it has the master's data.
func StartReplica(t testing.TB, master string) *Redis {
	t.Helper()
	host, port, err := net.SplitHostPort(master)
	must(t, err)
	r := StartNode(t, "--replicaof", host+" "+port)
	r.awaitLink()
	return r
}

// Sentinel is a master and its two replicas, watched by three Sentinels.
type Sentinel struct {
	Nodes []*Redis // the master of the beginning comes first

	t     testing.TB
	ports []int // of the Sentinels
}

// masterName is what the Sentinels call the master.
const masterName = "koubei"

// StartSentinel starts them all; a master that is silent for downAfter is taken for dead.
func StartSentinel(t testing.TB, downAfter time.Duration) *Sentinel {
	t.Helper()
	master := StartNode(t)
	s := &Sentinel{t: t, Nodes: []*Redis{master}}
	for range 2 {
		replica := StartReplica(t, master.Addr())
		s.Nodes = append(s.Nodes, replica)
	}
	for range 3 {
		s.startSentinel(downAfter)
	}
	Eventually(t, 30*time.Second, "the Sentinels know each other and the replicas", s.ready)
	return s
}

func (s *Sentinel) startSentinel(downAfter time.Duration) {
	t := s.t
	t.Helper()
	port, dir := StablePort(t), t.TempDir()
	config := filepath.Join(dir, "sentinel.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `port %d
bind 127.0.0.1
dir %s
logfile %s
sentinel monitor %[4]s 127.0.0.1 %[5]d 2
sentinel down-after-milliseconds %[4]s %[6]d
sentinel failover-timeout %[4]s 6000
`, port, dir, filepath.Join(dir, "sentinel.log"), masterName, s.Nodes[0].port, downAfter.Milliseconds()), 0o600))
	cmd := exec.Command("redis-server", config, "--sentinel")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.ports = append(s.ports, port)
}

// ask puts one question about the master to a Sentinel.
func (s *Sentinel) ask(port int, question string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c := redis.NewSentinelClient(&redis.Options{Addr: "127.0.0.1:" + strconv.Itoa(port)})
	defer c.Close()
	cmd := redis.NewMapStringStringCmd(ctx, "sentinel", question, masterName)
	_ = c.Process(ctx, cmd)
	return cmd.Result()
}

// Remove makes all Sentinels forget the master, as a restart without their state does.
func (s *Sentinel) Remove() {
	for _, port := range s.ports {
		_, _ = s.ask(port, "remove") // the reply is no map
	}
}

func (s *Sentinel) ready() error {
	for _, port := range s.ports {
		m, err := s.ask(port, "master")
		if err != nil {
			return err
		}
		if m["num-other-sentinels"] != "2" || m["num-slaves"] != "2" || m["flags"] != "master" {
			return fmt.Errorf("%s Sentinels, %s replicas, the master is %s", m["num-other-sentinels"], m["num-slaves"], m["flags"])
		}
	}
	return nil
}

// Master is the node that the Sentinels call the master.
func (s *Sentinel) Master() *Redis {
	s.t.Helper()
	m, err := s.ask(s.ports[0], "master")
	must(s.t, err)
	for _, n := range s.Nodes {
		if strconv.Itoa(n.port) == m["port"] {
			return n
		}
	}
	s.t.Fatalf("the Sentinels' master listens on %s, which is no node's", m["port"])
	return nil
}

// AwaitWhole waits until every node is back and has the master's data.
func (s *Sentinel) AwaitWhole(d time.Duration) {
	s.t.Helper()
	Eventually(s.t, d, "the replicas follow the master", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		info, err := s.Master().Client.InfoMap(ctx, "replication").Result()
		if err != nil {
			return err
		}
		if i := info["Replication"]; i["role"] != "master" || i["connected_slaves"] != "2" {
			return fmt.Errorf("a %s with %s replicas", i["role"], i["connected_slaves"])
		}
		for _, n := range s.Nodes {
			if err := n.linked(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// URL is the address for REDIS_URL with REDIS_MODE sentinel.
func (s *Sentinel) URL() string {
	u := url.URL{Scheme: "redis", Host: "127.0.0.1:" + strconv.Itoa(s.ports[0]), Path: "/0"}
	q := url.Values{"master_name": {masterName}}
	for _, port := range s.ports[1:] {
		q.Add("addr", "127.0.0.1:"+strconv.Itoa(port))
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Cluster is three masters with a replica each.
type Cluster struct {
	Nodes []*Redis

	t testing.TB
}

// StartCluster starts them all; a node that is silent for timeout is taken for dead.
func StartCluster(t testing.TB, timeout time.Duration) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	create := []string{"--cluster", "create"}
	for range 6 {
		n := StartNode(t, "--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(timeout.Milliseconds(), 10),
			"--cluster-port", strconv.Itoa(StablePort(t)), "--cluster-replica-validity-factor", "0", "--appendonly", "no")
		c.Nodes = append(c.Nodes, n)
		create = append(create, n.Addr())
	}
	create = append(create, "--cluster-replicas", "1", "--cluster-yes")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "redis-cli", create...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	c.AwaitWhole(time.Minute)
	return c
}

// AwaitWhole waits until every node that answers knows a working cluster, and every replica among them has its data.
func (c *Cluster) AwaitWhole(d time.Duration) {
	c.t.Helper()
	Eventually(c.t, d, "the cluster is whole", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, n := range c.Nodes {
			if !n.Running() {
				continue
			}
			info, err := n.Client.ClusterInfo(ctx).Result()
			if err != nil {
				return err
			}
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") {
				return errors.New(n.Addr() + ": the cluster is not ok")
			}
			if err := n.linked(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// URL is the address for REDIS_URL with REDIS_MODE cluster.
func (c *Cluster) URL() string {
	q := url.Values{}
	for _, n := range c.Nodes[1:] {
		q.Add("addr", n.Addr())
	}
	return "redis://" + c.Nodes[0].Addr() + "?" + q.Encode()
}

// Masters are the nodes that are masters now.
func (c *Cluster) Masters() []*Redis {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var masters []*Redis
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		info, err := n.Client.InfoMap(ctx, "replication").Result()
		must(c.t, err)
		if info["Replication"]["role"] == "master" {
			masters = append(masters, n)
		}
	}
	return masters
}

// Running reports whether the process was started and not killed.
func (r *Redis) Running() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd != nil
}

// awaitLink waits until a replica has its master's data.
func (r *Redis) awaitLink() {
	r.t.Helper()
	Eventually(r.t, 30*time.Second, "the replica has its master's data", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return r.linked(ctx)
	})
}

// linked fails for a replica that has not its master's data; a master always has.
func (r *Redis) linked(ctx context.Context) error {
	info, err := r.Client.InfoMap(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if i := info["Replication"]; i["role"] == "slave" && i["master_link_status"] != "up" {
		return errors.New(r.Addr() + ": the link to its master is " + i["master_link_status"])
	}
	return nil
}
