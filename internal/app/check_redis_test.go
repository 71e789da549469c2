package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// signedInAs returns settings with a user that has these rules, on its own Redis.
func signedInAs(t *testing.T, rules ...any) (app.Config, *testworld.Redis) {
	t.Helper()
	r := testworld.StartRedis(t)
	setUser(t, r, append([]any{"reset", "on", ">hush"}, rules...)...)
	return app.Config{Redis: app.Redis{URL: "redis://app:hush@" + r.Addr(), Mode: app.Single, Timeout: 2 * time.Second, Prefix: "koubei:1:"}}, r
}

func setUser(t *testing.T, r *testworld.Redis, rules ...any) {
	t.Helper()
	must(t, r.Client.Do(t.Context(), append([]any{"ACL", "SETUSER", "app"}, rules...)...).Err())
}

// rulesIn returns the rules in a fix.
func rulesIn(fix string) []any {
	_, after, _ := strings.Cut(fix, "ACL SETUSER <user> ")
	after, _, _ = strings.Cut(after, ";")
	var rules []any
	for _, rule := range strings.Fields(after) {
		rules = append(rules, rule)
	}
	return rules
}

// TestCheckNamesTheRuleThatIsMissing takes one right after another from the user. The check names the rule that grants it,
// and finds no problem after that rule is granted.
func TestCheckNamesTheRuleThatIsMissing(t *testing.T) {
	t.Parallel()
	everything := []any{"~koubei:1:*", "&koubei:1:*", "+@all"}
	for _, row := range []struct {
		name    string
		without []any
		check   string
		rule    string
		level   app.Level
		keys    string // in the problem
	}{
		{"scripts", []any{"-eval"}, "redis commands", "+eval", app.Failure, ""},
		{"writes", []any{"-set"}, "redis commands", "+set", app.Failure, ""},
		{"reads", []any{"-get"}, "redis commands", "+get", app.Failure, ""},
		{"deletions", []any{"-getdel", "-del"}, "redis commands", "+getdel +del", app.Failure, ""},
		{"the index", []any{"-@sortedset"}, "redis commands", "+zadd +zrange +zremrangebyscore +zrem", app.Failure, ""},
		{"expiry", []any{"-pexpire", "-pttl"}, "redis commands", "+pexpire +pttl", app.Failure, ""},
		{"the clock", []any{"-time"}, "redis commands", "+time", app.Failure, ""},
		{"pings", []any{"-ping"}, "redis commands", "+ping", app.Failure, ""},
		{"all commands", []any{"-@all", "+info"}, "redis channel", "+publish +subscribe", app.Failure, ""},
		{"publishing", []any{"-publish"}, "redis channel", "+publish", app.Failure, ""},
		{"subscribing", []any{"-subscribe"}, "redis channel", "+subscribe", app.Failure, ""},
		{"channels", []any{"resetchannels"}, "redis channel", "&koubei:1:*", app.Failure, ""},
		{"another channel", []any{"resetchannels", "&other:*"}, "redis channel", "&koubei:1:*", app.Failure, ""},
		{"the prefix", []any{"resetkeys", "~other:*"}, "redis keys", "~koubei:1:*", app.Failure, "koubei:1:*"},
		{"one kind of key", []any{"resetkeys", "~koubei:1:s*", "~koubei:1:o*", "~koubei:1:r*", "~koubei:1:a*", "~koubei:1:p*"}, "redis keys", "~koubei:1:*", app.Failure, "koubei:1:code:*"},
		{"the key of /readyz", []any{"resetkeys", "~koubei:1:s*", "~koubei:1:o*", "~koubei:1:r*", "~koubei:1:a*", "~koubei:1:c*"}, "redis keys", "~koubei:1:*", app.Failure, "koubei:1:probe:*"},
		{"arrivals", []any{"resetkeys", "~koubei:1:s*", "~koubei:1:o*", "~koubei:1:r*", "~koubei:1:c*", "~koubei:1:p*"}, "redis keys", "~koubei:1:*", app.Warning, "koubei:1:arrival:*"},
		{"INFO", []any{"-info"}, "redis", "+info", app.Warning, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, r := signedInAs(t, everything...)
			c.Session.CacheTTL = time.Minute
			if got := problemsOf(app.Check(t.Context(), c)); len(got) > 0 {
				t.Fatalf("with all rights: got %+v, want no problem", got)
			}
			setUser(t, r, row.without...)
			all := app.Check(t.Context(), c)
			problems := problemsOf(all)
			if strings.HasPrefix(row.rule, "~") && slices.ContainsFunc(all, func(f app.Finding) bool { return f.Check == "redis commands" && f.Level == app.OK }) {
				t.Error("all commands are allowed, says the check")
			}
			i := slices.IndexFunc(problems, func(f app.Finding) bool { return f.Check == row.check })
			if i < 0 || problems[i].Level != row.level || !strings.Contains(problems[i].Fix, row.rule) {
				t.Errorf("got %+v, want a %s of %s with %s", problems, row.level, row.check, row.rule)
			}
			if _, keys, _ := strings.Cut(problems[max(i, 0)].Detail, " the keys "); keys != row.keys {
				t.Errorf("got the keys %q, want %q", keys, row.keys)
			}
			for _, f := range problems {
				if f.Check == "redis clock" {
					t.Errorf("a clock that was not read: %+v", f)
				}
				rules := rulesIn(f.Fix)
				setUser(t, r, rules...)
				for i, rule := range rules {
					if slices.Contains(rules[:i], rule) {
						t.Errorf("got %v twice in %q", rule, f.Fix)
					}
				}
			}
			if got := problemsOf(app.Check(t.Context(), c)); len(got) > 0 {
				t.Errorf("after the fix: got %+v, want no problem", got)
			}
		})
	}
}

