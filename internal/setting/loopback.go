package setting

import (
	"net/netip"
	"strings"
)

// Loopback reports whether host, a name or an IP address without a port, is this machine itself.
func Loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}
