package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// unixScheme begins the address of a Unix socket: unix:/path.
const unixScheme = "unix:"

// socketMode lets the proxy connect through its group, and nobody else.
const socketMode = 0o660

// network returns the network and the address that package net knows for host:port or unix:/path.
func network(address string) (network, addr string) {
	if path, ok := strings.CutPrefix(address, unixScheme); ok {
		return "unix", path
	}
	return "tcp", address
}

// listen opens a listener on host:port or unix:/path. A socket that a killed process left behind is replaced; closing the
// listener removes the socket. It fails when another process listens there.
func listen(address string) (net.Listener, error) {
	network, addr := network(address)
	if network == "tcp" {
		return net.Listen(network, addr)
	}
	if err := removeStale(addr); err != nil {
		return nil, err
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(addr, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes a socket on which nobody listens. It fails on a file of another kind and on a socket in use.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("another process listens on %s", path), c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// spelled returns the address of a listener in the form of the settings.
func spelled(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return unixScheme + l.Addr().String()
	}
	return l.Addr().String()
}
