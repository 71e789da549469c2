package deploy_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
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

const gettingStarted = "docs/getting-started.md"

// startedBlocks returns the blocks of docs/getting-started.md, commands and their output, from one that holds first to the
// one before a block that holds end.
func startedBlocks(t *testing.T, first, end string) []block {
	t.Helper()
	var found []block
	for _, b := range blocks(t) {
		if b.page != gettingStarted || len(found) == 0 && !strings.Contains(b.text, first) {
			continue
		}
		if end != "" && strings.Contains(b.text, end) {
			break
		}
		b.text = regexp.MustCompile("(?m)^   ").ReplaceAllString(b.text, "")
		found = append(found, b)
	}
	if len(found) < 2 {
		t.Fatalf("%s has %d blocks from %q to %q", gettingStarted, len(found), first, end)
	}
	return found
}

// wantLines wants every line of the page's output, in this order.
func wantLines(t *testing.T, got, want string) {
	t.Helper()
	rest := got
	for line := range strings.Lines(want) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		_, after, ok := strings.Cut(rest, line)
		if !ok {
			t.Errorf("got\n%s\nwant the line %q", got, line)
			return
		}
		rest = after
	}
}

var numbers = regexp.MustCompile(`:\d{4,5}\b|\d{16}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// TestMakeDemo: make demo prints what the page says, and ends by SIGINT.
func TestMakeDemo(t *testing.T) {
	t.Parallel()
	page := startedBlocks(t, "make demo\n", "go build")
	cmd := exec.Command("bash", "-c", page[0].text)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false -trimpath")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	overdue := time.AfterFunc(5*time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer overdue.Stop()
	var printed strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&printed, lines.Text())
		if strings.Contains(lines.Text(), "Ctrl-C") {
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // make reports the signal
	wantLines(t, numbers.ReplaceAllString(printed.String(), "N"), numbers.ReplaceAllString(page[1].text, "N")+"Bye.\n")
}

// TestGettingStarted runs the commands of docs/getting-started.md, after the demo's, in one shell, and compares what they
// print with the page. It changes ports, Redis's address and nginx's directory. nginx runs before, with a site of its own.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	page := startedBlocks(t, "go build", "")
	dir, checkout := t.TempDir(), absolute(t, "..")
	for _, name := range []string{"go.mod", "go.sum", "cmd", "internal", "koubeisim", "web"} {
		if err := os.Symlink(filepath.Join(checkout, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	etc := filepath.Join(dir, "etc")
	nginxCommand(t, dir, etc)
	supervised(t, filepath.Join(etc, "nginx.conf"))
	local := func() string { return fmt.Sprintf("127.0.0.1:%d", testworld.StablePort(t)) }
	front, public, internal, koubei, app := local(), local(), local(), local(), local()
	write(t, filepath.Join(etc, "conf.d/default.conf"), "server { listen "+front+" default_server; return 404; }\n")
	writeBelow(t, dir, "deploy/nginx/koubei.conf", fill(t, slurp(t, "nginx/koubei.conf"), map[string]string{
		"listen 80;": "listen " + front + ";", "127.0.0.1:8080": public, "127.0.0.1:9090": internal, "127.0.0.1:3000": app, "/var/log/nginx": dir,
	}))
	nginx := filepath.Join(dir, "bin/nginx")
	start(t, front, dir, nginx)
	t.Cleanup(func() {
		if out, err := exec.Command(nginx, "-s", "stop").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		testworld.Eventually(t, 20*time.Second, "nginx ends, after its worker", func() error {
			if _, err := os.Stat(filepath.Join(dir, "pid")); !os.IsNotExist(err) {
				return fmt.Errorf("%s is still there", filepath.Join(dir, "pid"))
			}
			return nil
		})
	})

	const mark = "---- block "
	var script strings.Builder
	for i, b := range page {
		if b.info == "sh by "+t.Name() {
			fmt.Fprintf(&script, "echo '%s%d'\n%s", mark, i, b.text)
		}
		if strings.Contains(b.text, "-s reload") { // which returns before the worker with the old configuration has ended
			fmt.Fprintf(&script, "until grep -q 'worker process .* exited' %s/error.log; do sleep 0.1; done\n", etc)
		}
	}
	_, appPort, err := net.SplitHostPort(app)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.NewReplacer("/etc/nginx", etc, "http://127.0.0.1/", "http://"+front+"/", "127.0.0.1:8900", koubei, "127.0.0.1:9090", internal,
		"127.0.0.1:3000", app, "3000", appPort, "redis://127.0.0.1:6379/0", testworld.StartRedis(t).URL()).Replace(script.String()))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "GOFLAGS=-buildvcs=false -trimpath", "KOUBEISIM_LISTEN="+koubei,
		"PUBLIC_LISTEN="+public, "INTERNAL_LISTEN="+internal, "LOG_LEVEL=error")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a script that failed has left
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	compared := 0
	for i, b := range page {
		if b.info != "text" {
			continue
		}
		_, printed, _ := strings.Cut(string(out), fmt.Sprintf("%s%d\n", mark, i-1))
		printed, _, _ = strings.Cut(printed, mark)
		want := strings.ReplaceAll(b.text, "/etc/nginx", etc)
		wantLines(t, numbers.ReplaceAllString(printed, "N")+"\n", numbers.ReplaceAllString(want, "N"))
		compared++
	}
	if compared < 5 {
		t.Errorf("got %d outputs on the page", compared)
	}
}

// supervised gives nginx a master process, without which it cannot reload.
func supervised(t *testing.T, conf string) {
	t.Helper()
	with := "master_process on;\nworker_processes 1;"
	if os.Geteuid() == 0 {
		with += "\nuser root;" // the test's directories are closed to others
	}
	write(t, conf, fill(t, slurp(t, conf), map[string]string{"master_process off;": with, "error_log stderr": "error_log " + filepath.Dir(conf) + "/error.log"}))
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
