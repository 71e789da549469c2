package main

import (
	"strings"
	"testing"
)

// The tool is held to working, not to any speed.
func TestRun(t *testing.T) {
	var out, log strings.Builder
	args := []string{"-rounds", "1", "-seconds", "1", "-only", "the hop", "-landings", "4", "-sessions", "50", "-idle", "10", "-replicas", "1"}
	if err := run(t.Context(), args, &out, &log); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| the hop | empty handler |", "| a landing | bare RSA sign + verify |", "| one Redis | 1 | `/auth/verify` |", "| three masters | 1 | a landing |", "| memory for an idle connection"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwant a row with %q", out.String(), want)
		}
	}
}

func TestWrongFlag(t *testing.T) {
	var out, log strings.Builder
	if err := run(t.Context(), []string{"-replicas"}, &out, &log); err == nil || out.Len() > 0 {
		t.Errorf("got %v and %q, want an error and nothing", err, out.String())
	}
}
