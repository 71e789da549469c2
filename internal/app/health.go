package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
)

// Health checks the service whose internal listener is at address. It fails if the service does not answer /healthz with
// 200 before ctx ends.
func Health(ctx context.Context, address string) error {
	network, addr := network(address)
	host := "localhost"
	if network == "tcp" {
		addr = reachable(addr)
		host = addr
	}
	var d net.Dialer
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, addr)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz returned %d", response.StatusCode)
	}
	return nil
}

// reachable returns the address at which this machine reaches a listener: loopback if it listens on every address. It uses
// no host name, because a minimal image may have no /etc/hosts.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
