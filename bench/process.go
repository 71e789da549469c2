package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one that this rig has started, and will end.
type Process struct {
	Name string
	cmd  *exec.Cmd
	said *os.File
}

// start starts a program that ends with this one. Its environment is env alone: what is set here must not leak into
// what is measured. What it says goes to a file in dir.
func start(dir, name string, env []string, program string, args ...string) (*Process, error) {
	said, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(env, "PATH="+os.Getenv("PATH")), said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		said.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Process{Name: name, cmd: cmd, said: said}, nil
}

// end ends the process and waits for it.
func (p *Process) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // killed, which it reports as an error
	_ = p.said.Close()
}

// failed returns the error with the end of what the process has said.
func (p *Process) failed(err error) error {
	text, _ := os.ReadFile(p.said.Name())
	return fmt.Errorf("%s: %w\n%s", p.Name, err, text[max(0, len(text)-2000):])
}

// clockTick is the unit of CPU times in /proc: USER_HZ, which is 100 wherever Go runs on Linux.
const clockTick = time.Second / 100

// CPU is what the process has used so far, exact to a clock tick.
func (p *Process) CPU() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in brackets, which may hold blanks; utime and stime are the 14th and 15th.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/…/stat has %d fields", len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// RSS is the memory that the process holds, in bytes.
func (p *Process) RSS() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), "\nVmRSS:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	return kib << 10, err
}

// freeAddr returns an address on loopback that nobody listened on just now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// within asks again and again until ready returns nil, for at most fifteen seconds.
func within(ctx context.Context, p *Process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return p.failed(err)
		case <-tick.C:
		}
	}
}

// build builds one of the module's programs into dir.
func build(ctx context.Context, dir, pkg string) (string, error) {
	program := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "koubei-landing/"+pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return program, nil
}

// closeAll ends everything, the last first.
func closeAll(all []io.Closer) {
	for i := len(all) - 1; i >= 0; i-- {
		_ = all[i].Close()
	}
}

// Close ends the process.
func (p *Process) Close() error {
	p.end()
	return nil
}
