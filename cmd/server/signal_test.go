package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// process is the real program with its output.
type process struct {
	*exec.Cmd
	log   testworld.Log
	ended chan error
}

// startProgram builds the program and runs it until the test ends. It returns once the program serves.
func startProgram(t *testing.T, env map[string]string) *process {
	t.Helper()
	p := newProcess(t, env)
	p.Stdout, p.Stderr = &p.log, &p.log
	p.start(t)
	p.awaits(t, `"msg":"serving"`)
	return p
}

// newProcess builds the program, which the caller starts.
func newProcess(t *testing.T, env map[string]string) *process {
	t.Helper()
	program := filepath.Join(t.TempDir(), "server")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p := &process{Cmd: exec.Command(program), ended: make(chan error, 1)}
	for name, value := range env {
		p.Env = append(p.Env, name+"="+value)
	}
	return p
}

// start runs the program until the test ends.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		p.end()
	})
}

// end waits for the end of the process and returns its error.
func (p *process) end() error {
	err := <-p.ended
	p.ended <- err
	return err
}

// awaits waits until the log contains text.
func (p *process) awaits(t *testing.T, text string) {
	t.Helper()
	testworld.Eventually(t, 20*time.Second, "the log says "+text, func() error {
		if !strings.Contains(p.log.String(), text) {
			return errors.New(p.log.String())
		}
		return nil
	})
}

// address returns the address of a listener, from the log.
func (p *process) address(t *testing.T, listener string) string {
	t.Helper()
	_, after, ok := strings.Cut(p.log.String(), `"`+listener+`":"`)
	if !ok {
		t.Fatalf("no %s address in %s", listener, p.log.String())
	}
	address, _, _ := strings.Cut(after, `"`)
	return "http://" + address
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			env, _ := good(t)
			env["SHUTDOWN_DELAY"] = "30s"
			p := startProgram(t, env)
			if err := p.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			p.awaits(t, `"msg":"shutting down"`)
			testworld.Eventually(t, 10*time.Second, "it ends on a second "+signal.String(), func() error {
				if err := p.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
				select {
				case err := <-p.ended:
					p.ended <- err
					return nil
				default:
					return errors.New("it still runs")
				}
			})
			how, ok := errors.AsType[*exec.ExitError](p.end())
			if !ok || how.Sys().(syscall.WaitStatus).Signal() != signal {
				t.Errorf("it ended with %v, want the signal %s", p.end(), signal)
			}
		})
	}
}