// TestChannelsMatterToTheCacheAlone: without a cache the check only warns about them.
func TestChannelsMatterToTheCacheAlone(t *testing.T) {
	t.Parallel()
	c, _ := signedInAs(t, "~koubei:1:*", "+@all") // the default of Redis 7: no channel
	if f := find(app.Check(t.Context(), c), "redis channel"); f.Level != app.Warning {
		t.Errorf("got %+v, want a warning", f)
	} else if strings.HasPrefix(f.Detail, "conflict") || !slices.Equal(f.Settings, []string{"REDIS_URL"}) {
		t.Errorf("without a cache there is no conflict: %+v", f)
	}
	c.Session.CacheTTL = time.Second
	if f := find(app.Check(t.Context(), c), "redis channel"); f.Level != app.Failure || !slices.Contains(f.Settings, "SESSION_CACHE_TTL") {
		t.Errorf("with a cache: got %+v, want a failure", f)
	}
}

// TestCheckOfARedisWithoutPublish: no right helps.
func TestCheckOfARedisWithoutPublish(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t, "--rename-command", "PUBLISH", "")
	c := app.Config{Redis: app.Redis{URL: r.URL(), Mode: app.Single, Timeout: 2 * time.Second, Prefix: "koubei:1:"}}
	if f := find(app.Check(t.Context(), c), "redis channel"); f.Level != app.Failure || strings.Contains(f.Fix, "ACL") {
		t.Errorf("got %+v, want a failure, and no right as its fix", f)
	}
}

// TestCheckLeavesNothingBehind checks that no keys and no connections are left after a check. It runs alone, because the
// garbage collector closes forgotten connections, too.
func TestCheckLeavesNothingBehind(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c, r := signedInAs(t, "allkeys", "allchannels", "+@all")
	app.Check(t.Context(), c)
	if keys := r.Client.Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("got %q, want no keys", keys)
	}
	testworld.Eventually(t, 10*time.Second, "the check's connections are closed", func() error {
		if all := r.Client.ClientList(t.Context()).Val(); strings.Contains(all, "user=app") {
			return errors.New(all)
		}
		return nil
	})
}

// TestCheckOverASlowLink: the time limit of all commands together allows for a slow link.
func TestCheckOverASlowLink(t *testing.T) {
	t.Parallel()
	l := &link{}
	l.roundTrip.Store(int64(300 * time.Millisecond))
	redis := l.single(t)
	redis.Timeout, redis.Prefix = time.Second, "koubei:1:"
	if got := problemsOf(app.Check(t.Context(), app.Config{Redis: redis})); len(got) > 0 {
		t.Errorf("got %+v, want no problem", got)
	}
}

