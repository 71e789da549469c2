package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koubei-landing/internal/testworld"
)

// TestCtrlCEndsMakeDemo presses Ctrl-C in the terminal in which make demo runs. The terminal sends the interrupt to every
// process of its foreground group; make must not take it for a failure.
func TestCtrlCEndsMakeDemo(t *testing.T) {
	t.Parallel()
	master, slave := openTerminal(t)
	demo := exec.Command("make", "-C", "..", "demo")
	demo.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "REDIS_URL=")
	demo.Stdin, demo.Stdout, demo.Stderr = slave, slave, slave
	demo.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	screen, read := &testworld.Log{}, make(chan bool)
	go func() {
		defer close(read)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			_, _ = screen.Write(b[:n])
			if err != nil {
				return // the terminal's last process has ended
			}
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- demo.Wait() }()
	t.Cleanup(func() { master.Close() }) // hangs up, which ends whatever still runs

	deadline := time.After(5 * time.Minute) // it may have to be built
	for pressed := false; ; {
		select {
		case err := <-ended:
			<-read
			if err != nil || !pressed || !strings.Contains(screen.String(), "Bye.") {
				t.Errorf("make demo: %v\n%s", err, screen)
			}
			return
		case <-deadline:
			t.Fatalf("make demo has not ended:\n%s", screen)
		case <-time.After(20 * time.Millisecond):
		}
		if !pressed && strings.Contains(screen.String(), "Press Ctrl-C") {
			pressed = true
			if _, err := master.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// openTerminal opens a pseudoterminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
