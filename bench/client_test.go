package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// target is one kind of request to one server.
type target struct {
	name    string
	pid     int // of the server; 0: its CPU is not measured
	addr    string
	status  int
	request func() []byte
}

// get returns the request of a target whose requests are all equal.
func get(host, uri string, headers ...string) func() []byte {
	raw := []byte("GET " + uri + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, line := range headers {
		raw = append(raw, line+"\r\n"...)
	}
	raw = append(raw, "\r\n"...)
	return func() []byte { return raw }
}

// drive keeps one request in progress on each of conns connections, and returns the sorted latencies. It stops after d and at
// least one response or, if requests is not 0, after this number of responses. One thread serves all connections, because the
// client shares the machine with the servers that it measures. drive panics on a response with another status.
func drive(t *target, conns int, d time.Duration, requests int) (latencies []time.Duration, took time.Duration) {
	c := &client{target: t, epoll: must(syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)), conns: map[int32]*conn{}}
	defer func() {
		for fd := range c.conns {
			_ = syscall.Close(int(fd))
		}
		_ = syscall.Close(c.epoll)
	}()
	began, last := time.Now(), time.Time{}
	for range conns {
		c.open()
	}
	events := make([]syscall.EpollEvent, conns)
	for done := false; !done; done = len(c.latencies) >= max(requests, 1) && (requests > 0 || last.Sub(began) >= d) {
		n, err := raw(syscall.SYS_EPOLL_PWAIT, c.epoll, unsafe.Pointer(&events[0]), conns, 10_000)
		if n == 0 {
			panic(t.name + ": no response for 10 s")
		}
		if !errors.Is(err, syscall.EINTR) {
			check(err)
		}
		for _, event := range events[:max(n, 0)] {
			c.receive(c.conns[event.Fd])
		}
		last = time.Now()
	}
	slices.Sort(c.latencies)
	return c.latencies, last.Sub(began)
}

// raw makes a system call without Go's scheduler, which would take half of the client's time.
func raw(call, fd int, buf unsafe.Pointer, n, timeout int) (int, error) {
	r, _, errno := syscall.RawSyscall6(uintptr(call), uintptr(fd), uintptr(buf), uintptr(n), uintptr(timeout), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

type client struct {
	*target
	epoll     int
	conns     map[int32]*conn
	latencies []time.Duration
}

type conn struct {
	fd   int
	sent time.Time
	buf  []byte // the part of the response that has arrived
}

// open opens a connection and sends its first request.
func (c *client) open() {
	addr := must(net.ResolveTCPAddr("tcp4", c.addr))
	fd := must(syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0))
	opened := &conn{fd: fd, buf: make([]byte, 0, 32<<10)}
	c.conns[int32(fd)] = opened
	check(syscall.Connect(fd, &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}))
	check(syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
	check(syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}))
	c.send(opened)
}

func (c *client) send(to *conn) {
	request := c.request()
	to.buf, to.sent = to.buf[:0], time.Now()
	if n := must(raw(syscall.SYS_WRITE, to.fd, unsafe.Pointer(&request[0]), len(request), 0)); n < len(request) {
		panic(c.name + ": request written in part")
	}
}

// receive reads what has arrived, and sends the next request after a whole response.
func (c *client) receive(from *conn) {
	free := from.buf[len(from.buf):cap(from.buf)]
	n := must(raw(syscall.SYS_READ, from.fd, unsafe.Pointer(&free[0]), len(free), 0))
	from.buf = from.buf[:len(from.buf)+n]
	head, body, whole := bytes.Cut(from.buf, []byte("\r\n\r\n"))
	if n > 0 && !whole {
		return
	}
	length, err := strconv.Atoi(field(head, "Content-Length", "content-length", "0"))
	if n <= 0 || err != nil || len(head) < 12 || string(head[9:12]) != strconv.Itoa(c.status) {
		panic(fmt.Sprintf("%s: got %q, want status %d and a length", c.name, from.buf, c.status))
	}
	if len(body) < length {
		return
	}
	c.latencies = append(c.latencies, time.Since(from.sent))
	if field(head, "Connection", "connection", "") != "close" {
		c.send(from)
		return
	}
	delete(c.conns, int32(from.fd))
	check(syscall.Close(from.fd))
	c.open()
}

// field returns the value of a header field, in one of the two spellings that servers use.
func field(head []byte, name, lower, missing string) string {
	for _, name := range []string{name, lower} {
		if _, rest, found := bytes.Cut(head, []byte("\r\n"+name+": ")); found {
			value, _, _ := bytes.Cut(rest, []byte("\r\n"))
			return string(value)
		}
	}
	return missing
}
