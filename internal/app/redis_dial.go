package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// dialRoundTrips is the timeout of a dial, in multiples of REDIS_TIMEOUT. Asking a Sentinel, TCP, TLS and AUTH take one
	// or two round trips each, and REDIS_TIMEOUT allows for one.
	dialRoundTrips = 8

	// warmConnections is the number of connections that are opened in advance on a slow link: enough for a burst of checks
	// on one node.
	warmConnections = 48
)

// keepAlive is go-redis's own policy. It also keeps firewalls from dropping idle connections.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// signIn holds what a new connection sends before its first command.
type signIn struct {
	user, password string
	db             int
	name           string // for CLIENT SETNAME
}

// dialer signs a connection in during the dial. go-redis would do so with the first command on the connection, within that
// command's deadline. HELLO, SELECT and the command would share REDIS_TIMEOUT. If a round trip takes more than half of
// REDIS_TIMEOUT, no new connection would ever work. A dial has its own deadline and continues after the request that
// started it, so the next request can use the connection.
//
// It is a hook of the client whose connections it signs in. The client itself must have no password, database or name.
type dialer struct {
	signIn
	timeout time.Duration // REDIS_TIMEOUT
	client  *redis.Client
	warming atomic.Bool
}

// installDialer makes a client sign in its connections during the dial.
func installDialer(client *redis.Client, s signIn, timeout time.Duration) *redis.Client {
	client.AddHook(&dialer{signIn: s, timeout: timeout, client: client})
	return client
}

// DialHook signs in. If the dial took long, the link is slow, and DialHook opens further connections in advance.
func (d *dialer) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialRoundTrips*d.timeout)
		defer cancel()
		begun := time.Now()
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := d.signIn.do(ctx, conn); err != nil {
			_ = conn.Close()
			return nil, err
		}
		if time.Since(begun) > d.timeout/10 {
			go d.warm()
		}
		return conn, nil
	}
}

// ProcessHook answers go-redis's HELLO without sending it, which saves a round trip: the connection is already signed in,
// and uses RESP2, the default of every connection.
func (d *dialer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hello" {
			return nil
		}
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook changes nothing.
func (d *dialer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// warm opens warmConnections. If a round trip takes long, this number of concurrent PINGs needs as many connections.
// Otherwise they share a few.
func (d *dialer) warm() {
	if !d.warming.CompareAndSwap(false, true) {
		return
	}
	defer d.warming.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), (dialRoundTrips+1)*d.timeout)
	defer cancel()
	done := make(chan struct{})
	pings := min(warmConnections, d.client.Options().PoolSize*3/4)
	for range pings {
		go func() {
			_ = d.client.Ping(ctx).Err() // a refused PING has opened its connection too
			done <- struct{}{}
		}()
	}
	for range pings {
		<-done
	}
}

// replyError is an error that Redis has sent. go-redis recognizes such errors by the method RedisError.
type replyError string

func (e replyError) Error() string { return string(e) }

// RedisError marks the error as a reply of Redis.
func (replyError) RedisError() {}

// do signs in within one round trip, before the context's deadline.
func (s signIn) do(ctx context.Context, conn net.Conn) error {
	if len(s.commands(s.user)) == 0 {
		return nil
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	err := s.ask(conn, s.user)
	if _, refused := errors.AsType[replyError](err); refused && s.user == "" && s.password != "" {
		// Redis refuses AUTH with only a password if the default user needs none. With the user's name it accepts any.
		err = s.ask(conn, "default")
	}
	if err != nil {
		return fmt.Errorf("signing in to Redis: %w", err)
	}
	return conn.SetDeadline(time.Time{})
}

// ask sends the commands in one write and returns the first error reply.
func (s signIn) ask(conn net.Conn, user string) error {
	commands := s.commands(user)
	var request strings.Builder
	for _, words := range commands {
		fmt.Fprintf(&request, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	if _, err := conn.Write([]byte(request.String())); err != nil {
		return err
	}
	var refused error
	replies := bufio.NewReader(conn)
	for range commands {
		line, err := replies.ReadString('\n')
		if err != nil {
			return err
		}
		if text, ok := strings.CutPrefix(line, "-"); ok && refused == nil {
			refused = replyError(strings.TrimSpace(text))
		}
	}
	return refused
}

func (s signIn) commands(user string) [][]string {
	var commands [][]string
	switch {
	case s.password != "" && user != "":
		commands = append(commands, []string{"auth", user, s.password})
	case s.password != "":
		commands = append(commands, []string{"auth", s.password})
	}
	if s.db != 0 {
		commands = append(commands, []string{"select", strconv.Itoa(s.db)})
	}
	if s.name != "" {
		commands = append(commands, []string{"client", "setname", s.name})
	}
	return commands
}