func TestCheckOfARedisThatRefusesWrites(t *testing.T) {
	t.Parallel()
	checkBroken(t, []brokenRedis{
		{"it could not save", func(t *testing.T) app.Redis {
			dir := t.TempDir()
			r := testworld.StartRedis(t, "--save", "3600 1000", "--dir", dir, "--dbfilename", "dump")
			must(t, os.Mkdir(filepath.Join(dir, "dump"), 0o700)) // a directory with the name of the dump
			must(t, r.Client.Set(t.Context(), "key", "", 0).Err())
			must(t, r.Client.BgSave(t.Context()).Err())
			testworld.Eventually(t, 10*time.Second, "saving fails", func() error {
				if info := r.Client.InfoMap(t.Context(), "persistence").Val(); info["Persistence"]["rdb_last_bgsave_status"] != "err" {
					return errors.New("not yet")
				}
				return nil
			})
			return app.Redis{URL: r.URL()}
		}, "redis commands", "REDIS_URL", "MISCONF"},
		{"it is full", func(t *testing.T) app.Redis {
			r := testworld.StartRedis(t)
			setConfig(t, r, "maxmemory", 1)
			return app.Redis{URL: r.URL()}
		}, "redis commands", "REDIS_URL", "OOM"},
		{"its replicas are away", func(t *testing.T) app.Redis {
			r := testworld.StartRedis(t)
			setConfig(t, r, "min-replicas-to-write", 1)
			return app.Redis{URL: r.URL()}
		}, "redis commands", "REDIS_URL", "NOREPLICAS"},
		{"half a Cluster", func(t *testing.T) app.Redis {
			return app.Redis{URL: "redis://" + halfACluster(t).Addr(), Mode: app.Cluster}
		}, "redis commands", "REDIS_URL", "CLUSTERDOWN"},
		{"fewer replicas than are waited for", func(t *testing.T) app.Redis {
			return app.Redis{URL: testworld.StartRedis(t).URL(), Replicas: 1}
		}, "redis role", "REDIS_WAIT_REPLICAS", "replicas"},
	})
}

func TestCheckOfAReplica(t *testing.T) {
	t.Parallel()
	checkBroken(t, []brokenRedis{
		{"a replica", func(t *testing.T) app.Redis {
			return app.Redis{URL: startReplica(t, testworld.StartRedis(t).Addr()).URL()}
		}, "redis role", "REDIS_URL", "READONLY"},
		{"a replica that may not be asked for INFO", func(t *testing.T) app.Redis {
			r := startReplica(t, testworld.StartRedis(t).Addr())
			setUser(t, r, "on", ">hush", "allkeys", "allchannels", "+@all", "-info")
			return app.Redis{URL: "redis://app:hush@" + r.Addr()}
		}, "redis commands", "REDIS_URL", "READONLY"},
		{"a demoted master", func(t *testing.T) app.Redis {
			r, next := testworld.StartRedis(t), testworld.StartRedis(t)
			host, port, _ := strings.Cut(next.Addr(), ":")
			must(t, r.Client.ReplicaOf(t.Context(), host, port).Err())
			return app.Redis{URL: r.URL()}
		}, "redis role", "REDIS_URL", "REDIS_MODE=sentinel"},
		{"Sentinels that call a replica the master", func(t *testing.T) app.Redis {
			r := startReplica(t, testworld.StartRedis(t).Addr())
			return app.Redis{Mode: app.Sentinel, URL: "redis://" + startSentinelProcess(t, r.Addr()) + "?master_name=koubei"}
		}, "redis role", "REDIS_URL", "SENTINEL GET-MASTER-ADDR-BY-NAME"},
	})
}

func TestCheckCountsTheReplicas(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	startReplica(t, r.Addr())
	awaitReplicated(t, r)
	c := app.Config{Redis: app.Redis{URL: r.URL(), Mode: app.Single, Timeout: time.Second, Prefix: "koubei:1:", Replicas: 1}}
	if got := problemsOf(app.Check(t.Context(), c)); len(got) > 0 {
		t.Errorf("got %+v, want no problem", got)
	}
	setUser(t, r, "reset", "on", ">hush", "~koubei:1:*", "&koubei:1:*", "+@all", "-wait")
	c.Redis.URL = "redis://app:hush@" + r.Addr()
	if f := find(app.Check(t.Context(), c), "redis commands"); f.Level != app.Failure || !strings.Contains(f.Fix, "+wait") {
		t.Errorf("without WAIT: got %+v, want a failure", f)
	}
}

