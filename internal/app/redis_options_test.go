package app_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
)

// options are those of a client that one mode has in common with the others.
type options struct {
	dial, read, write, pool, idle   time.Duration
	retries, size, pipelines, least int
	deadlines, anonymous            bool
	protocol                        int
	user, password, name            string
	db                              int
}

// optionsOf returns the options of the client in a mode.
func optionsOf(t *testing.T, c app.Redis) options {
	t.Helper()
	opened, err := app.OpenRedis(c)
	must(t, err)
	t.Cleanup(func() { opened.Close() })
	if cluster, ok := opened.(*redis.ClusterClient); ok {
		o := cluster.Options()
		if !o.DisableRoutingPolicies {
			t.Error("the client would load Redis's list of commands first")
		}
		return options{o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout, o.ConnMaxIdleTime, o.DialerRetries, o.PoolSize, o.PipelinePoolSize,
			o.MinIdleConns, o.ContextTimeoutEnabled, o.DisableIdentity, o.Protocol, o.Username, o.Password, o.ClientName, 0}
	}
	o := opened.(*redis.Client).Options()
	return options{o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout, o.ConnMaxIdleTime, o.DialerRetries, o.PoolSize, o.PipelinePoolSize,
		o.MinIdleConns, o.ContextTimeoutEnabled, o.DisableIdentity, o.Protocol, o.Username, o.Password, o.ClientName, o.DB}
}

// TestRedisOptions: the service decides the timeouts, whatever REDIS_URL says, and signs connections in itself.
func TestRedisOptions(t *testing.T) {
	t.Parallel()
	for mode, address := range map[app.RedisMode]string{
		app.Single:   "redis://app:hush@127.0.0.1:1/0?db=3&",
		app.Sentinel: "redis://127.0.0.1:1/3?master_name=koubei&username=app&password=hush&",
		app.Cluster:  "redis://app:hush@127.0.0.1:1?",
	} {
		want := options{dial: 8 * time.Second, read: time.Second, write: time.Second, pool: time.Second, idle: -1, retries: 1, size: 64, pipelines: -1,
			deadlines: true, anonymous: true, protocol: 2}
		c := app.Redis{Mode: mode, Timeout: time.Second, URL: address + "dial_timeout=1m&read_timeout=1m&write_timeout=1m&pool_timeout=1m&min_idle_conns=5&protocol=3&client_name=x"}
		if mode == app.Single {
			c.URL = strings.Replace(c.URL, "/0?db=3&", "/3?", 1)
		}
		got := optionsOf(t, c)
		if got != want {
			t.Errorf("%s: got %+v, want %+v", mode, got, want)
		}
		c.URL += "&pool_size=7&conn_max_idle_time=1h"
		want.size, want.idle = 7, time.Hour
		if got := optionsOf(t, c); got != want {
			t.Errorf("%s, with a pool of its own: got %+v, want %+v", mode, got, want)
		}
		c.Authorities = x509.NewCertPool()
		if opened, err := app.OpenRedis(c); err == nil {
			opened.Close()
			t.Errorf("%s: authorities without TLS are accepted", mode)
		}
	}
}

// TestALateSignInIsNone: a Redis answers the sign-in when the first command arrives. The answer is not that command's.
func TestALateSignInIsNone(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	acceptAll(t, listener, func(conn net.Conn) {
		defer conn.Close()
		request := make([]byte, 1024)
		_, _ = conn.Read(request)
		if n, _ := conn.Read(request); n > 0 {
			fmt.Fprint(conn, "+OK\r\n")
		}
	})
	rdb, err := app.OpenRedis(app.Redis{Mode: app.Single, URL: "redis://app:hush@" + listener.Addr().String(), Timeout: 50 * time.Millisecond})
	must(t, err)
	defer rdb.Close()
	if value, err := rdb.Get(t.Context(), "key").Result(); err == nil {
		t.Errorf("got %q, which answers the sign-in", value)
	}
}

// TestServerNameInTLS: a client sends the host of a node's own address, or that of REDIS_URL if the node's is an IP
// address, which TLS has no place for.
func TestServerNameInTLS(t *testing.T) {
	t.Parallel()
	names := make(chan string, 16)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, errors.New("no handshake")
	}})
	must(t, err)
	acceptAll(t, listener, func(conn net.Conn) {
		defer conn.Close()
		_ = conn.(*tls.Conn).HandshakeContext(t.Context())
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	for _, row := range []struct {
		url, node string
		want      []string
	}{
		{"localhost", "127.0.0.1", []string{"localhost"}},
		{"127.0.0.1", "localhost", []string{"", "localhost"}},
	} {
		c := app.Redis{Mode: app.Sentinel, Timeout: time.Second, URL: "rediss://" + row.url + ":" + port + "?master_name=koubei&addr=" + row.node + ":" + port}
		app.Check(t.Context(), app.Config{Redis: c})
		var got []string
		for len(names) > 0 { // a handshake fails after the server has read the name
			got = append(got, <-names)
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, row.want) {
			t.Errorf("%s: got the names %q, want %q", c.URL, got, row.want)
		}
	}
}
