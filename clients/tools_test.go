package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld/chromium"
)

// patience is the timeout of each wait.
const patience = 2 * time.Minute

// run runs a program until it ends and returns its output.
func run(dir, stdin string, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin, cmd.Env = dir, strings.NewReader(stdin), append(os.Environ(), env...)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, &out, &trouble)
	}
	return out.String(), nil
}

// shop is the Go client, built from this tree.
var shop = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "koubei-clients-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "shop")
	_, err = run(".", "", nil, "go", "build", "-C", "go", "-o", program, ".")
	return program, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if program, err := shop(); err == nil {
		os.RemoveAll(filepath.Dir(program))
	}
	if classes, err := javaClasses(); err == nil {
		os.RemoveAll(classes)
	}
	chromium.End()
	os.Exit(code)
}

// nodeModules installs the dependencies of the Node client and its types, at the versions of its lock file.
var nodeModules = sync.OnceValue(func() error {
	type versions struct {
		Packages map[string]struct{ Version string }
	}
	var wanted, installed versions
	if err := readJSON("node/package-lock.json", &wanted); err != nil {
		return err
	}
	delete(wanted.Packages, "") // the client itself
	if readJSON("node/node_modules/.package-lock.json", &installed) == nil && maps.Equal(wanted.Packages, installed.Packages) {
		return nil
	}
	if _, err := run("node", "", nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return fmt.Errorf("installing what the Node client needs (Debian's packages nodejs and npm): %w", err)
	}
	return nil
})

// python is Debian's, whose packages python3-jwt and python3-cryptography the Python client needs.
const python = "/usr/bin/python3"

// jackson is the class path of Debian's package libjackson2-databind-java.
const jackson = "/usr/share/java/jackson-databind.jar:/usr/share/java/jackson-core.jar:/usr/share/java/jackson-annotations.jar"

// javaClasses is where the Java client is compiled to.
var javaClasses = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "koubei-clients-")
	if err != nil {
		return "", err
	}
	_, err = run("java", "", nil, "javac", "-Xlint:all", "-Werror", "-d", dir, "-cp", jackson, "KoubeiVerifier.java", "Verify.java")
	return dir, err
})

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// start starts a program that ends with the test, and returns its first line of output.
func start(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install Debian's packages nodejs and npm, or Go", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s %s: printed no address: %v", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(line)
}
