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

// Process is a program of cmd in a process of its own. It may be started again after it has ended.
type Process struct {
	Log Log // what it wrote to stdout and stderr since its first start

	// Where a server listens, with the scheme.
	Public, Internal string

	t       testing.TB
	program string
	args    []string
	env     []string
	cmd     *exec.Cmd
	ended   chan error
	begin   int // where the output of its latest start begins
}

// builds holds a function for each program that this test process has asked for. It builds the program once.
var builds sync.Map

// Build builds a program of cmd as it is released, once for all tests of this process, and returns its path.
func Build(t testing.TB, name string, flags ...string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(fmt.Sprint(name, flags), sync.OnceValues(func() (string, error) { return build(name, flags) }))
	program, err := build.(func() (string, error))()
	must(t, err)
	return program
}

// build writes the program to a directory that all test processes of the checkout share, because the go command does not
// link a program that is up to date.
func build(name string, flags []string) (string, error) {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(tempDir(), fmt.Sprintf("%.8x", sha256.Sum256(module)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	program := filepath.Join(dir, name+strings.Join(flags, " "))
	cmd := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-o", program}, flags, []string{"koubei-landing/cmd/" + name})...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
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

// StartProcess starts a program with this environment. It is killed when the test ends.
func StartProcess(t testing.TB, program string, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, program: program, env: env, args: args}
	p.Start()
	t.Cleanup(p.Kill)
	return p
}

// StartServer starts the server and returns when it serves. It may not be ready then.
func StartServer(t testing.TB, program string, env []string) *Process {
	t.Helper()
	p := StartProcess(t, program, env)
	p.awaitServing()
	return p
}

// Restart starts a server again, once it has ended, and returns when it serves.
func (p *Process) Restart() {
	p.t.Helper()
	p.Start()
	p.awaitServing()
}

func (p *Process) awaitServing() {
	p.t.Helper()
	p.Await(`"msg":"serving"`)
	address := func(listener string) string {
		_, after, _ := strings.Cut(p.Log.String()[p.begin:], `"`+listener+`":"`)
		address, _, _ := strings.Cut(after, `"`)
		return "http://" + address
	}
	p.Public, p.Internal = address("public"), address("internal")
}

// AwaitReady waits until a server says that it is ready.
func (p *Process) AwaitReady() {
	p.t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	Eventually(p.t, 30*time.Second, "the server is ready", func() error {
		a, err := client.Get(p.Internal + "/readyz")
		if err == nil && a.StatusCode != http.StatusOK {
			err = errors.New(a.Status)
		}
		if a != nil {
			a.Body.Close()
		}
		return err
	})
}

// Start starts the program.
func (p *Process) Start() {
	p.t.Helper()
	cmd, ended := exec.Command(p.program, p.args...), make(chan error, 1)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &p.Log, &p.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.begin = len(p.Log.String())
	must(p.t, cmd.Start())
	go func() { ended <- cmd.Wait() }()
	p.cmd, p.ended = cmd, ended
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
