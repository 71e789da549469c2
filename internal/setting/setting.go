// Package setting describes the service's settings and what is wrong with them as values. Every package may import it.
// The programs and the logs turn the values into text.
package setting

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is something wrong with one setting or with several together.
type Problem struct {
	// Settings are the environment variables concerned, each in full. There is at least one.
	Settings []string

	// Problem says what is wrong. It continues the sentence that begins with the names: "is missing". It never holds a
	// value that may be a secret.
	Problem string

	// Fix says what to do, as a sentence without a full stop: "use a duration such as 90s".
	Fix string
}

// Bad returns the problem of one setting.
func Bad(name, problem, fix string) Problem {
	return Problem{Settings: []string{name}, Problem: problem, Fix: fix}
}

// Error returns the problem in one line: the names, what is wrong, and what to do.
func (p Problem) Error() string {
	text := strings.Join(p.Settings, ", ") + " " + p.Problem
	if p.Fix != "" {
		text += ": " + p.Fix
	}
	return text
}

// Problems are all problems of one set of settings. It is an error that errors.As and errors.Is look into.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	var b strings.Builder
	b.WriteString("invalid settings:")
	for _, p := range ps {
		fmt.Fprintf(&b, "\n  - %s", p.Error())
	}
	return b.String()
}

// Unwrap returns the problems one by one.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// Concern reports whether a setting has one of the problems.
func (ps Problems) Concern(name string) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return slices.Contains(p.Settings, name) })
}

// Err returns the problems as an error, and nil if there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Source says where the value of a setting comes from.
type Source string

// The sources, in order of precedence.
const (
	Flag     Source = "flag"
	Variable Source = "variable"
	File     Source = "file" // that NAME_FILE names
	Default  Source = "default"
	Unset    Source = "unset" // there is neither a value nor a default
)

// InForce is a setting as the service uses it.
type InForce struct {
	Name    string // the environment variable
	Value   string // empty if Secret or Invalid
	Secret  bool   // show only whether it is set
	Invalid bool   // it has a problem, and its value may be a secret in the wrong place
	Source  Source
}

// Set reports whether somebody has set it, or it has a default.
func (s InForce) Set() bool { return s.Source != Unset }