func TestCheckOfAWrongRedisMode(t *testing.T) {
	t.Parallel()
	checkBroken(t, []brokenRedis{
		{"a node of a Cluster", func(t *testing.T) app.Redis {
			return app.Redis{URL: aCluster(t).URL()}
		}, "redis", "REDIS_MODE", "REDIS_MODE=cluster"},
		{"a node of a Cluster that may not be asked for INFO", func(t *testing.T) app.Redis {
			r := aCluster(t)
			setUser(t, r, "on", ">hush", "allkeys", "allchannels", "+@all", "-info")
			return app.Redis{URL: "redis://app:hush@" + r.Addr()}
		}, "redis commands", "REDIS_URL", "REDIS_MODE=cluster"},
		{"no Cluster", func(t *testing.T) app.Redis {
			return app.Redis{URL: testworld.StartRedis(t).URL(), Mode: app.Cluster}
		}, "redis", "REDIS_URL", "REDIS_MODE=single"},
		{"no Sentinel", func(t *testing.T) app.Redis {
			return app.Redis{URL: "redis://" + testworld.StartRedis(t).Addr() + "?master_name=koubei", Mode: app.Sentinel}
		}, "sentinel", "REDIS_MODE", "REDIS_MODE=single"},
		{"a Sentinel as if it were a Redis", func(t *testing.T) app.Redis {
			return app.Redis{URL: "redis://" + startSentinelProcess(t, testworld.StartRedis(t).Addr())}
		}, "redis", "REDIS_MODE", "REDIS_MODE=sentinel"},
	})
}

func TestCheckOfAWrongRedisURL(t *testing.T) {
	t.Parallel()
	checkBroken(t, []brokenRedis{
		{"another master's name", func(t *testing.T) app.Redis {
			return app.Redis{Mode: app.Sentinel, URL: "redis://" + startSentinelProcess(t, testworld.StartRedis(t).Addr()) + "?master_name=other"}
		}, "sentinel", "REDIS_URL", "master_name"},
		{"the master's password in front of the Sentinel's host", func(t *testing.T) app.Redis {
			r := startSecret(t)
			return app.Redis{Mode: app.Sentinel, URL: "redis://app:hush@" + startSentinelProcess(t, r.Addr(), "--requirepass", "another") + "?master_name=koubei"}
		}, "sentinel", "REDIS_URL", "&password="},
		{"the same where the Sentinel takes every password", func(t *testing.T) app.Redis {
			r := startSecret(t)
			return app.Redis{Mode: app.Sentinel, URL: "redis://:hush@" + startSentinelProcess(t, r.Addr()) + "?master_name=koubei"}
		}, "redis", "REDIS_URL", "&password="},
		{"no password for the Sentinel", func(t *testing.T) app.Redis {
			r := startSecret(t)
			return app.Redis{Mode: app.Sentinel, URL: "redis://" + startSentinelProcess(t, r.Addr(), "--requirepass", "another") + "?master_name=koubei&username=app&password=hush"}
		}, "sentinel", "REDIS_URL", "in front of the host"},
		{"another password", func(t *testing.T) app.Redis {
			return app.Redis{URL: "redis://app:wrongpassword@" + startPrivate(t).Addr()}
		}, "redis", "REDIS_URL", "WRONGPASS"},
		{"no password", func(t *testing.T) app.Redis {
			return app.Redis{URL: "redis://" + startSecret(t).Addr()}
		}, "redis", "REDIS_URL", "write the user and the password into REDIS_URL"},
		{"an option that does not exist", func(*testing.T) app.Redis { return app.Redis{URL: "redis://127.0.0.1:1?nonsense=1"} }, "redis", "REDIS_URL", ""},
		{"a database that isn't there", func(t *testing.T) app.Redis {
			return app.Redis{URL: strings.Replace(testworld.StartRedis(t).URL(), "/0", "/99", 1)}
		}, "redis", "REDIS_URL", "number after the host"},
	})
}

