package app

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"regexp"
	"slices"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

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

func badURL(problem, fix string) error { return setting.Bad("REDIS_URL", problem, fix) }

const urlFix = "write redis://user:password@host:6379/0, and in the password %2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %"

// The time-outs are REDIS_TIMEOUT's, whatever the URL says; the deadline of each call is package store's. Maintenance
// notifications are a managed service's extension that costs a command on every connection.

func openSingle(c Redis) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errOptions(c.Mode)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if o.PoolSize == 0 {
		o.PoolSize = poolSize
	}
	if err := c.secure(o.TLSConfig); err != nil {
		return nil, err
	}
	return redis.NewClient(o), nil
}

func openSentinel(c Redis) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(c.URL)
	if err != nil {
		return nil, errOptions(c.Mode)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	if o.PoolSize == 0 {
		o.PoolSize = poolSize
	}
	if err := c.secure(o.TLSConfig); err != nil {
		return nil, err
	}
	return redis.NewFailoverClient(o), nil
}

func openCluster(c Redis) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(c.URL)
	if err != nil {
		return nil, errOptions(c.Mode)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if o.PoolSize == 0 {
		o.PoolSize = poolSize
	}
	if err := c.secure(o.TLSConfig); err != nil {
		return nil, err
	}
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

// secure gives the authorities and the client's certificate to a connection over TLS. It fails without TLS, which the
// scheme rediss:// turns on.
func (c Redis) secure(t *tls.Config) error {
	if c.Authorities == nil && c.Certificate == nil {
		return nil
	}
	if t == nil {
		return setting.Problem{
			Settings: []string{"REDIS_URL", "REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE"},
			Problem:  "don't go together: certificates need TLS", Fix: "write rediss:// in REDIS_URL, or remove the files",
		}
	}
	if c.Authorities != nil {
		t.RootCAs = c.Authorities
	}
	if c.Certificate != nil {
		t.Certificates = []tls.Certificate{*c.Certificate}
	}
	return nil
}
