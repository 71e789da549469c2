// Package e2e_test drives the demo, as the program that `make demo` starts, with a real Chromium: what a newcomer
// clicks, what impatient people click, and what goes wrong on the way.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
)

// demoProgram is the demo, built from this tree.
var demoProgram string

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "koubei-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	demoProgram = filepath.Join(dir, "demo")
	args := []string{"build", "-o", demoProgram}
	if underRace() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../cmd/demo")...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the demo: %w\n%s", err, out)
	}
	defer func() { endChromium() }() // as it is by then
	return m.Run(), nil
}

// underRace reports whether these tests were built with the race detector; then the demo is, too.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