// TestCheckOfAClusterIsInOrder: the findings of a Cluster's nodes are sorted by address.
func TestCheckOfAClusterIsInOrder(t *testing.T) {
	t.Parallel()
	c := app.Config{Redis: app.Redis{URL: "redis://" + aCluster(t).Addr(), Mode: app.Cluster, Timeout: 2 * time.Second, Prefix: "koubei:1:"}}
	var got []app.Finding
	testworld.Eventually(t, 20*time.Second, "both nodes answer", func() error {
		if got = app.Check(t.Context(), c); len(problemsOf(got)) > 0 {
			return fmt.Errorf("got %+v, want no problem", problemsOf(got))
		}
		return nil
	})
	for range 8 { // the nodes answer in any order
		var nodes []string
		for _, f := range app.Check(t.Context(), c) {
			if node, ok := strings.CutSuffix(f.Check, " role"); ok {
				nodes = append(nodes, node)
			}
		}
		if len(nodes) != 2 || !slices.IsSorted(nodes) {
			t.Fatalf("got the nodes %q, want two in order", nodes)
		}
	}
}

// TestOneSentinelIsEnough: the check warns about the others.
func TestOneSentinelIsEnough(t *testing.T) {
	t.Parallel()
	address := "redis://" + startSentinelProcess(t, testworld.StartRedis(t).Addr()) + "?master_name=koubei&addr=127.0.0.1:1"
	problems := problemsOf(app.Check(t.Context(), app.Config{Redis: app.Redis{URL: address, Mode: app.Sentinel, Timeout: 2 * time.Second, Prefix: "koubei:1:"}}))
	if len(problems) != 1 || problems[0].Level != app.Warning || problems[0].Check != "sentinel 127.0.0.1:1" {
		t.Errorf("got %+v, want a warning about the second Sentinel", problems)
	}
}

// TestASentinelThatGivesNoAddress is no Sentinel, and must not end the check.
func TestASentinelThatGivesNoAddress(t *testing.T) {
	t.Parallel()
	s, err := server.NewServer("127.0.0.1:0")
	must(t, err)
	t.Cleanup(s.Close)
	must(t, s.Register("SENTINEL", func(c *server.Peer, _ string, _ []string) { c.WriteStrings([]string{"127.0.0.1"}) }))
	address := "redis://" + s.Addr().String() + "?master_name=koubei"
	got := app.Check(t.Context(), app.Config{Redis: app.Redis{URL: address, Mode: app.Sentinel, Timeout: 2 * time.Second}})
	if problems := problemsOf(got); len(problems) != 1 || problems[0].Level != app.Failure || problems[0].Check != "sentinel "+s.Addr().String() {
		t.Errorf("got %+v, want a failure of the Sentinel", problems)
	}
}

// TestARedisWithoutAPasswordAcceptsOne: Redis refuses AUTH with only a password then, but other clients try again.
func TestARedisWithoutAPasswordAcceptsOne(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	for _, user := range []string{":anything", "app"} { // without a password, a user does not sign in
		c := app.Redis{URL: "redis://" + user + "@" + r.Addr(), Mode: app.Single, Timeout: 2 * time.Second, Prefix: "koubei:1:"}
		if got := problemsOf(app.Check(t.Context(), app.Config{Redis: c})); len(got) > 0 {
			t.Errorf("%s: got %+v, want no problem", user, got)
		}
	}
}

// TestCheckComparesClocksInTheMiddle: TIME is read about halfway between the request and the reply.
func TestCheckComparesClocksInTheMiddle(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	// Each look at this clock takes 15 s. The check looks once, before the request, and after the reply.
	slow := func() time.Time { return time.Now().Add(time.Duration(calls.Add(1)-1) * 15 * time.Second) }
	c := app.Redis{URL: testworld.StartRedis(t).URL(), Mode: app.Single, Timeout: 2 * time.Second, Prefix: "koubei:1:"}
	if f := find(app.Check(t.Context(), app.Config{Redis: c, Now: slow}), "redis clock"); f.Level != app.OK || !strings.Contains(f.Detail, "ahead of Redis's") {
		t.Errorf("got %+v, want about 22 s ahead", f)
	}
}

// TestCheckOfSentinelsThatDisagree: a failover, or Sentinels of another Redis.
func TestCheckOfSentinelsThatDisagree(t *testing.T) {
	t.Parallel()
	another := startSentinelProcess(t, testworld.StartRedis(t).Addr())
	address := "redis://" + startSentinelProcess(t, testworld.StartRedis(t).Addr()) + "?master_name=koubei&addr=" + another
	problems := problemsOf(app.Check(t.Context(), app.Config{Redis: app.Redis{URL: address, Mode: app.Sentinel, Timeout: 2 * time.Second, Prefix: "koubei:1:"}}))
	if len(problems) != 1 || problems[0].Level != app.Warning || problems[0].Check != "sentinel "+another || problems[0].Fix == "" {
		t.Errorf("got %+v, want a warning about the second Sentinel", problems)
	}
}

