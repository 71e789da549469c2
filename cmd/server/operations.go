package main

import (
	"time"

	"koubei-landing/internal/app"
)

// operationSettings are the settings of the listeners and the shutdown.
type operationSettings struct {
	PublicListen    string `default:":8080" help:"Browsers' listener: host:port, or unix:/path (mode 0660) for a proxy on the same machine."`
	InternalListen  string `default:"127.0.0.1:9090" help:"Proxies' and operators' listener: host:port or unix:/path. Never expose it to browsers."`
	ShutdownDelay   string `default:"0s" help:"After SIGTERM: unready but serving for so long."`
	ShutdownTimeout string `default:"15s" help:"Then: finishing what is in flight for at most so long."`
}

func (s operationSettings) parse(p *parser) app.Operations {
	return app.Operations{
		PublicListen:    p.listen("PUBLIC_LISTEN", s.PublicListen),
		InternalListen:  p.listen("INTERNAL_LISTEN", s.InternalListen),
		ShutdownDelay:   p.duration("SHUTDOWN_DELAY", s.ShutdownDelay, 0, time.Hour),
		ShutdownTimeout: p.duration("SHUTDOWN_TIMEOUT", s.ShutdownTimeout, time.Millisecond, time.Hour),
	}
}
