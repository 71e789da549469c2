package main

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// startProgram runs the program until the test ends. It returns when the program serves.
func startProgram(t *testing.T, env map[string]string) *testworld.Server {
	t.Helper()
	return testworld.StartServer(t, testworld.Build(t, "server"), environ(env))
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			env, _ := good(t)
			env["SHUTDOWN_DELAY"] = "30s"
			p := startProgram(t, env)
			p.Signal(signal)
			p.Await(`"msg":"shutting down"`)
			testworld.Eventually(t, 30*time.Second, "it ends on a second "+signal.String(), func() error {
				p.Signal(signal)
				if !p.Ended() {
					return errors.New("it still runs")
				}
				return nil
			})
			how, ok := errors.AsType[*exec.ExitError](p.Wait())
			if !ok || how.Sys().(syscall.WaitStatus).Signal() != signal {
				t.Errorf("it ended with %v, want the signal %s", p.Wait(), signal)
			}
		})
	}
}
