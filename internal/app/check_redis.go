package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/setting"
	"koubei-landing/internal/store"
)

// minRedis is the oldest Redis version that supports all commands in use.
const minRedis = "6.2"

// node is one Redis to which the service would write, and its INFO.
type node struct {
	name   string // of its findings: redis, or redis and its address on a Cluster
	client *redis.Client
	info   map[string]map[string]string
	err    error // of INFO
}

// redisBudget is the timeout of all commands of the check together.
func redisBudget(c Redis) time.Duration { return max(store.LongTimeout(c.Timeout), time.Second) }

func checkRedis(ctx context.Context, c Config, now func() time.Time) []Finding {
	if c.Redis.URL == "" {
		return []Finding{{Group: groupRedis, Check: "redis", Level: Skipped, Detail: "its settings have problems"}}
	}
	rdb, err := OpenRedis(c.Redis)
	if err != nil {
		problem, _ := errors.AsType[setting.Problem](err)
		return []Finding{problemFinding(groupRedis, "redis", Failure, problem)}
	}
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(ctx, redisBudget(c.Redis))
	defer cancel()
	var found []Finding
	if c.Redis.Mode == Sentinel {
		var ok bool
		if found, ok = checkSentinels(ctx, c.Redis); !ok {
			return found
		}
	}
	nodes, err := askNodes(ctx, rdb)
	if err != nil {
		return append(found, failure("redis", explain(err, c.Redis)))
	}
	whole := true
	for _, n := range nodes {
		state, usable := n.check(c.Redis)
		found = append(found, state...)
		if usable {
			found = append(found, checkCommands(ctx, rdb, n, c.Redis, now)...)
		}
		whole = whole && usable
	}
	if whole {
		found = append(found, checkChannel(ctx, rdb, c))
	}
	return found
}

func failure(check string, p setting.Problem) Finding {
	return problemFinding(groupRedis, check, Failure, p)
}

// askNodes returns the INFO of every master of a Cluster, or of the single Redis.
func askNodes(ctx context.Context, rdb redis.UniversalClient) ([]node, error) {
	if client, ok := rdb.(*redis.Client); ok {
		return []node{infoOf(ctx, "redis", client)}, nil
	}
	var mu sync.Mutex
	var nodes []node
	err := rdb.(*redis.ClusterClient).ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		n := infoOf(ctx, "redis "+master.Options().Addr, master)
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, n)
		return nil
	})
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
	return nodes, err
}

func infoOf(ctx context.Context, name string, client *redis.Client) node {
	info, err := client.InfoMap(ctx, "server", "memory", "replication").Result()
	return node{name, client, info, err}
}

// check checks a node's INFO, and reports whether commands can be tried on the node.
func (n node) check(c Redis) (found []Finding, usable bool) {
	switch {
	case redis.HasErrorPrefix(n.err, "NOPERM"):
		return []Finding{{Group: groupRedis, Check: n.name, Level: Warning, Settings: []string{"REDIS_URL"},
			Detail: "has a user who may not run INFO: version, role and maxmemory-policy stay unchecked", Fix: grant("+info")}}, true
	case n.err != nil:
		return []Finding{failure(n.name, explain(n.err, c))}, false
	}
	if mode := n.info["Server"]["redis_mode"]; c.Mode != Cluster && mode == "cluster" {
		return []Finding{failure(n.name, setting.Bad("REDIS_MODE", "is "+string(c.Mode)+", but this is a node of a Cluster, which has only some of the keys", "set REDIS_MODE=cluster"))}, false
	} else if mode == "sentinel" {
		return []Finding{failure(n.name, setting.Bad("REDIS_MODE", "is "+string(c.Mode)+", but this is a Sentinel, which has no keys", "set REDIS_MODE=sentinel, and add ?master_name= to REDIS_URL"))}, false
	}
	role := n.checkRole(c)
	return []Finding{n.checkVersion(), role, n.checkMemory()}, role.Level != Failure || n.info["Replication"]["role"] != "slave"
}

func (n node) checkVersion() Finding {
	version := n.info["Server"]["redis_version"]
	f := Finding{Group: groupRedis, Check: n.name, Level: OK, Detail: "version " + version}
	if older(version, minRedis) {
		f.Level, f.Settings, f.Fix = Failure, []string{"REDIS_URL"}, "use Redis "+minRedis+" or newer"
	}
	return f
}

// checkRole checks that the node accepts writes, and has as many replicas as REDIS_WAIT_REPLICAS requires.
func (n node) checkRole(c Redis) Finding {
	role, connected := n.info["Replication"]["role"], n.info["Replication"]["connected_slaves"]
	f := Finding{Group: groupRedis, Check: n.name + " role", Level: OK, Detail: fmt.Sprintf("%s, replicas connected: %s", role, connected)}
	if role == "slave" {
		return failure(f.Check, explain(replyError("READONLY"), c))
	}
	if n, err := strconv.Atoi(connected); c.Replicas > 0 && (err != nil || n < c.Replicas) {
		return failure(f.Check, setting.Bad("REDIS_WAIT_REPLICAS", fmt.Sprintf("is %d, but %s replicas are connected: no landing succeeds", c.Replicas, connected),
			"connect more replicas, or lower REDIS_WAIT_REPLICAS"))
	}
	return f
}

// evictionFix is printed by the check, and logged once by the running service.
const evictionFix = "set maxmemory-policy to noeviction: evicting a session signs the user out, and an evicted code could be claimed twice"

func (n node) checkMemory() Finding {
	policy := n.info["Memory"]["maxmemory_policy"]
	f := Finding{Group: groupRedis, Check: n.name + " memory", Level: OK, Detail: "maxmemory-policy " + policy}
	if policy != "noeviction" {
		f.Level, f.Settings, f.Fix = Warning, []string{"REDIS_URL"}, evictionFix
	}
	return f
}

// older reports whether a version is below another, by their first two numbers. Invalid versions are older than all others.
func older(version, than string) bool {
	var major, minor, wantMajor, wantMinor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return true
	}
	_, _ = fmt.Sscanf(than, "%d.%d", &wantMajor, &wantMinor) // minRedis
	return major < wantMajor || major == wantMajor && minor < wantMinor
}
