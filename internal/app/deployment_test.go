package app_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// deployment is Redis in one of its modes, as real processes.
type deployment struct {
	mode      app.RedisMode
	url       string
	nodes     []*testworld.Redis // the master, or the masters, of the beginning come first
	sentinels []*redis.SentinelClient
	healthy   func(context.Context) error // nil for a single Redis
}

// single returns the deployment of one redis-server. Its URL may have a user and a password.
func single(r *testworld.Redis, url string) *deployment {
	return &deployment{mode: app.Single, url: url, nodes: []*testworld.Redis{r}}
}

// startCluster starts three masters with a replica each.
func startCluster(t *testing.T) *deployment {
	t.Helper()
	c := testworld.StartCluster(t, 3*time.Second)
	return &deployment{mode: app.Cluster, url: c.URL, nodes: c.Nodes, healthy: c.Healthy}
}

// startSentinel starts a master and two replicas with three Sentinels, which take a master that is silent for downAfter for
// dead.
func startSentinel(t *testing.T, downAfter time.Duration) *deployment {
	t.Helper()
	master := testworld.StartRedis(t)
	d := &deployment{mode: app.Sentinel, nodes: []*testworld.Redis{master, startReplica(t, master.Addr()), startReplica(t, master.Addr())}}
	var addresses []string
	for range 3 {
		address := runSentinel(t, master.Addr(), 2, downAfter)
		client := redis.NewSentinelClient(&redis.Options{Addr: address})
		// Redis 7 and newer: without this it would take a Sentinel ten seconds to notice a replica. Older ones refuse it.
		_ = client.Process(t.Context(), redis.NewCmd(t.Context(), "sentinel", "debug", "info-period", "500", "publish-period", "200", "ask-period", "200"))
		t.Cleanup(func() { client.Close() })
		d.sentinels, addresses = append(d.sentinels, client), append(addresses, address)
	}
	d.url = "redis://" + addresses[0] + "/0?" + url.Values{"master_name": {"koubei"}, "addr": addresses[1:]}.Encode()
	d.healthy = func(ctx context.Context) error {
		if masters, err := testworld.Masters(ctx, d.nodes...); err != nil || len(masters) != 1 {
			return fmt.Errorf("%d masters, %v", len(masters), err)
		}
		for _, s := range d.sentinels {
			m, err := s.Master(ctx, "koubei").Result()
			if err != nil || m["num-other-sentinels"] != "2" || m["num-slaves"] != "2" || m["flags"] != "master" {
				return fmt.Errorf("a Sentinel says %v, %v", m, err)
			}
		}
		return nil
	}
	d.awaitHealthy(t)
	return d
}

// startReplica starts a redis-server that replicates a master, and waits until it has the master's data.
func startReplica(t *testing.T, master string) *testworld.Redis {
	t.Helper()
	host, port, err := net.SplitHostPort(master)
	must(t, err)
	r := testworld.StartRedis(t, "--replicaof", host+" "+port)
	testworld.Eventually(t, 30*time.Second, "the replica has its master's data", func() error {
		_, err := testworld.Masters(t.Context(), r)
		return err
	})
	return r
}

// runSentinel starts one Sentinel that watches a master under the name koubei, and returns its address. It takes a
// master that is silent for downAfter for dead when quorum Sentinels agree.
func runSentinel(t *testing.T, master string, quorum int, downAfter time.Duration, options ...string) string {
	t.Helper()
	port, dir := testworld.StablePort(t), t.TempDir()
	file, address := filepath.Join(dir, "sentinel.conf"), fmt.Sprint("127.0.0.1:", port)
	must(t, os.WriteFile(file, fmt.Appendf(nil, `port %d
bind 127.0.0.1
dir %s
sentinel monitor koubei %s %d
sentinel down-after-milliseconds koubei %d
sentinel failover-timeout koubei %d
`, port, dir, strings.Replace(master, ":", " ", 1), quorum, downAfter.Milliseconds(), 6*downAfter.Milliseconds()), 0o600))
	testworld.StartProcess(t, "redis-server", nil, append([]string{file, "--sentinel"}, options...)...)
	testworld.Eventually(t, 30*time.Second, "the Sentinel listens", func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return address
}

// on changes a world's settings so that the service uses the deployment.
func (d *deployment) on(c *app.Config) { c.Redis.URL, c.Redis.Mode = d.url, d.mode }

// masters returns the nodes that run and are masters.
func (d *deployment) masters() []*testworld.Redis {
	masters, _ := testworld.Masters(context.Background(), d.nodes...)
	return masters
}

// awaitHealthy waits until every node runs, the replicas have their masters' data, and all nodes agree.
func (d *deployment) awaitHealthy(t *testing.T) {
	t.Helper()
	testworld.Eventually(t, time.Minute, "the deployment of Redis is healthy", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return d.healthy(ctx)
	})
}
