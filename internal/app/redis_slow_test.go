package app_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// link holds TCP proxies in front of servers. They forward data half a round trip later.
type link struct{ roundTrip atomic.Int64 }

// to starts a proxy in front of a server and returns its address.
func (l *link) to(t *testing.T, server, listen string) string {
	t.Helper()
	listener, err := net.Listen("tcp", listen)
	must(t, err)
	acceptAll(t, listener, func(client net.Conn) {
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			client.Close()
			return
		}
		go l.pass(upstream, client)
		l.pass(client, upstream)
	})
	return listener.Addr().String()
}

// acceptAll calls handle for each connection of a listener, which it closes with the test. handle closes the connection.
func acceptAll(t *testing.T, listener net.Listener, handle func(net.Conn)) {
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go handle(conn)
		}
	}()
}

// pass copies from one connection to the other until one of them ends, and closes both.
func (l *link) pass(to, from net.Conn) {
	type chunk struct {
		data []byte
		due  time.Time
	}
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			data := make([]byte, 16<<10)
			n, err := from.Read(data)
			if n > 0 {
				chunks <- chunk{data[:n], time.Now().Add(time.Duration(l.roundTrip.Load() / 2))}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		<-time.After(time.Until(c.due))
		if _, err := to.Write(c.data); err != nil {
			break
		}
	}
	to.Close()
	from.Close()
}

// These start Redis behind a link, in each mode. Its user app has the password hush, so a new connection has to sign in. A
// node of a Cluster announces the link's address as its own, and the Sentinel knows its master by it.

func (l *link) single(t *testing.T) app.Redis {
	return app.Redis{Mode: app.Single, URL: "redis://app:hush@" + l.to(t, startPrivate(t).Addr(), "127.0.0.1:0")}
}

func (l *link) sentinel(t *testing.T) app.Redis {
	master := l.to(t, startPrivate(t).Addr(), "127.0.0.1:0")
	sentinel := l.to(t, startSentinelProcess(t, master), "127.0.0.1:0")
	return app.Redis{Mode: app.Sentinel, URL: "redis://" + sentinel + "?master_name=koubei&username=app&password=hush"}
}

func (l *link) cluster(t *testing.T) app.Redis {
	announced := strconv.Itoa(testworld.StablePort(t))
	r := startPrivate(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(testworld.StablePort(t)),
		"--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", announced)
	must(t, r.Client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	testworld.Eventually(t, 10*time.Second, "the cluster works", func() error { return r.Client.Set(t.Context(), "key", "", 0).Err() })
	return app.Redis{Mode: app.Cluster, URL: "redis://app:hush@" + l.to(t, r.Addr(), "127.0.0.1:"+announced)}
}

// startPrivate starts a Redis whose user app has the password hush.
func startPrivate(t *testing.T, args ...string) *testworld.Redis {
	t.Helper()
	r := testworld.StartRedis(t, args...)
	must(t, r.Client.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">hush", "~*", "&*", "+@all").Err())
	return r
}

// TestSlowLink sends a burst of checks over a link whose round trip takes 0.8 of REDIS_TIMEOUT. A command then succeeds
// only on a connection that is already signed in. Both times are ten times as long as a round trip of 400 ms and the
// default timeout, to leave time for a busy machine.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	const checks, wanted = 40, 38
	const timeout, roundTrip = 5 * time.Second, 4 * time.Second
	for name, start := range map[string]func(*link, *testing.T) app.Redis{
		"single": (*link).single, "sentinel": (*link).sentinel, "cluster": (*link).cluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &link{}
			redis := start(l, t)
			w := testworld.New(t, func(c *app.Config) {
				c.Redis.URL, c.Redis.Mode, c.Redis.Timeout = redis.URL, redis.Mode, timeout
			})
			b := w.Browser()
			if err := want(b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), http.StatusSeeOther); err != nil {
				t.Fatal(err)
			}
			l.roundTrip.Store(int64(roundTrip))
			far := w.Replica()
			testworld.Eventually(t, time.Minute, "connections are open for the whole burst", func() error {
				if n := idleConnections(t, b, far); n < checks {
					return fmt.Errorf("%d idle connections", n)
				}
				return nil
			})
			// A retry is only needed if the machine is too busy to respond within a second.
			got := 0
			for range 3 {
				if got = burst(t, w, far, b, checks); got >= wanted {
					return
				}
			}
			t.Errorf("%d of %d checks were answered 200, want %d", got, checks, wanted)
		})
	}
}

