// Package respproxy is a proxy between a client and Redis that understands RESP2 and RESP3. It reads each request of a
// connection, also within a pipeline, sends it to Redis and reads its reply. So a test can number the commands of an
// operation and inject a fault exactly at one of them, before or after Redis executes it.
package respproxy

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/proto"
)

// Command is one request of a client.
type Command struct {
	Args     []string
	Via      int       // the number of the proxy's address that it came to
	At       time.Time // when it arrived
	Executed bool      // Redis was asked to execute it
}

// Name returns the command's name in lower case.
func (c Command) Name() string { return strings.ToLower(c.Args[0]) }

// Key returns the key that the command is about; empty for a command without one.
func (c Command) Key() string {
	at := 1
	if c.Name() == "eval" {
		at = 3
	}
	if at >= len(c.Args) {
		return ""
	}
	return c.Args[at]
}

// Action is what a fault does to the connection.
type Action string

// The actions.
const (
	Cut       Action = "cut"        // closes the connection
	Reset     Action = "reset"      // resets the connection
	Partial   Action = "partial"    // sends half of the reply, then closes the connection
	BlackHole Action = "black hole" // sends nothing more and keeps the connection open
	Delay     Action = "delay"      // waits for Fault.Delay, then goes on
	Refuse    Action = "refuse"     // sends Fault.Reply as an error reply
)

// Moment is when a fault happens, relative to the execution of the command.
type Moment string

// The moments.
const (
	Before    Moment = "before"
	After     Moment = "after"
	AfterRest Moment = "after rest" // after Redis has also executed the rest of the client's pipeline
)

// Fault is what happens at one command.
type Fault struct {
	Action Action
	Moment Moment
	Delay  time.Duration
	Reply  string // without the leading "-"
	Close  bool   // closes the connection after Reply

	// Lasts, when set, reports for each later command whether it suffers from the fault too. Such a command is not
	// executed. The fault lasts until Heal.
	Lasts func(Command) bool

	// Do, when set, is called once, at the moment of the fault.
	Do func(Command)
}

// Proxy forwards connections to one Redis.
type Proxy struct {
	URLs []string // its addresses, for REDIS_URL

	backend string
	serving sync.WaitGroup

	mu     sync.Mutex
	conns  map[*conn]bool
	counts func(Command) bool
	record []*Command
	at     int // the number of the command at which the fault happens; 0 for none
	fault  Fault
	fired  *Command
	ended  bool
	doing  sync.WaitGroup // faults whose Do has not returned
}

// Start starts a proxy on loopback, with so many addresses, to the Redis at backend, an address for TCP. It ends with the
// test. Commands for which counts returns false are forwarded, but neither numbered nor recorded.
func Start(t testing.TB, backend string, addresses int, counts func(Command) bool) *Proxy {
	t.Helper()
	p := &Proxy{backend: backend, conns: map[*conn]bool{}, counts: counts}
	var listeners []net.Listener
	for via := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		p.URLs = append(p.URLs, "redis://"+l.Addr().String()+"/0")
		p.serving.Go(func() { p.accept(l, via) })
	}
	t.Cleanup(func() {
		for _, l := range listeners {
			_ = l.Close()
		}
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.ResetAll()
		p.serving.Wait()
	})
	return p
}

// Watch begins a new record, in which the next command has the number 1, and arms a fault at one number; 0 for none.
func (p *Proxy) Watch(at int, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record, p.at, p.fault, p.fired = nil, at, f, nil
}

// Heal ends the fault and returns the command at which it happened; nil when that command did not arrive. Fault.Do has
// returned then.
func (p *Proxy) Heal() *Command {
	p.mu.Lock()
	p.at, p.fault.Lasts = 0, nil
	p.mu.Unlock()
	p.doing.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fired == nil {
		return nil
	}
	fired := *p.fired // a copy: the command may still be under way
	return &fired
}

// Record returns the commands since Watch.
func (p *Proxy) Record() []Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	commands := make([]Command, len(p.record))
	for i, c := range p.record {
		commands[i] = *c
	}
	return commands
}

// ResetAll resets every connection, as a restart of Redis does.
func (p *Proxy) ResetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.reset()
	}
}

// arrive numbers and records a command and returns the fault that it suffers from, if any.
func (p *Proxy) arrive(c *Command) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noted(c) && p.at > 0 && p.fired == nil && len(p.record) == p.at {
		p.fired = c
		p.doing.Add(1)
		return p.fault, true
	}
	if p.fired == nil || p.fault.Lasts == nil || !p.fault.Lasts(*c) {
		return Fault{}, false
	}
	f := p.fault
	f.Moment, f.Do = Before, nil
	p.doing.Add(1)
	return f, true
}

// note records a command that suffers from no fault of its own.
func (p *Proxy) note(c *Command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noted(c)
}

// noted records a command if it counts, and reports whether it does. The caller holds the lock.
func (p *Proxy) noted(c *Command) bool {
	counts := p.counts(*c)
	if counts {
		p.record = append(p.record, c)
	}
	return counts
}

func (p *Proxy) executed(c *Command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Executed = true
}

