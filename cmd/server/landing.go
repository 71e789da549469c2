package main

import (
	"time"

	"koubei-landing/internal/landing"
)

// landingSettings are the settings of what a landing may do.
type landingSettings struct {
	ConfirmOperatorSwitch string `default:"true" help:"Ask before a live session of another operator is replaced."`
	OperatorMemory        string `default:"720h" help:"How long a browser remembers which operators it was used by, so that a stranger's landing is asked about even when no session is live. 0 turns it off; at most 2160h. No effect with CONFIRM_OPERATOR_SWITCH=false."`
	CallbackRate          string `default:"60" help:"Landings per minute per client address; 0 turns it off."`
}

func (s landingSettings) parse(p *parser) landing.Config {
	return landing.Config{
		Confirm: p.boolean("CONFIRM_OPERATOR_SWITCH", s.ConfirmOperatorSwitch),
		Memory:  p.duration("OPERATOR_MEMORY", s.OperatorMemory, 0, 2160*time.Hour),
		Rate:    p.number("CALLBACK_RATE", s.CallbackRate, 0, 1_000_000),
	}
}
