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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
)

// Deployment is Redis in one of its modes, as real processes.
type Deployment struct {
	Mode  app.RedisMode
	URL   string
	Nodes []*Redis // the master, or the masters, of the beginning come first

	Sentinels []*redis.SentinelClient

	t       testing.TB
	masters int                         // how many nodes are masters when all is well
	healthy func(context.Context) error // what else must be true then
}

// Single returns the deployment of one redis-server. Its URL may have a user and a password.
func Single(t testing.TB, r *Redis, url string) *Deployment {
	return &Deployment{Mode: app.Single, URL: url, Nodes: []*Redis{r}, t: t, masters: 1, healthy: func(context.Context) error { return nil }}
}

// On changes a world's settings so that the service uses the deployment.
func (d *Deployment) On(c *app.Config) { c.Redis.URL, c.Redis.Mode = d.URL, d.Mode }

// StartSentinel starts a master and two replicas with three Sentinels, which take a master that is silent for downAfter for
// dead.
func StartSentinel(t testing.TB, downAfter time.Duration) *Deployment {
	t.Helper()
	master := StartRedis(t)
	d := &Deployment{Mode: app.Sentinel, Nodes: []*Redis{master, StartReplica(t, master.Addr()), StartReplica(t, master.Addr())}, t: t, masters: 1}
	var addresses []string
	for range 3 {
		address := StartSentinelProcess(t, master.Addr(), 2, downAfter)
		client := redis.NewSentinelClient(&redis.Options{Addr: address})
		// Redis 7 and newer: without this it would take a Sentinel ten seconds to notice a replica. Older ones refuse it.
		_ = client.Process(t.Context(), redis.NewCmd(t.Context(), "sentinel", "debug", "info-period", "500", "publish-period", "200", "ask-period", "200"))
		t.Cleanup(func() { client.Close() })
		d.Sentinels, addresses = append(d.Sentinels, client), append(addresses, address)
	}
	d.URL = "redis://" + addresses[0] + "/0?" + url.Values{"master_name": {"koubei"}, "addr": addresses[1:]}.Encode()
	d.healthy = func(ctx context.Context) error {
		for _, s := range d.Sentinels {
			m, err := s.Master(ctx, "koubei").Result()
			if err != nil || m["num-other-sentinels"] != "2" || m["num-slaves"] != "2" || m["flags"] != "master" {
				return fmt.Errorf("a Sentinel says %v, %v", m, err)
			}
		}
		return nil
	}
	d.AwaitHealthy()
	return d
}

// StartSentinelProcess starts one Sentinel that watches a master under the name koubei, and returns its address. It takes a
// master that is silent for downAfter for dead when quorum Sentinels agree.
func StartSentinelProcess(t testing.TB, master string, quorum int, downAfter time.Duration, args ...string) string {
	t.Helper()
	port, dir := StablePort(t), t.TempDir()
	file, address := filepath.Join(dir, "sentinel.conf"), fmt.Sprint("127.0.0.1:", port)
	must(t, os.WriteFile(file, fmt.Appendf(nil, `port %d
bind 127.0.0.1
dir %s
logfile %[2]s/log
sentinel monitor koubei %[3]s %[4]d
sentinel down-after-milliseconds koubei %[5]d
sentinel failover-timeout koubei %[6]d
`, port, dir, strings.Replace(master, ":", " ", 1), quorum, downAfter.Milliseconds(), 6*downAfter.Milliseconds()), 0o600))
	StartProcess(t, "redis-server", nil, append([]string{file, "--sentinel"}, args...)...)
	Eventually(t, 30*time.Second, "the Sentinel listens", func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return address
}

// StartCluster starts three masters with a replica each. A node that is silent for timeout is taken for dead.
func StartCluster(t testing.TB, timeout time.Duration) *Deployment {
	t.Helper()
	d := &Deployment{Mode: app.Cluster, t: t, masters: 3}
	var addresses []string
	for range 6 {
		n := StartRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(timeout.Milliseconds(), 10),
			"--cluster-port", strconv.Itoa(StablePort(t)), "--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1")
		d.Nodes, addresses = append(d.Nodes, n), append(addresses, n.Addr())
	}
	d.URL = "redis://" + addresses[0] + "?" + url.Values{"addr": addresses[1:]}.Encode()
	d.healthy = func(ctx context.Context) error {
		for _, n := range d.Nodes {
			info, err := n.Client.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") {
				return fmt.Errorf("%s: the cluster is not ok: %s, %v", n.Addr(), info, err)
			}
		}
		return nil
	}
	create := slices.Concat([]string{"--cluster", "create"}, addresses, []string{"--cluster-replicas", "1", "--cluster-yes"})
	if out, err := exec.CommandContext(t.Context(), "redis-cli", create...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	d.AwaitHealthy()
	return d
}

// Masters returns the nodes that run and are masters.
func (d *Deployment) Masters() []*Redis {
	var masters []*Redis
	for _, n := range d.Nodes {
		if role, err := n.role(context.Background()); n.Running() && err == nil && role == "master" {
			masters = append(masters, n)
		}
	}
	return masters
}

// AwaitHealthy waits until every node runs, the replicas have their masters' data, and all nodes agree.
func (d *Deployment) AwaitHealthy() {
	d.t.Helper()
	Eventually(d.t, time.Minute, "the deployment of Redis is healthy", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		masters := 0
		for _, n := range d.Nodes {
			role, err := n.role(ctx)
			if err != nil {
				return err
			}
			if role == "master" {
				masters++
			}
		}
		if masters != d.masters {
			return errors.New(strconv.Itoa(masters) + " masters")
		}
		return d.healthy(ctx)
	})
}