func (p *Proxy) accept(l net.Listener, via int) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.serving.Go(func() { p.serve(client, via) })
	}
}

func (p *Proxy) serve(client net.Conn, via int) {
	defer client.Close()
	server, err := net.Dial("tcp", p.backend)
	if err != nil {
		return
	}
	defer server.Close()
	c := &conn{
		proxy: p, via: via, client: client, server: server,
		requests: bufio.NewReaderSize(client, 64<<10), replies: make(chan string, 1), closed: make(chan struct{}),
	}
	if !p.register(c) {
		return
	}
	defer p.forget(c)
	received := make(chan struct{})
	go func() {
		defer close(received)
		c.receive()
	}()
	for c.forward() {
	}
	close(c.closed)
	_ = server.Close()
	<-received
}

func (p *Proxy) register(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return !p.ended
}

func (p *Proxy) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// conn is one connection of a client, with its own to Redis.
type conn struct {
	proxy      *Proxy
	via        int
	client     net.Conn
	server     net.Conn
	requests   *bufio.Reader
	replies    chan string
	subscribed atomic.Bool
	closed     chan struct{}
}

// forward reads one request and answers it. It returns false when the connection is at its end.
func (c *conn) forward() bool {
	request, cmd, err := c.read()
	if err != nil {
		return false
	}
	if f, ok := c.proxy.arrive(cmd); ok {
		return c.suffer(f, request, cmd)
	}
	reply, err := c.execute(request, cmd)
	return err == nil && c.send(reply)
}

func (c *conn) read() (string, *Command, error) {
	request, err := proto.Read(c.requests)
	if err != nil {
		return "", nil, err
	}
	args, err := proto.ReadStrings(request)
	if err == nil && len(args) == 0 {
		err = proto.ErrProtocol
	}
	return request, &Command{Args: args, Via: c.via, At: time.Now()}, err
}

// execute has Redis execute a command and returns the reply; an empty one for a command whose replies are pushed.
func (c *conn) execute(request string, cmd *Command) (string, error) {
	if strings.HasSuffix(cmd.Name(), "subscribe") {
		c.subscribed.Store(true)
	}
	c.proxy.executed(cmd)
	if _, err := io.WriteString(c.server, request); err != nil || c.subscribed.Load() {
		return "", err
	}
	select {
	case reply, ok := <-c.replies:
		if !ok {
			return "", io.ErrUnexpectedEOF
		}
		return reply, nil
	case <-c.closed:
		return "", net.ErrClosed
	}
}

// receive reads what Redis sends: replies, and messages that answer no request.
func (c *conn) receive() {
	defer close(c.replies)
	r := bufio.NewReader(c.server)
	for {
		frame, err := readFrame(r)
		if err != nil {
			if c.subscribed.Load() { // nobody waits for a reply
				_ = c.client.Close()
			}
			return
		}
		if frame[0] == '>' || c.subscribed.Load() {
			if !c.send(frame) {
				return
			}
			continue
		}
		select {
		case c.replies <- frame:
		case <-c.closed:
			return
		}
	}
}

// readFrame is proto.Read, which does not know the verbatim strings of INFO.
func readFrame(r *bufio.Reader) (string, error) {
	if kind, err := r.Peek(1); err != nil || kind[0] != '=' {
		return proto.Read(r)
	}
	head, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	size, err := strconv.Atoi(strings.Trim(head, "=\r\n"))
	if err != nil {
		return "", err
	}
	body := make([]byte, size+len("\r\n"))
	_, err = io.ReadFull(r, body)
	return head + string(body), err
}

func (c *conn) send(reply string) bool {
	_, err := io.WriteString(c.client, reply)
	return err == nil
}

func (c *conn) reset() {
	if tcp, ok := c.client.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.client.Close()
	_ = c.server.Close()
}

// suffer carries out a fault at a request. It returns false when the connection is at its end.
func (c *conn) suffer(f Fault, request string, cmd *Command) bool {
	reply := ""
	if f.Moment != Before {
		var err error
		if reply, err = c.execute(request, cmd); err != nil {
			c.proxy.doing.Done()
			return false
		}
	}
	if f.Moment == AfterRest {
		c.executeRest()
	}
	if f.Do != nil {
		f.Do(*cmd)
	}
	c.proxy.doing.Done()
	switch f.Action {
	case Reset:
		c.reset()
	case Partial:
		c.send(reply[:len(reply)/2])
	case BlackHole:
		_, _ = io.Copy(io.Discard, c.requests) // until the client closes the connection
	case Refuse:
		return c.send("-"+f.Reply+"\r\n") && !f.Close
	case Delay:
		time.Sleep(f.Delay)
		if f.Moment == Before {
			var err error
			if reply, err = c.execute(request, cmd); err != nil {
				return false
			}
		}
		return c.send(reply)
	}
	return false
}

// executeRest has Redis execute what the client has sent already; the replies are lost.
func (c *conn) executeRest() {
	for c.requests.Buffered() > 0 {
		request, cmd, err := c.read()
		if err != nil {
			return
		}
		c.proxy.note(cmd)
		if _, err := c.execute(request, cmd); err != nil {
			return
		}
	}
}
