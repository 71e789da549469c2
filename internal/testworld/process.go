package testworld

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is the server program in a process of its own. It listens on ports that the kernel chooses, new ones after each
// start.
type Process struct {
	Public   string // its address, with the scheme
	Internal string
	Logs     []string // paths; one for each start

	t       testing.TB
	program string
	env     []string
	cmd     *exec.Cmd
}

// BuildServer builds the server program and returns its path.
func BuildServer(t testing.TB, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "server")
	args := append(append([]string{"build"}, flags...), "-o", program, "koubei-landing/cmd/server")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// StartProcess starts the program with an environment, besides the addresses to listen on. It is killed when the test ends.
func StartProcess(t testing.TB, program string, env ...string) *Process {
	t.Helper()
	p := &Process{t: t, program: program, env: append([]string{"PUBLIC_LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=127.0.0.1:0"}, env...)}
	p.Start()
	t.Cleanup(p.Kill)
	return p
}

// Start starts the program again, once it has ended, and returns when it listens. It may not be ready then.
func (p *Process) Start() {
	p.t.Helper()
	log, err := os.CreateTemp(p.t.TempDir(), "log")
	must(p.t, err)
	defer log.Close()
	p.Logs = append(p.Logs, log.Name())
	p.cmd = exec.Command(p.program)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(p.t, p.cmd.Start())
	Eventually(p.t, 20*time.Second, "the program listens", func() error { return p.findAddresses(log.Name()) })
}

// findAddresses reads from the log where the program listens.
func (p *Process) findAddresses(log string) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		var at struct{ Public, Internal string }
		if json.Unmarshal([]byte(line), &at) == nil && at.Public != "" && at.Internal != "" {
			p.Public, p.Internal = "http://"+at.Public, "http://"+at.Internal
			return nil
		}
	}
	return errors.New("its log does not say where: " + string(text))
}

// Signal tells the program to shut down.
func (p *Process) Signal() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// Kill ends the program as a power cut does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Wait waits for the program's end and returns an error unless its exit status was 0.
func (p *Process) Wait() error { return p.cmd.Wait() }
