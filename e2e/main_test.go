// Package e2e_test drives the demo, as the program that `make demo` starts, with a real Chromium: what a newcomer
// clicks, what impatient people click, and what goes wrong on the way.
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
