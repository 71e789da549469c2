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

// The page's commands for a CI run as they stand, with free ports in the place of theirs; the service is started, as they
// say, with the file that koubeisim has written.
func TestTheCommandsForACI(t *testing.T) {
	block := regexp.MustCompile("(?s)```sh by " + t.Name() + "\n(.*?)```").FindStringSubmatch(slurp(t, "../../docs/koubeisim.md"))
	if block == nil {
		t.Fatal("the page has no block for this test")
	}
	bin, dir := t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "koubei-landing/cmd/koubeisim", "koubei-landing/cmd/server")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	koubei, isv := fmt.Sprintf("127.0.0.1:%d", testworld.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", testworld.FreePort(t))
	script := strings.ReplaceAll(block[1], "127.0.0.1:8900", koubei)
	ci := exec.Command("bash", "-euo", "pipefail", "-c", script)
	ci.Dir = dir
	ci.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ISV=http://"+isv, "KOUBEISIM_LISTEN="+koubei)
	ci.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, err := os.Create(filepath.Join(dir, "said")) // no pipe: what is left in the background would hold it open
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	ci.Stdout, ci.Stderr = said, said
	if err := ci.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-ci.Process.Pid, syscall.SIGKILL) })

	file := filepath.Join(dir, "isv.env")
	testworld.Eventually(t, 20*time.Second, "koubeisim writes its file", func() error {
		_, err := os.Stat(file)
		return err
	})
	startISV(t, bin, isv, file)

	ended := make(chan error, 1)
	go func() { ended <- ci.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the commands don't come to an end")
	}
	text := slurp(t, said.Name())
	if strings.Count(text, `"outcome"`) != 2 || !strings.Contains(text, "busy") {
		t.Errorf("got %s\nwant two calls, the first of them told that the gateway is busy", text)
	}
	if jar := slurp(t, filepath.Join(dir, "jar")); !strings.Contains(jar, "koubei_session") {
		t.Errorf("nobody is signed in:\n%s", jar)
	}
}

func slurp(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// startISV starts the service as an ISV would, with the file's lines in its environment.
func startISV(t *testing.T, bin, listen, file string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "server"))
	cmd.Env = []string{"PUBLIC_LISTEN=" + listen, "INTERNAL_LISTEN=127.0.0.1:0", "PUBLIC_URL=http://" + listen, "REDIS_URL=" + testworld.StartRedis(t).URL()}
	for name, value := range environmentIn(t, file) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the service, told to end: %v", err)
		}
	})
}
