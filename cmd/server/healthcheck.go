package main

import (
	"context"
	"fmt"
	"time"

	"koubei-landing/internal/app"
)

type healthcheckCmd struct {
	InternalListen string `default:"127.0.0.1:9090" help:"Where the service's internal listener is: host:port or unix:/path."`
}

// Run checks the service on this machine.
func (c *healthcheckCmd) Run(inv *invocation) error {
	p := &parser{}
	address := p.listen("INTERNAL_LISTEN", c.InternalListen)
	if err := p.problems.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(inv.ctx, 3*time.Second)
	defer cancel()
	if err := app.Health(ctx, address); err != nil {
		return err
	}
	_, err := fmt.Fprintln(inv.stdout, "ok")
	return err
}
