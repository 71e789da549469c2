package deploy_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// addresses are what a recipe's reader fills in.
type addresses struct{ front, public, internal, app string }

// recipe is a proxy's shipped configuration, and how the proxy is started with it.
type recipe struct {
	name  string
	start func(t *testing.T, at addresses) *proxy
}

var recipes = []recipe{{"nginx", startNginx}, {"caddy", startCaddy}, {"haproxy", startHAProxy}}

// proxy is a running proxy with all that it wrote.
type proxy struct {
	written *output
	files   []string // logs that it writes itself
}

// log is everything that the proxy wrote: accesses, errors, notices.
func (p *proxy) log(t *testing.T) string {
	t.Helper()
	text := p.written.String()
	for _, name := range p.files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	return text
}

func startNginx(t *testing.T, at addresses) *proxy {
	dir := t.TempDir()
	access, errors := filepath.Join(dir, "access.log"), filepath.Join(dir, "error.log")
	fill(t, "nginx/koubei.conf", dir, map[string]string{
		"listen 80;": "listen " + at.front + ";", "127.0.0.1:8080": at.public, "127.0.0.1:9090": at.internal,
		"127.0.0.1:3000": at.app, "/var/log/nginx/koubei.access.log": access,
	})
	// What Debian's nginx.conf gives: where to write, and a place for the shipped file.
	own := fmt.Sprintf("daemon off;\nmaster_process off;\npid %[1]s/pid;\nerror_log %[2]s info;\nevents {}\nhttp {\n", dir, errors)
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		own += fmt.Sprintf("%s_temp_path %s/%s;\n", of, dir, of)
	}
	own += "include koubei.conf;\n}\n"
	write(t, filepath.Join(dir, "nginx.conf"), own)
	p := start(t, at.front, dir, "nginx", "-e", errors, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	p.files = []string{access, errors}
	return p
}

func startCaddy(t *testing.T, at addresses) *proxy {
	dir := t.TempDir()
	fill(t, "caddy/Caddyfile", dir, map[string]string{
		"localhost:2019": fmt.Sprintf("127.0.0.1:%d", testworld.FreePort(t)), "isv.example {": "http://" + at.front + " {",
		"127.0.0.1:8080": at.public, "127.0.0.1:9090": at.internal, "127.0.0.1:3000": at.app,
	})
	return start(t, at.front, dir, "caddy", "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile")
}

func startHAProxy(t *testing.T, at addresses) *proxy {
	dir := t.TempDir()
	check := fmt.Sprintf("127.0.0.1:%d", testworld.FreePort(t))
	fill(t, "haproxy/haproxy.cfg", dir, map[string]string{
		"bind :80 ": "bind " + at.front + " ", "/etc/haproxy/koubei.lua": filepath.Join(dir, "koubei.lua"),
		"lua.koubei 127.0.0.1:9091": "lua.koubei " + check, "bind 127.0.0.1:9091": "bind " + check,
		"127.0.0.1:8080": at.public, "127.0.0.1:9090": at.internal, "127.0.0.1:3000": at.app,
	})
	fill(t, "haproxy/koubei.lua", dir, nil)
	return start(t, at.front, dir, "haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
}

// fill copies a shipped file with other addresses in it, each of which it must hold exactly once, and nothing else
// changed.
func fill(t *testing.T, name, dir string, with map[string]string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for old, value := range with {
		if n := strings.Count(string(b), old); n != 1 {
			t.Fatalf("%s: got %q %d times, want it once", name, old, n)
		}
		pairs = append(pairs, old, value)
	}
	write(t, filepath.Join(dir, filepath.Base(name)), strings.NewReplacer(pairs...).Replace(string(b)))
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs a proxy until the test ends and returns once it takes connections.
func start(t *testing.T, front, dir, program string, args ...string) *proxy {
	t.Helper()
	out := &output{}
	cmd := exec.Command(find(t, program), args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s wrote:\n%s", program, out)
		}
	})
	testworld.Eventually(t, 20*time.Second, program+" takes connections", func() error {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", program, err, out)
		default:
		}
		c, err := net.DialTimeout("tcp", front, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return &proxy{written: out}
}

// find returns where a program is. Debian keeps servers out of an ordinary user's PATH.
func find(t *testing.T, program string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: install Debian's package %s", program, program)
	return ""
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
