package app

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/internal/setting"
	"koubei-landing/internal/store"
)

// The kinds of keys under the prefix. Landings work without arrivals, but two concurrent tabs may then lose a partner.
var (
	neededKinds = []string{session.SessionKind, landing.CodeKind, session.OperatorKind, session.RevokedKind, probeKind}
	usefulKinds = []string{session.ArrivalKind}
)

// testCommand is a harmless command that stands for a kind of command that the service needs.
type testCommand struct {
	name string // of the command
	kind string // of the key, empty for none
	cmd  redis.Cmder
}

// testCommands returns commands on keys that only this check uses. The commands delete the keys at the end. If they fail before
// that, the keys expire after ten seconds. key returns a key of a kind.
func testCommands(ctx context.Context, key func(kind string) string, replicas int) []testCommand {
	do := func(kind string, args ...any) testCommand {
		return testCommand{args[0].(string), kind, redis.NewCmd(ctx, args...)}
	}
	code, index := key(landing.CodeKind), key(session.OperatorKind)
	all := []testCommand{
		do("", "ping"), do("", "time"),
		do(landing.CodeKind, "eval", "return 1", 1, code),
		do(landing.CodeKind, "set", code, "check", "px", 10000),
		do(landing.CodeKind, "get", code),
		do(landing.CodeKind, "getdel", code),
		do(landing.CodeKind, "del", code),
		do(session.OperatorKind, "zadd", index, 1, "check"),
		do(session.OperatorKind, "pexpire", index, 10000),
		do(session.OperatorKind, "pttl", index),
		do(session.OperatorKind, "zrange", index, 0, -1),
		do(session.OperatorKind, "zremrangebyscore", index, "-inf", 0),
		do(session.OperatorKind, "zrem", index, "check"),
	}
	for _, kind := range slices.Concat(neededKinds, usefulKinds) {
		all = append(all, do(kind, "get", key(kind)))
	}
	if replicas > 0 {
		all = append(all, do("", "wait", 0, 1))
	}
	return all
}

// checkCommands tries every command that the service needs on one node, under the prefix.
func checkCommands(ctx context.Context, rdb redis.UniversalClient, n node, c Redis, now func() time.Time) []Finding {
	key, err := keysOn(ctx, rdb, n, c.Prefix)
	if err != nil {
		return []Finding{failure(n.name+" commands", explain(err, c))}
	}
	all := testCommands(ctx, key, c.Replicas)
	begun := now()
	_, _ = n.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, t := range all {
			_ = p.Process(ctx, t.cmd)
		}
		return nil
	})
	took := now().Sub(begun)
	half := begun.Add(took / 2)
	found := findingsOf(n.name, all, c)
	if len(found) == 0 {
		found = append(found, Finding{Group: groupRedis, Check: n.name + " commands", Level: OK, Detail: "all required commands are allowed under " + c.Prefix})
	}
	if theirs, err := timeOf(all); err == nil {
		found = append(found, clockFinding(groupRedis, n.name+" clock", "Redis's", theirs.Sub(half)))
	}
	return found
}

// timeOf returns Redis's reply to TIME.
func timeOf(all []testCommand) (time.Time, error) {
	i := slices.IndexFunc(all, func(t testCommand) bool { return t.name == "time" })
	parts, err := all[i].cmd.(*redis.Cmd).Int64Slice()
	if err != nil || len(parts) != 2 {
		return time.Time{}, errors.Join(err, errors.New("not a time"))
	}
	return time.UnixMicro(parts[0]*1e6 + parts[1]), nil
}

// keysOn returns a function that returns a key of each kind that belongs to a node.
func keysOn(ctx context.Context, rdb redis.UniversalClient, n node, prefix string) (func(kind string) string, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	suffix := ":check-" + rand.Text()
	if !ok {
		return func(kind string) string { return prefix + kind + suffix }, nil
	}
	keys := map[string]string{}
	for _, kind := range slices.Concat(neededKinds, usefulKinds) {
		for i := 0; keys[kind] == ""; i++ {
			key := prefix + kind + suffix + "-" + strconv.Itoa(i)
			master, err := cluster.MasterForKey(ctx, key)
			if err != nil {
				return nil, err
			}
			if master == n.client {
				keys[kind] = key
			}
			if i == 1<<18 { // enough for a node with one slot
				return nil, errors.New("no key belongs to the node")
			}
		}
	}
	return func(kind string) string { return keys[kind] }, nil
}

