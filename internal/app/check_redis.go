package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// minRedis is the oldest Redis that has what we use.
const minRedis = "6.2"

// node is one Redis that we would write to, and what it says of itself.
type node struct {
	addr string
	info map[string]map[string]string
	err  error
}

func checkRedis(ctx context.Context, c Redis) []Finding {
	if c.URL == "" {
		return []Finding{{"redis", Skipped, "its settings come first", ""}}
	}
	rdb, err := OpenRedis(c)
	if err != nil {
		return []Finding{{"redis", Failure, err.Error(), "Correct REDIS_URL and REDIS_MODE."}}
	}
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(ctx, max(10*c.Timeout, time.Second))
	defer cancel()
	nodes, err := askNodes(ctx, rdb)
	if err != nil {
		nodes = []node{{err: err}}
	}
	var found []Finding
	for _, n := range nodes {
		found = append(found, n.check(c)...)
	}
	return found
}

// askNodes asks every master of a cluster, or the one Redis there is.
func askNodes(ctx context.Context, rdb redis.UniversalClient) ([]node, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		info, err := infoOf(ctx, rdb)
		return []node{{info: info, err: err}}, nil
	}
	var mu sync.Mutex
	var nodes []node
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		info, err := infoOf(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, node{" " + master.Options().Addr, info, err})
		return nil
	})
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.addr, b.addr) })
	return nodes, err
}

func infoOf(ctx context.Context, rdb redis.UniversalClient) (map[string]map[string]string, error) {
	return rdb.InfoMap(ctx, "server", "memory", "replication").Result()
}

func (n node) check(c Redis) []Finding {
	name := "redis" + n.addr
	switch {
	case redis.HasErrorPrefix(n.err, "NOPERM"):
		return []Finding{{name, Warning, "answers, but may not be asked about itself: " + n.err.Error(), "Allow the command INFO, or see to version, role and maxmemory-policy by other means."}}
	case redis.HasErrorPrefix(n.err, "WRONGPASS"), redis.HasErrorPrefix(n.err, "NOAUTH"):
		return []Finding{{name, Failure, n.err.Error(), "Put the right user and password into REDIS_URL."}}
	case n.err != nil:
		return []Finding{{name, Failure, "out of reach: " + n.err.Error(), "Check REDIS_URL and REDIS_MODE, and that Redis runs and can be reached from here."}}
	}
	return []Finding{n.checkVersion(name), n.checkRole(name, c.Replicas), n.checkMemory(name)}
}

func (n node) checkVersion(name string) Finding {
	version := n.info["Server"]["redis_version"]
	if older(version, minRedis) {
		return Finding{name, Failure, "version " + version, "Use Redis " + minRedis + " or newer."}
	}
	return Finding{name, OK, "version " + version, ""}
}

// checkRole sees that writes can be made, and kept as often as they must be.
func (n node) checkRole(name string, replicas int) Finding {
	role, connected := n.info["Replication"]["role"], n.info["Replication"]["connected_slaves"]
	f := Finding{name + " role", OK, fmt.Sprintf("%s, replicas connected: %s", role, connected), ""}
	if role == "slave" {
		return Finding{f.Check, Failure, "a replica, which takes no writes", "Point REDIS_URL at the master, or set REDIS_MODE to sentinel."}
	}
	if n, err := strconv.Atoi(connected); replicas > 0 && (err != nil || n < replicas) {
		f.Level = Failure
		f.Cure = fmt.Sprintf("Connect replicas: REDIS_WAIT_REPLICAS is %d, and no landing counts before as many have it.", replicas)
	}
	return f
}

// evictionCure is said by the check, and once by the running service.
const evictionCure = "Set maxmemory-policy to noeviction: an evicted session is a person signed out, an evicted code could be claimed twice."

func (n node) checkMemory(name string) Finding {
	policy := n.info["Memory"]["maxmemory_policy"]
	f := Finding{name + " memory", OK, "maxmemory-policy " + policy, ""}
	if policy != "noeviction" {
		f.Level = Warning
		f.Cure = evictionCure
	}
	return f
}

// older reports whether a version is below another, by their first two numbers. What is no version is older than any.
func older(version, than string) bool {
	var major, minor, wantMajor, wantMinor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return true
	}
	if _, err := fmt.Sscanf(than, "%d.%d", &wantMajor, &wantMinor); err != nil {
		return false
	}
	return major < wantMajor || major == wantMajor && minor < wantMinor
}
