package testworld

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"koubei-landing/koubeisim"
)

// Process is a program in a process of its own. It may be started again after it has ended.
type Process struct {
	Log Log // what it wrote to stdout and stderr since its first start

	t       testing.TB
	program string
	args    []string
	env     []string // nil for that of the tests
	cmd     *exec.Cmd
	ended   chan error
	begin   int // where the output of its latest start begins
}

// builds holds a function for each program that this test process has asked for. It builds the program once.
var builds sync.Map

// Build builds a program of cmd as it is released, once for all tests of this process, and returns its path. All test processes
// of the checkout share the program's directory, because the go command does not link a program that is up to date.
func Build(t testing.TB, name string, flags ...string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(fmt.Sprint(name, flags), sync.OnceValues(func() (string, error) {
		module := must(exec.Command("go", "env", "GOMOD").Output())
		program := filepath.Join(tempDir, fmt.Sprintf("%.8x", sha256.Sum256(module)), name+strings.Join(flags, " "))
		cmd := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-o", program}, flags, []string{"koubei-landing/cmd/" + name})...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("go build: %w\n%s", err, out)
		}
		return program, err
	}))
	program, err := build.(func() (string, error))()
	check(t, err)
	return program
}

// StartProcess starts a program with this environment, or with that of the tests if env is nil. It is killed when the test
// ends.
func StartProcess(t testing.TB, program string, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, program: program, env: env, args: args}
	p.Start()
	return p
}

// Start starts the program.
func (p *Process) Start() {
	p.t.Helper()
	cmd, ended := exec.Command(p.program, p.args...), make(chan error, 1)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &p.Log, &p.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.begin = len(p.Log.String())
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("%v (make tools installs what the tests need)", err)
	}
	go func() { ended <- cmd.Wait() }()
	p.cmd, p.ended = cmd, ended
	p.t.Cleanup(p.Kill)
}

// Await waits until the program has written a text since its latest start.
func (p *Process) Await(text string) {
	p.t.Helper()
	Eventually(p.t, 30*time.Second, "the program writes "+text, func() error {
		log := p.Log.String()[p.begin:]
		switch {
		case strings.Contains(log, text):
			return nil
		case p.Ended():
			p.t.Fatalf("the program ended with %v:\n%s", p.Wait(), log)
		}
		return errors.New("it wrote:\n" + log)
	})
}

// Signal sends a signal. It does nothing if the process has ended.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// Kill ends the program with SIGKILL.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.Wait()
}

// Wait waits until the program has ended. It returns an error unless the exit status is 0.
func (p *Process) Wait() error {
	err := <-p.ended
	p.ended <- err
	return err
}

// Ended reports whether the program has ended.
func (p *Process) Ended() bool { return len(p.ended) > 0 }

// Server is the service in a process of its own.
type Server struct {
	*Process
	Public, Internal string // where it listens, with the scheme
}

// Settings returns the environment of a server that works with Koubei's stand-in, on ports that the kernel chooses. Later
// settings replace earlier ones.
func Settings(k *koubeisim.Koubei, gateway, redis string, more ...string) []string {
	return append([]string{
		"PUBLIC_LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=127.0.0.1:0",
		"ALIPAY_APP_ID=" + k.AppID(), "ALIPAY_APP_PRIVATE_KEY=" + k.AppPrivateKey(), "ALIPAY_PUBLIC_KEY=" + k.AlipayPublicKey(),
		"ALIPAY_GATEWAY_URL=" + gateway, "REDIS_URL=" + redis, "CALLBACK_RATE=0",
	}, more...)
}

// StartServer starts the server and returns when it serves. It may not be ready then.
func StartServer(t testing.TB, program string, env []string) *Server {
	t.Helper()
	s := &Server{Process: &Process{t: t, program: program, env: env}}
	s.Start()
	return s
}

// Start starts the server, also after it has ended, and returns when it serves.
func (s *Server) Start() {
	s.t.Helper()
	s.Process.Start()
	s.Await(`"msg":"serving"`)
	address := func(listener string) string {
		_, after, _ := strings.Cut(s.Log.String()[s.begin:], `"`+listener+`":"`)
		address, _, _ := strings.Cut(after, `"`)
		return "http://" + address
	}
	s.Public, s.Internal = address("public"), address("internal")
}

// AwaitReady waits until the server says that it is ready.
func (s *Server) AwaitReady() {
	s.t.Helper()
	b := NewBrowser(s.t, &s.Log)
	Eventually(s.t, 30*time.Second, "the server is ready", func() error {
		if a := b.Get(s.Internal + "/readyz"); a.StatusCode != http.StatusOK {
			return errors.New(a.Status)
		}
		return nil
	})
}