// findingsOf returns what the replies say: one finding for all commands that the user's rules refuse in the same way, and one for
// each other refusal.
func findingsOf(name string, all []testCommand, c Redis) []Finding {
	var commands, needed, useful []string
	var others []Finding
	add := func(names *[]string, name string) {
		if !slices.Contains(*names, name) {
			*names = append(*names, name)
		}
	}
	for _, t := range all {
		err := t.cmd.Err()
		switch {
		case err == nil, err == redis.Nil: //nolint:errorlint // go-redis joins Nil into dial errors, too
		case refusal(err) == refusedCommand:
			add(&commands, t.name)
		case refusal(err) == refusedKey && slices.Contains(usefulKinds, t.kind):
			add(&useful, t.kind)
		case refusal(err) == refusedKey:
			add(&needed, t.kind)
		default:
			f := failure(name+" commands", explain(err, c))
			if !slices.ContainsFunc(others, func(g Finding) bool { return g.Detail == f.Detail }) {
				others = append(others, f)
			}
		}
	}
	var found []Finding
	if len(commands) > 0 {
		found = append(found, failure(name+" commands", setting.Bad("REDIS_URL", "has a user who may not run "+strings.ToUpper(strings.Join(commands, ", ")), grant("+"+strings.Join(commands, " +")))))
	}
	for _, refused := range []struct {
		kinds []string
		level Level
	}{{needed, Failure}, {useful, Warning}} {
		if len(refused.kinds) > 0 {
			found = append(found, problemFinding(groupRedis, name+" keys", refused.level, keysProblem(c.Prefix, refused.kinds)))
		}
	}
	return append(found, others...)
}

func keysProblem(prefix string, kinds []string) setting.Problem {
	patterns := []string{prefix + "*"}
	if len(kinds) < len(neededKinds) {
		patterns = nil
		for _, kind := range kinds {
			patterns = append(patterns, prefix+kind+":*")
		}
	}
	return setting.Problem{
		Settings: []string{"REDIS_URL", "REDIS_KEY_PREFIX"},
		Problem:  "conflict: the user may not access the keys " + strings.Join(patterns, ", "),
		Fix:      grant("~"+prefix+"*") + "; or set REDIS_KEY_PREFIX to the prefix that the user may access",
	}
}

// grant returns the command that grants rights. It does not include the user's name, because the user in REDIS_URL may be a
// misplaced password.
func grant(rules string) string { return "run ACL SETUSER <user> " + rules }

// checkChannel publishes on the channel of the session cache, and subscribes to it. Only the session cache uses it.
func checkChannel(ctx context.Context, rdb redis.UniversalClient, c Config) Finding {
	channel := session.Channel(store.New(store.Options{Redis: rdb, Prefix: c.Redis.Prefix}))
	level := Failure
	if c.Session.CacheTTL == 0 {
		level = Warning
	}
	published := rdb.Publish(ctx, channel, "check").Err() // no session has this name
	subscribed := subscribe(ctx, rdb, channel, c.Redis.Timeout)
	var rules []string
	for _, try := range []struct {
		command string
		err     error
	}{{"publish", published}, {"subscribe", subscribed}} {
		switch {
		case try.err == nil:
		case refusal(try.err) == refusedCommand:
			rules = append(rules, "+"+try.command)
		case refusal(try.err) == refusedChannel:
			rules = append(rules, "&"+c.Redis.Prefix+"*")
		default:
			return failure("redis channel", explain(try.err, c.Redis))
		}
	}
	if len(rules) == 0 {
		return Finding{Group: groupRedis, Check: "redis channel", Level: OK, Detail: "publishing and subscribing are allowed"}
	}
	p := setting.Problem{Settings: []string{"REDIS_URL", "SESSION_CACHE_TTL"}, Fix: grant(strings.Join(slices.Compact(rules), " "))}
	p.Problem = "conflict: the user may not publish or subscribe on " + c.Redis.Prefix + "*, so the session cache serves nothing"
	if level == Warning {
		p.Settings = p.Settings[:1]
		p.Problem = "has a user who may not publish or subscribe on " + c.Redis.Prefix + "*: SESSION_CACHE_TTL would have no effect"
	}
	return problemFinding(groupRedis, "redis channel", level, p)
}

func subscribe(ctx context.Context, rdb redis.UniversalClient, channel string, timeout time.Duration) error {
	subscription := rdb.Subscribe(ctx, channel)
	defer subscription.Close()
	_, err := subscription.ReceiveTimeout(ctx, dialRoundTrips*timeout)
	return err
}
