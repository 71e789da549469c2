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
	Detail   string   `json:"detail"`             // the problem, which continues the names of Settings; or what the check has confirmed
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
	Skipped Level = "skipped" // not checked, because another problem comes first
	Warning Level = "warning"
	Failure Level = "failure"
)

// Check checks what the service needs: the keys, the gateway with a code that cannot exist, the clock, and in Redis one
// harmless command of each kind. It logs nothing, and checks every part even if another part has problems. It skips the
// parts of c without a private key or an address.
func Check(ctx context.Context, c Config) []Finding {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.Alipay.Now = now
	return slices.Concat(checkAlipay(ctx, c.Alipay, now()), checkRedis(ctx, c, now), []Finding{checkProxies(c)})
}
