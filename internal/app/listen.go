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

// unixScheme is the prefix of a Unix socket's address: unix:/path.
const unixScheme = "unix:"

// socketMode allows only the socket's user and group to connect. The proxy belongs to the group.
const socketMode = 0o660

// network returns the network and address for package net: from host:port or unix:/path.
func network(address string) (network, addr string) {
	if path, ok := strings.CutPrefix(address, unixScheme); ok {
		return "unix", path
	}
	return "tcp", address
}

// listen opens a listener on host:port or unix:/path. It replaces a socket that a killed process has left. Closing the
// listener removes the socket. It fails if another process listens there.
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

// removeStale removes a socket on which no process listens. It fails for other kinds of files, and for a socket in use.
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
		return errors.Join(fmt.Errorf("another process is listening on %s", path), c.Close())
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
