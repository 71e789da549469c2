package landing

import "time"

// Config holds the settings of landings.
type Config struct {
	// Confirm asks the user before a landing replaces a live session of another operator, or signs in an operator that is
	// not in the browser's memory.
	Confirm bool

	// Memory is how long a browser remembers an operator after the operator's last landing; 0 turns the memory off. It has
	// no effect without Confirm.
	Memory time.Duration

	// Rate is how many codes one client address may claim per minute; 0 turns the limit off. Options.Limit enforces it.
	Rate int
}
