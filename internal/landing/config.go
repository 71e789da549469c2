package landing

import "time"

// Config is the settings of landings.
type Config struct {
	// Confirm asks before a landing replaces another operator's live session, or signs in an operator that the browser's
	// memory does not hold.
	Confirm bool

	// Memory is how long a browser remembers an operator since the operator's last landing; 0 turns the memory off. It
	// has no effect without Confirm.
	Memory time.Duration

	// Rate is how many codes one client address may claim per minute; 0 turns the limit off. Options.Limit enforces it.
	Rate int
}
