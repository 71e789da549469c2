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
	// dialRoundTrips is how many times REDIS_TIMEOUT one dial may take: asking a Sentinel, TCP, TLS and AUTH each cost a
	// round trip or two, and REDIS_TIMEOUT bounds one.
	dialRoundTrips = 8

	// warmConnections is how many connections a slow link keeps open: enough for a burst of checks on one node.
	warmConnections = 48
)

// keepAlive is go-redis's own policy. It also keeps firewalls from dropping idle connections.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// signIn is what a new connection says before its first command.
type signIn struct {
	user, password string
	db             int
	name           string // for CLIENT SETNAME
}

// dialer signs a connection in while it is being dialed. go-redis does so with the first command on the connection, within
// that command's deadline. HELLO, SELECT and the command then share REDIS_TIMEOUT, and on a link whose round trip takes
// more than half of it no new connection ever works. A dial has its own deadline and outlives the request that started it,
// so the next request finds the connection ready.
//
// It is a hook of the client whose connections it signs in. The client itself must have no password, database or name.
type dialer struct {
	signIn
	timeout time.Duration // REDIS_TIMEOUT
	client  *redis.Client
	warming atomic.Bool
}

// installDialer makes every connection of a client sign in while it is being dialed.
func installDialer(client *redis.Client, s signIn, timeout time.Duration) *redis.Client {
	client.AddHook(&dialer{signIn: s, timeout: timeout, client: client})
	return client
}

// DialHook signs in. A dial that took long means a slow link, on which connections are opened before they are needed.
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

// ProcessHook answers go-redis's HELLO in Redis's place. It would cost a round trip to learn what is known: the connection
// is signed in, and it speaks RESP2, as every connection does at first.
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

// warm opens warmConnections. As many PINGs at once need as many connections where a round trip takes long; where it
// doesn't, they share a few.
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

// replyError is an error that Redis has sent. It has the method by which go-redis knows such errors.
type replyError string

func (e replyError) Error() string { return string(e) }

// RedisError marks the type.
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
		// Redis refuses AUTH with a password alone where the default user needs none; with the user's name it takes any.
		err = s.ask(conn, "default")
	}
	if err != nil {
		return fmt.Errorf("signing in to Redis: %w", err)
	}
	return conn.SetDeadline(time.Time{})
}

// ask sends the commands at once and returns the first error that Redis answers.
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