// TestNewConnectionOverASlowLink: the first command on a new connection takes one round trip, because nothing else is sent
// before it or with it. With a password, the connection is ready for the next command.
func TestNewConnectionOverASlowLink(t *testing.T) {
	t.Parallel()
	const timeout, roundTrip = 2500 * time.Millisecond, 1500 * time.Millisecond
	l := &link{}
	r := startPrivate(t)
	address := l.to(t, r.Addr(), "127.0.0.1:0")
	l.roundTrip.Store(int64(roundTrip))
	for _, row := range []struct {
		name, url string
		cold      bool // whether the first command succeeds
		commands  []string
	}{
		{"nothing to say first", "redis://" + address, true, []string{"ping"}},
		{"a password, a database and a name", "redis://app:hush@" + address + "/1?client_name=koubei", false,
			[]string{"auth", "select", "client|setname", "ping"}},
	} {
		must(t, r.Client.ConfigResetStat(t.Context()).Err())
		client, err := app.OpenRedis(app.Redis{URL: row.url, Mode: app.Single, Timeout: timeout})
		must(t, err)
		ping := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			return client.Ping(ctx).Err()
		}
		if err := ping(); (err == nil) != row.cold {
			t.Errorf("%s: the first command: got %v, want success %t", row.name, err, row.cold)
		}
		testworld.Eventually(t, time.Minute, "the connection is open", func() error {
			if client.PoolStats().IdleConns == 0 {
				return fmt.Errorf("%+v", client.PoolStats())
			}
			return nil
		})
		if err := ping(); err != nil {
			t.Errorf("%s: the next command: %v", row.name, err)
		}
		stats := r.Client.InfoMap(t.Context(), "commandstats").Val()["Commandstats"]
		if _, ok := stats["cmdstat_hello"]; ok {
			t.Errorf("%s: HELLO was sent", row.name)
		}
		for _, command := range row.commands {
			if _, ok := stats["cmdstat_"+command]; !ok {
				t.Errorf("%s: no %s among %v", row.name, command, stats)
			}
		}
		must(t, client.Close())
	}
}

// TestASlowLinkIsWarmedAgain: if the connections break, as many are opened again.
func TestASlowLinkIsWarmedAgain(t *testing.T) {
	t.Parallel()
	const wanted = 40
	l := &link{}
	l.roundTrip.Store(int64(400 * time.Millisecond))
	r := startPrivate(t)
	client, err := app.OpenRedis(app.Redis{URL: "redis://app:hush@" + l.to(t, r.Addr(), "127.0.0.1:0"), Mode: app.Single, Timeout: time.Second})
	must(t, err)
	defer client.Close()
	for _, when := range []string{"at first", "after all connections broke"} {
		testworld.Eventually(t, time.Minute, when+", the connections are open", func() error {
			_ = client.Ping(t.Context()).Err() // finds out that a connection is broken
			open := strings.Count(r.Client.ClientList(t.Context()).Val(), "user=app")
			if idle := client.PoolStats().IdleConns; open < wanted || idle < wanted {
				return fmt.Errorf("%d connections, %d idle", open, idle)
			}
			return nil
		})
		must(t, r.Client.ClientKillByFilter(t.Context(), "USER", "app").Err())
	}
}

// TestAFastLinkIsNotWarmed: the service's own commands need few connections.
func TestAFastLinkIsNotWarmed(t *testing.T) {
	t.Parallel()
	r := startPrivate(t)
	client, err := app.OpenRedis(app.Redis{URL: "redis://app:hush@" + r.Addr(), Mode: app.Single, Timeout: time.Minute})
	must(t, err)
	defer client.Close()
	for range 500 { // what would open connections in the meantime sends PING on them
		must(t, client.Exists(t.Context(), "key").Err())
	}
	if all := r.Client.ClientList(t.Context()).Val(); strings.Contains(all, "cmd=ping user=app") {
		t.Errorf("got connections with PING, want none:\n%s", all)
	}
}

// idleConnections returns the number of a service's idle connections to Redis.
func idleConnections(t *testing.T, b *testworld.Browser, s *testworld.Service) int {
	t.Helper()
	_, after, _ := strings.Cut(b.Get(s.Internal+"/metrics").Body, "\nredis_pool_idle_connections ")
	count, _, _ := strings.Cut(after, "\n")
	n, err := strconv.Atoi(count)
	must(t, err)
	return n
}

// burst sends concurrent checks and returns how many responses were 200. The others must be 503 in time.
func burst(t *testing.T, w *testworld.World, s *testworld.Service, b *testworld.Browser, checks int) int {
	var allowed atomic.Int64
	var all sync.WaitGroup
	for range checks {
		all.Go(func() {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Internal+"/auth/verify", nil)
			must(t, err)
			r.Header.Set("Cookie", "koubei_session="+b.Cookie(w.Public, "koubei_session"))
			begun := time.Now()
			a, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			a.Body.Close()
			switch {
			case a.StatusCode == http.StatusOK:
				allowed.Add(1)
			case a.StatusCode != http.StatusServiceUnavailable:
				t.Errorf("a check was answered %d, want 200 or 503", a.StatusCode)
			}
			if took, limit := time.Since(begun), w.Config.Redis.Timeout+little; took > limit {
				t.Errorf("a check took %s, want %s at most", took, limit)
			}
		})
	}
	all.Wait()
	return int(allowed.Load())
}

// startSentinelProcess starts one Sentinel that watches a master, and returns its address.
func startSentinelProcess(t *testing.T, master string, options ...string) string {
	t.Helper()
	return runSentinel(t, master, 1, time.Minute, options...)
}
