package app

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/setting"
)

// databasePath is what may follow the host. go-redis ignores the rest of a path in some modes; it may be the end of a
// password with an unescaped slash.
var databasePath = regexp.MustCompile(`^(/\d*)?$`)

// readsReplicas are the URL options that would answer from a node that has not heard yet of a sign-out.
var readsReplicas = []string{"read_only", "route_by_latency", "route_randomly", "replica_only"}

// OpenRedis returns a client. It connects at the first command, so it fails only if the settings can't be used, with a
// setting.Problem that shows nothing of the address, which holds a password.
func OpenRedis(c Redis) (redis.UniversalClient, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, badURL("is not a URL", urlFix)
	case !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme):
		return nil, badURL("does not begin with redis://, rediss:// or unix://", "write redis://user:password@host:6379/0")
	case u.Port() != "" && !isPort(u.Port()):
		return nil, badURL("has a port that is not a number up to 65535", urlFix)
	case u.Fragment != "":
		return nil, badURL("has a part after #", urlFix)
	case u.Scheme == "unix" && u.Host != "":
		return nil, badURL("has a host before the path of the socket", "write unix://user:password@/path?db=0")
	case u.Scheme != "unix" && !databasePath.MatchString(u.Path):
		return nil, badURL("has a path that is not the number of a database", urlFix)
	}
	for _, name := range readsReplicas {
		if u.Query().Has(name) {
			return nil, badURL("has the option "+name+", which reads from replicas that may not have heard of a sign-out", "remove the option")
		}
	}
	switch c.Mode {
	case Sentinel:
		return openSentinel(c)
	case Cluster:
		return openCluster(c)
	}
	return openSingle(c)
}

func isPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

func badURL(problem, fix string) error { return setting.Bad("REDIS_URL", problem, fix) }

const urlFix = "write redis://user:password@host:6379/0, and in the password %2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %"

// The three modes differ in the type of their options, not in what is set: REDIS_TIMEOUT bounds a command, whatever the URL
// says, and package store sets the deadline of each call; a dial has its own (see dialer). Pipelines use the pool of the
// other commands, whose connections are open already. Idle connections stay, because a new one may cost several round trips.

func openSingle(c Redis) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errOptions(c.Mode)
	}
	if err := c.secure(o.TLSConfig); err != nil {
		return nil, err
	}
	s := signIn{o.Username, o.Password, o.DB, o.ClientName}
	o.Username, o.Password, o.DB, o.ClientName = "", "", 0, ""
	o.Dialer = dial(c, o.TLSConfig)
	o.DialTimeout, o.DialerRetries = dialRoundTrips*c.Timeout, 1
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled, o.DisableIdentity, o.Protocol = true, true, 2
	o.PoolSize, o.PipelinePoolSize, o.MinIdleConns = cmp.Or(o.PoolSize, poolSize), -1, 0
	o.ConnMaxIdleTime = cmp.Or(o.ConnMaxIdleTime, -1)
	return installDialer(redis.NewClient(o), s, c.Timeout), nil
}

func openSentinel(c Redis) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(c.URL)
	if err != nil {
		return nil, errOptions(c.Mode)
	}
	if err := c.secure(o.TLSConfig); err != nil {
		return nil, err
	}
	s := signIn{o.Username, o.Password, o.DB, o.ClientName}
	o.Username, o.Password, o.DB, o.ClientName = "", "", 0, ""
	o.Dialer = dial(c, o.TLSConfig) // to the Sentinels too
	o.DialTimeout, o.DialerRetries = dialRoundTrips*c.Timeout, 1
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled, o.DisableIdentity, o.Protocol = true, true, 2
	o.PoolSize, o.PipelinePoolSize, o.MinIdleConns = cmp.Or(o.PoolSize, poolSize), -1, 0
	o.ConnMaxIdleTime = cmp.Or(o.ConnMaxIdleTime, -1)
	return installDialer(redis.NewFailoverClient(o), s, c.Timeout), nil
}

func openCluster(c Redis) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(c.URL)
	if err != nil {
		return nil, errOptions(c.Mode)
	}
	if err := c.secure(o.TLSConfig); err != nil {
		return nil, err
	}
	s := signIn{o.Username, o.Password, 0, o.ClientName}
	o.Username, o.Password, o.ClientName = "", "", ""
	o.Dialer = dial(c, o.TLSConfig)
	o.DialTimeout, o.DialerRetries = dialRoundTrips*c.Timeout, 1
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled, o.DisableIdentity, o.Protocol = true, true, 2
	o.PoolSize, o.PipelinePoolSize, o.MinIdleConns = cmp.Or(o.PoolSize, poolSize), -1, 0
	o.ConnMaxIdleTime = cmp.Or(o.ConnMaxIdleTime, -1)
	// By its policies go-redis asks for all of Redis's COMMANDs first, and takes up to 5 s over it.
	o.DisableRoutingPolicies = true
	o.NewClient = func(node *redis.Options) *redis.Client { return installDialer(redis.NewClient(node), s, c.Timeout) }
	return redis.NewClusterClient(o), nil
}

// poolSize is how many connections each node may have: enough for a hot path whose commands take a fraction of a
// millisecond, and for all exchanges that are under way.
const poolSize = 64

// errOptions says that go-redis refused the address. What it says of the reason quotes the address, so it is dropped.
func errOptions(mode RedisMode) error {
	return badURL(fmt.Sprintf("has an option that go-redis does not know in REDIS_MODE=%s", mode),
		"use the options of go-redis's URL syntax; "+urlFix)
}
