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

// databasePath is what may follow the host. In some modes go-redis ignores the rest of a path, which may be the end of a
// password with an unescaped slash.
var databasePath = regexp.MustCompile(`^(/\d*)?$`)

// readsReplicas are the URL options that allow reads from a replica, which may not have the latest sign-outs.
var readsReplicas = []string{"read_only", "route_by_latency", "route_randomly", "replica_only"}

// OpenRedis returns a client. It connects at the first command. It fails only if the settings are invalid, with a
// setting.Problem that contains nothing of the address, because the address contains a password.
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
			return nil, badURL("has the option "+name+", which reads from replicas that may not have the latest sign-outs", "remove the option")
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

func badURL(problem, fix string) setting.Problem { return setting.Bad("REDIS_URL", problem, fix) }

const urlFix = "write redis://user:password@host:6379/0, and in the password %2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %"

// The three modes have options of different types but with the same values. REDIS_TIMEOUT is the timeout of a command,
// whatever the URL says, and package store sets the deadline of each call. A dial has its own deadline (see dialer).
// Pipelines use the same pool as other commands, because its connections are already open. Idle connections stay open,
// because a new one may take several round trips.

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
	// With routing policies, go-redis first loads Redis's COMMAND list, which may take up to 5 s.
	o.DisableRoutingPolicies = true
	o.NewClient = func(node *redis.Options) *redis.Client { return installDialer(redis.NewClient(node), s, c.Timeout) }
	return redis.NewClusterClient(o), nil
}

// poolSize is the maximum number of connections to each node: enough for the checks, whose commands take a fraction of a
// millisecond, and for all concurrent exchanges.
const poolSize = 64

// errOptions returns the problem of an invalid address. It omits go-redis's reason, which quotes the address.
func errOptions(mode RedisMode) error {
	return badURL(fmt.Sprintf("has an option that go-redis does not know in REDIS_MODE=%s", mode),
		"use the options of go-redis's URL syntax; "+urlFix)
}
