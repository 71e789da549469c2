package handler

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// proxyWarnings are the warnings about X-Forwarded-For, each logged once.
type proxyWarnings struct{ foreign, unreadable, unused sync.Once }

// client returns the client for the rate limit: the rightmost address that is not in TRUSTED_PROXIES. For an IPv6 address
// only the first 64 bits count, because one subscriber usually controls a whole /64.
func (h *Handler) client(r *http.Request) string {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // invalid on a Unix socket
	client := peer.Addr().Unmap()
	h.warnOfProxy(r, client)
	forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for forwarded != "" && h.trusts(client) {
		var item string
		forwarded, item = cutLast(forwarded, ",")
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		addr, ok := parseForwarded(item)
		if !ok {
			h.warnings.unreadable.Do(func() {
				h.Log.Warn("invalid entry in X-Forwarded-For: all clients of this proxy share one rate limit", "peer", client.String())
			})
			break
		}
		client = addr
	}
	if client.Is6() {
		prefix, _ := client.Prefix(64) // it fails only for more bits than an address has
		return prefix.String()
	}
	return client.String()
}

// warnOfProxy logs once that the service does not use a proxy's X-Forwarded-For.
func (h *Handler) warnOfProxy(r *http.Request, peer netip.Addr) {
	switch {
	case r.Header.Get("X-Forwarded-For") != "" && !h.trusts(peer):
		h.warnings.foreign.Do(func() {
			h.Log.Warn("X-Forwarded-For ignored, peer not in TRUSTED_PROXIES: all clients of this proxy share one rate limit", "peer", peer.String())
		})
	case r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") != "":
		h.warnings.unused.Do(func() {
			h.Log.Warn("Forwarded ignored, X-Forwarded-For missing: all clients of this proxy share one rate limit", "peer", peer.String())
		})
	}
}

// parseForwarded returns the address in an item of X-Forwarded-For. Some proxies add a port, brackets or quotes.
func parseForwarded(item string) (netip.Addr, bool) {
	item = strings.Trim(item, `"`)
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(item, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(item)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// cutLast cuts s around the last separator. Without one, all of s is after it.
func cutLast(s, separator string) (before, after string) {
	i := strings.LastIndex(s, separator)
	return s[:max(i, 0)], s[i+1:]
}

// trusts reports whether X-Forwarded-For of a peer is used: of those in TRUSTED_PROXIES, and of the proxy at a Unix socket,
// which has no address.
func (h *Handler) trusts(addr netip.Addr) bool {
	return !addr.IsValid() || slices.ContainsFunc(h.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}