// TestMissingReplicasHideNothing: the commands are tried, although no landing would succeed.
func TestMissingReplicasHideNothing(t *testing.T) {
	t.Parallel()
	c := app.Redis{URL: testworld.StartRedis(t).URL(), Mode: app.Single, Timeout: 2 * time.Second, Prefix: "koubei:1:", Replicas: 1}
	if f := find(app.Check(t.Context(), app.Config{Redis: c}), "redis commands"); f.Level != app.OK {
		t.Errorf("got %+v, want ok", f)
	}
}

// brokenRedis is a way in which Redis can be broken, and the finding of the check.
type brokenRedis struct {
	name    string
	start   func(t *testing.T) app.Redis
	check   string
	setting string
	text    string // in the problem or its fix
}

// checkBroken checks that the finding names the setting and Redis's own error, and that no finding contains a password.
func checkBroken(t *testing.T, rows []brokenRedis) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := app.Config{Redis: row.start(t)}
			if c.Redis.Mode == "" {
				c.Redis.Mode = app.Single
			}
			c.Redis.Timeout, c.Redis.Prefix = 2*time.Second, "koubei:1:"
			problems := problemsOf(app.Check(t.Context(), c))
			i := slices.IndexFunc(problems, func(f app.Finding) bool {
				what, last, _ := strings.Cut(row.check, " ")
				return strings.HasPrefix(f.Check, what) && strings.HasSuffix(f.Check, last) && slices.Contains(f.Settings, row.setting) && strings.Contains(f.Detail+" "+f.Fix, row.text)
			})
			failures := slices.DeleteFunc(slices.Clone(problems), func(f app.Finding) bool { return f.Level != app.Failure })
			if len(failures) != 1 {
				t.Errorf("got %+v, want one failure", failures)
			}
			if i < 0 || problems[i].Level != app.Failure || problems[i].Fix == "" {
				t.Errorf("got %+v, want a failure of %s about %s with %q", problems, row.check, row.setting, row.text)
			}
			for _, f := range problems {
				if strings.Contains(f.Detail+f.Fix, "hush") || strings.Contains(f.Detail+f.Fix, "wrongpassword") {
					t.Errorf("the password is in %+v", f)
				}
			}
		})
	}
}

func setConfig(t *testing.T, r *testworld.Redis, args ...any) {
	t.Helper()
	must(t, r.Client.Do(t.Context(), append([]any{"CONFIG", "SET"}, args...)...).Err())
}

// startSecret starts a Redis that requires a password. Its user app has the password hush.
func startSecret(t *testing.T) *testworld.Redis {
	t.Helper()
	r := startPrivate(t)
	must(t, r.Client.Do(t.Context(), "ACL", "SETUSER", "default", "resetpass").Err())
	return r
}

// startSlots starts a node of a Cluster with some of the slots.
func startSlots(t *testing.T, from, to int) (r *testworld.Redis, bus int) {
	t.Helper()
	bus = testworld.StablePort(t)
	r = testworld.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-announce-ip", "127.0.0.1", "--cluster-require-full-coverage", "no")
	must(t, r.Client.ClusterAddSlotsRange(t.Context(), from, to).Err())
	return r, bus
}

// halfACluster returns a node with half of the slots. No node has the others.
func halfACluster(t *testing.T) *testworld.Redis {
	t.Helper()
	r, _ := startSlots(t, 0, 8191)
	testworld.Eventually(t, 10*time.Second, "the node answers", func() error { return r.Client.Set(context.Background(), "bar", "", 0).Err() })
	return r
}

// aCluster returns a node with a few of the slots. Another node has the others.
func aCluster(t *testing.T) *testworld.Redis {
	t.Helper()
	r, _ := startSlots(t, 0, 99)
	other, bus := startSlots(t, 100, 16383)
	host, port, _ := strings.Cut(other.Addr(), ":")
	must(t, r.Client.Do(t.Context(), "CLUSTER", "MEET", host, port, bus).Err())
	testworld.Eventually(t, 20*time.Second, "the node knows the other", func() error {
		err := r.Client.Set(context.Background(), "foo", "", 0).Err()
		if _, moved := redis.IsMovedError(err); !moved {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	return r
}
