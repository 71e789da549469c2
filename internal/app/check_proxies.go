package app

import (
	"fmt"
	"net"
	"strings"

	"koubei-landing/internal/setting"
)

// checkProxies warns if PUBLIC_URL requires a proxy but no proxy's X-Forwarded-For is trusted: then all visitors share one
// rate limit. The check cannot see whether requests come through a proxy. The running service logs that.
func checkProxies(c Config) Finding {
	f := Finding{Group: groupProxies, Check: "proxies", Level: OK}
	warn := func(name, problem string) Finding {
		return problemFinding(groupProxies, "proxies", Warning, setting.Problem{
			Settings: []string{name},
			Problem:  fmt.Sprintf("%s, but TRUSTED_PROXIES is empty: all visitors share one limit of %d landings a minute", problem, c.Landing.Rate),
			Fix:      "set TRUSTED_PROXIES to the networks of the proxies in front, or CALLBACK_RATE to 0",
		})
	}
	switch {
	case c.Web.PublicURL == nil:
		f.Level, f.Detail = Skipped, "its settings have problems"
	case len(c.Web.TrustedProxies) > 0:
		f.Detail = fmt.Sprintf("networks from which X-Forwarded-For is trusted: %d", len(c.Web.TrustedProxies))
	case c.Landing.Rate == 0:
		f.Detail = "the rate limit is off, so X-Forwarded-For is not used"
	case strings.HasPrefix(c.Operations.PublicListen, unixScheme):
		f.Detail = "X-Forwarded-For is trusted from the proxy at the Unix socket"
	case c.Web.PublicURL.Scheme == "https":
		return warn("PUBLIC_URL", "is https, so a proxy with TLS must be in front")
	case onLoopback(c.Operations.PublicListen) && !setting.Loopback(c.Web.PublicURL.Hostname()):
		return warn("PUBLIC_LISTEN", "is reachable only for a proxy on this machine")
	default:
		f.Detail = "no proxy is expected in front: no X-Forwarded-For is trusted"
	}
	return f
}

func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && setting.Loopback(host)
}
