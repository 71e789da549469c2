package main

import (
	"fmt"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/landing"
)

// operationSettings are the settings of the listeners and the shutdown.
type operationSettings struct {
	PublicListen    string `default:":8080" help:"Address of the listener for browsers: host:port, or unix:/path (mode 0660) for a proxy on the same machine."`
	InternalListen  string `default:"127.0.0.1:9090" help:"Address of the listener for proxies and administrators: host:port or unix:/path. Never expose it to browsers."`
	ShutdownDelay   string `default:"0s" help:"After SIGTERM, the service reports that it is not ready but still serves for this long."`
	ShutdownTimeout string `default:"15s" help:"Then it finishes the requests in progress, for at most this long. Keep it longer than a landing may take: ALIPAY_TIMEOUT, six times REDIS_TIMEOUT and 1 s."`
}

func (s operationSettings) parse(p *parser) app.Operations {
	return app.Operations{
		PublicListen:    p.listen("PUBLIC_LISTEN", s.PublicListen),
		InternalListen:  p.listen("INTERNAL_LISTEN", s.InternalListen),
		ShutdownDelay:   p.duration("SHUTDOWN_DELAY", s.ShutdownDelay, 0, time.Hour),
		ShutdownTimeout: p.duration("SHUTDOWN_TIMEOUT", s.ShutdownTimeout, time.Millisecond, time.Hour),
	}
}

// checkShutdown warns if the shutdown may end before a landing that has claimed its code.
func (p *parser) checkShutdown(c app.Config) {
	if longest := landing.Lease(c.Alipay.Timeout, c.Redis.Timeout); c.Operations.ShutdownTimeout < longest {
		p.warn(fmt.Sprintf("conflict: the shutdown waits %s, but a landing with a claimed code may take %s and lose it", c.Operations.ShutdownTimeout, longest),
			"raise SHUTDOWN_TIMEOUT, or lower one of the others", "SHUTDOWN_TIMEOUT", "ALIPAY_TIMEOUT", "REDIS_TIMEOUT")
	}
}
