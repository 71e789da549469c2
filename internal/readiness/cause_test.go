package readiness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"koubei-landing/internal/store"
)

// reply is an error as Redis sends it.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// Each Redis version reports an error inside a script differently. The cause always starts with the same word.
func TestCauses(t *testing.T) {
	t.Parallel()
	dialed := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6379}
	for _, row := range []struct {
		err      error
		cause    string
		definite bool
	}{
		{reply("LOADING Redis is loading the dataset in memory"), "LOADING Redis is loading the dataset in memory", true},
		{reply("CLUSTERDOWN The cluster is down"), "CLUSTERDOWN The cluster is down", true},
		{reply("OOM command not allowed when used memory > 'maxmemory'. script: 50142d1548e23223a2ffd158022e90f843339e5f, on @user_script:3."),
			"OOM command not allowed when used memory > 'maxmemory'.", true},
		{reply("ERR Error running script (call to f_50142d1548e23223a2ffd158022e90f843339e5f): @user_script:3: @user_script: 3: -OOM command not allowed when used memory > 'maxmemory'."),
			"OOM command not allowed when used memory > 'maxmemory'.", true},
		{reply("ERR The user executing the script can't run this command or subcommand script: 50142d1548e23223a2ffd158022e90f843339e5f, on @user_script:3."),
			"NOPERM The user executing the script can't run this command or subcommand", true},
		{reply("ERR max number of clients reached"), "ERR max number of clients reached", true},
		{reply("MISCONF " + strings.Repeat("é", 200)), "MISCONF " + strings.Repeat("é", 96) + "…", true},
		{reply("READONLY two\r\nlines"), "READONLY two lines", true},
		{context.DeadlineExceeded, "no reply in time", false},
		{&net.OpError{Op: "read", Addr: dialed, Err: timeout{}}, "no reply in time", false},
		{&net.OpError{Op: "dial", Addr: dialed, Err: syscall.ECONNREFUSED}, "unreachable: dial 10.0.0.1:6379: connection refused", false},
		{io.EOF, "EOF", false},
		{errors.New("0 of 1 replicas have the write"), "0 of 1 replicas have the write", false},
	} {
		for _, err := range []error{row.err, fmt.Errorf("%w: %w", store.ErrUnavailable, row.err)} {
			if cause, definite := causeOf(err); cause != row.cause || definite != row.definite {
				t.Errorf("%v: got %q, %t; want %q, %t", err, cause, definite, row.cause, row.definite)
			}
		}
	}
}

type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }
