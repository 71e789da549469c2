package koubeisim

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guard keeps foreign pages from minting operators in the browser of whoever runs this. A name that some attacker's DNS
// points at us is no name of ours; forms of other origins are refused; and so is what another site merely links to,
// apart from the portal's front page.
func (k *Koubei) guard(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !k.answersTo(r.Host):
			http.Error(w, "koubeisim: this host name is not one of ours (see --allow-host)", http.StatusMisdirectedRequest)
		case r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.URL.Path != "/":
			http.Error(w, "koubeisim: not from another site", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// answersTo takes bare addresses, which no DNS can point elsewhere, localhost, and what was allowed.
func (k *Koubei) answersTo(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(k.hosts, host)
}
