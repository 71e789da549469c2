package handler

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// client names whom the rate limit counts: the rightmost address that no trusted proxy vouches for. Of an IPv6 address
// the first 64 bits count, since a household has all of the rest.
func (h *Handler) client(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	client := peer.Addr().Unmap()
	if !h.trusts(client) && r.Header.Get("X-Forwarded-For") != "" {
		h.foreignProxy.Do(func() {
			h.Log.Warn("a request carries X-Forwarded-For, but its peer is not in TRUSTED_PROXIES: all clients behind that proxy share one rate limit", "peer", client.String())
		})
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !h.trusts(client) {
			break
		}
		addr, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		client = addr.Unmap().WithZone("")
	}
	if client.Is6() {
		if prefix, err := client.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return client.String()
}

func (h *Handler) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(h.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}
