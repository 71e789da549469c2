package main

import (
	"time"

	"koubei-landing/internal/landing"
)

// landingSettings are the settings of landings.
type landingSettings struct {
	ConfirmOperatorSwitch string `default:"true" help:"Ask the user before a landing replaces the live session of another operator."`
	OperatorMemory        string `default:"720h" help:"How long a browser remembers its operators after each one's last landing. If a browser remembers any, the service asks before it signs in another one. 0 turns this off; at most 2160h. It has no effect with CONFIRM_OPERATOR_SWITCH=false."`
	CallbackRate          string `default:"60" help:"How many codes one client may claim per minute, on each replica; 0 turns the limit off. A replay does not count."`
}

func (s landingSettings) parse(p *parser) landing.Config {
	return landing.Config{
		Confirm: p.boolean("CONFIRM_OPERATOR_SWITCH", s.ConfirmOperatorSwitch),
		Memory:  p.duration("OPERATOR_MEMORY", s.OperatorMemory, 0, 2160*time.Hour),
		Rate:    p.number("CALLBACK_RATE", s.CallbackRate, 0, 1_000_000),
	}
}
