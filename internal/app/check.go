package app

import (
	"context"
	"slices"
	"time"

	"koubei-landing/internal/setting"
)

// Finding is what one check found.
type Finding struct {
	Group    string   `json:"group"`
	Check    string   `json:"check"`
	Level    Level    `json:"level"`
	Settings []string `json:"settings,omitempty"` // that a warning or failure concerns
	Detail   string   `json:"detail"`             // the problem, which continues the names of Settings; or what is right
	Fix      string   `json:"fix,omitempty"`      // of a warning or failure
}

// The groups, in the order in which they are checked.
const (
	groupKeys    = "keys"
	groupGateway = "gateway"
	groupRedis   = "redis"
	groupProxies = "proxies"
)

// problemFinding returns a problem of the settings as a finding.
func problemFinding(group, check string, level Level, p setting.Problem) Finding {
	return Finding{Group: group, Check: check, Level: level, Settings: p.Settings, Detail: p.Problem, Fix: p.Fix}
}

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Skipped Level = "skipped" // not looked at, because something else comes first
	Warning Level = "warning"
	Failure Level = "failure"
)

// Check tries what the service needs: the keys, the gateway with a code that can't exist, the clock, and in Redis one
// harmless command of each kind. It logs nothing, and checks every part whatever is wrong with the others. A part of c
// without a private key, or without an address, is skipped.
func Check(ctx context.Context, c Config) []Finding {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.Alipay.Now = now
	return slices.Concat(checkAlipay(ctx, c.Alipay, now()), checkRedis(ctx, c, now), []Finding{checkProxies(c)})
}
