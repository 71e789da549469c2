// Package e2e_test uses the demo, the program that `make demo` starts, with a real Chromium: the clicks of a new user, double
// clicks and reloads, and errors.
package e2e_test

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	endChromium()
	os.Exit(code)
}
