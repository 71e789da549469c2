package app

import (
	"fmt"
	"net"

	"koubei-landing/internal/setting"
)

// checkProxies says when a proxy must stand in front whose word on its clients is not believed: then all visitors share one
// limit on landings. That a request has come through one can't be seen from here; the running service says so in its log.
func checkProxies(c Config) Finding {
	f := Finding{"proxies", OK, "", ""}
	switch {
	case c.Web.PublicURL == nil:
		return Finding{f.Check, Skipped, "the settings come first", ""}
	case len(c.Web.TrustedProxies) > 0:
		f.Detail = fmt.Sprintf("X-Forwarded-For is believed from %d networks", len(c.Web.TrustedProxies))
	case c.Landing.Rate == 0:
		f.Detail = "no limit counts clients, so X-Forwarded-For doesn't matter"
	case c.Web.PublicURL.Scheme == "https":
		f.Level, f.Detail = Warning, "PUBLIC_URL is https, which a proxy in front must speak"
	case onLoopback(c.Operations.PublicListen) && !setting.Loopback(c.Web.PublicURL.Hostname()):
		f.Level, f.Detail = Warning, "only a proxy on this machine can reach PUBLIC_LISTEN"
	default:
		f.Detail = "no proxy is expected in front: X-Forwarded-For is believed from nobody"
	}
	if f.Level == Warning {
		f.Detail += fmt.Sprintf(", but TRUSTED_PROXIES is empty: all visitors share one limit of %d landings a minute", c.Landing.Rate)
		f.Cure = "Set TRUSTED_PROXIES to the networks of the proxies in front, or CALLBACK_RATE to 0."
	}
	return f
}

func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && setting.Loopback(host)
}
