package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// The script for a CI in docs/koubeisim.md runs as pasted, except for its ports and Redis. It runs in a directory that links
// to the checkout, so that it leaves nothing behind.
func TestTheCommandsForCI(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?s)```sh by " + t.Name() + "\n(.*?)```.*?```text\n(.*?)```").FindStringSubmatch(readFile(t, "../../docs/koubeisim.md"))
	if block == nil {
		t.Fatal("the page has no script for this test")
	}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "cmd", "internal", "koubeisim", "web"} {
		if err := os.Symlink(filepath.Join(checkout, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	koubei, isv := fmt.Sprintf("127.0.0.1:%d", testworld.StablePort(t)), fmt.Sprintf("127.0.0.1:%d", testworld.StablePort(t))
	script := strings.NewReplacer("127.0.0.1:8900", koubei, "127.0.0.1:8080", isv, "redis://127.0.0.1:6379/0", testworld.StartRedis(t).URL()).Replace(block[1])
	ci := exec.CommandContext(t.Context(), "bash", "-c", script)
	ci.Dir = dir
	ci.Env = append(os.Environ(), "KOUBEISIM_LISTEN="+koubei, "INTERNAL_LISTEN=127.0.0.1:0", "LOG_LEVEL=error", "GOFLAGS=-buildvcs=false -trimpath")
	ci.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ci.Cancel = func() error { return syscall.Kill(-ci.Process.Pid, syscall.SIGKILL) }
	ci.WaitDelay = 10 * time.Second // a program that outlives the script keeps its output open
	out, err := ci.CombinedOutput()
	if err != nil {
		t.Fatalf("got %v: %s", err, out)
	}
	if !strings.HasSuffix(string(out), block[2]) {
		t.Errorf("got %s\nwant the output on the page:\n%s", out, block[2])
	}
	for _, name := range []string{"isv.env", "jar"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("the script left %s behind: %v", name, err)
		}
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
