package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// readsReplicas are the URL options that would answer from a node that has not heard yet of a sign-out.
var readsReplicas = []string{"read_only", "route_by_latency", "route_randomly", "replica_only"}

// OpenRedis returns a client. It connects at the first command, so it fails only on an address that can't be one; the
// error never shows the address, which holds a password.
func OpenRedis(c Redis) (redis.UniversalClient, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("the address is not a URL: write redis://, rediss:// or unix://")
	}
	for _, name := range readsReplicas {
		if u.Query().Has(name) {
			return nil, fmt.Errorf("the option %s reads from replicas, which may not have heard of a sign-out: remove it", name)
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

// The time-outs are REDIS_TIMEOUT's, whatever the URL says; the deadline of each call is package store's. Maintenance
// notifications are a managed service's extension that costs a command on every connection.

func openSingle(c Redis) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errURL(err)
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
		return nil, errURL(err)
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
		return nil, errURL(err)
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

// errURL keeps what is wrong and drops what was read, which may be a password.
func errURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return errors.New("the address is not a URL that go-redis can read: write redis://, rediss:// or unix://")
	}
	return fmt.Errorf("the address can't be used: %w", err)
}

// secure gives the authorities and the client's certificate to a connection over TLS. It fails without TLS, which the
// scheme rediss:// turns on.
func (c Redis) secure(t *tls.Config) error {
	if c.Authorities == nil && c.Certificate == nil {
		return nil
	}
	if t == nil {
		return errors.New("REDIS_CA_FILE and REDIS_CERT_FILE need TLS: write rediss://")
	}
	if c.Authorities != nil {
		t.RootCAs = c.Authorities
	}
	if c.Certificate != nil {
		t.Certificates = []tls.Certificate{*c.Certificate}
	}
	return nil
}
