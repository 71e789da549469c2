package deploy_test

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

var traefik = flag.String("traefik", "", "Traefik's program, which scripts/build-traefik builds: the matrix runs it too")

// addresses are the values that a reader fills in: host:port, or for all but front the path of a Unix socket.
type addresses struct {
	front, public, internal, app string

	brief bool // shortens the recipe's time limits, for tests that reach them
}

// limits returns replacements of a recipe's time limits, as pairs of old and new, if they are to be shortened.
func (a addresses) limits(pairs ...string) map[string]string {
	with := map[string]string{}
	for i := 0; a.brief && i < len(pairs); i += 2 {
		with[pairs[i]] = pairs[i+1]
	}
	return with
}

// recipe is a proxy with its shipped configuration.
type recipe struct {
	name  string
	start func(t *testing.T, at addresses) *proxy
	lacks []string // rows of the matrix that do not apply to it
}

// recipes returns the proxies of this run.
func recipes() []recipe {
	all := []recipe{
		{name: "nginx", start: startNginx},
		{name: "Caddy", start: startCaddy},
		{name: "HAProxy", start: startHAProxy},
		{name: "README.md", start: startReadmeNginx},
		{name: "compose", start: startComposeNginx, lacks: []string{rowTypes, rowPartners, rowOthersPartner}},
	}
	if *traefik != "" {
		all = append(all, recipe{name: "Traefik", start: startTraefik, lacks: []string{rowSockets}})
	}
	return all
}

// proxy is a running proxy and its output.
type proxy struct {
	written *testworld.Log
	files   []string // log files that it writes
}

// log returns everything that the proxy has written: accesses, errors, notices.
func (p *proxy) log(t *testing.T) string {
	t.Helper()
	text := p.written.String()
	for _, name := range p.files {
		text += slurp(t, name)
	}
	return text
}

// upstream returns an address in the proxy's syntax. prefix precedes the path of a Unix socket.
func upstream(prefix, address string) string {
	if strings.HasPrefix(address, "/") {
		return prefix + address
	}
	return address
}

func startNginx(t *testing.T, at addresses) *proxy {
	return runNginx(t, at, slurp(t, "nginx/koubei.conf"), map[string]string{"listen 80;": "listen " + at.front + ";", "127.0.0.1:3000": upstream("unix:", at.app)})
}

// startReadmeNginx runs the commands of README.md, and the configuration that they write. nginx -t tests that configuration
// with its certificate. The matrix speaks HTTP, so TLS is removed afterwards.
func startReadmeNginx(t *testing.T, at addresses) *proxy {
	t.Helper()
	const host, app = "shop.isv.example", "127.0.0.1:5000"
	dir := t.TempDir()
	etc := filepath.Join(dir, "etc")
	nginxCommand(t, dir, etc)
	writeCertificate(t, filepath.Join(etc, host))
	writeBelow(t, dir, "deploy/nginx/koubei.conf", fill(t, slurp(t, "nginx/koubei.conf"), map[string]string{
		"/etc/nginx/isv.example.crt": etc + "/isv.example.crt", "/etc/nginx/isv.example.key": etc + "/isv.example.key",
		"access_log /var/log/nginx": "access_log " + dir,
	}))
	i := slices.IndexFunc(blocks(t), func(b block) bool { return b.page == "README.md" && b.info == "sh by TestProxyMatrix" })
	if i < 0 {
		t.Fatal("README.md has no commands by TestProxyMatrix")
	}
	commands := fill(t, blocks(t)[i].text, map[string]string{
		app: upstream("unix:", at.app), "listen 443 ssl": "listen " + at.front + " ssl", "/etc/nginx/conf.d/": etc + "/conf.d/",
	})
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "test is successful") {
		t.Fatalf("README.md: %v\n%s\n%s", err, commands, out)
	}
	return runNginx(t, at, fill(t, slurp(t, filepath.Join(etc, "conf.d/koubei.conf")), map[string]string{
		"listen " + at.front + " ssl;": "listen " + at.front + ";", "server_name " + host + ";": "server_name " + host + ";",
		"    ssl_certificate     " + etc + "/" + host + ".crt;\n": "", "    ssl_certificate_key " + etc + "/" + host + ".key;\n": "",
		"access_log " + dir: "access_log /var/log/nginx",
	}), nil)
}

// nginxCommand writes the program nginx to dir/bin: the installed one, with its configuration below etc.
func nginxCommand(t *testing.T, dir, etc string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(etc, "conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(etc, "nginx.conf"), nginxConf(dir, "error_log stderr info;", "include "+etc+"/conf.d/*.conf;"))
	writeBelow(t, dir, "bin/nginx", fmt.Sprintf("#!/bin/sh\nexec %s -e stderr -p %s -c %s/nginx.conf \"$@\"\n", find(t, "nginx"), dir, etc))
	if err := os.Chmod(filepath.Join(dir, "bin/nginx"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate writes a certificate of its own authority to name.crt, and its key to name.key.
func writeCertificate(t *testing.T, name string) {
	t.Helper()
	made := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=isv.example", "-days", "2", "-out", name+".crt", "-keyout", name+".key")
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// startComposeNginx runs the composition's file with one service instead of two replicas.
func startComposeNginx(t *testing.T, at addresses) *proxy {
	t.Helper()
	return runNginx(t, at, fill(t, slurp(t, "compose/nginx.conf"), map[string]string{
		"server server-1:8080 max_fails=0": "server 127.0.0.1:8080 max_fails=0", "server server-2:8080 max_fails=0": "server " + upstream("unix:", at.public) + " max_fails=0",
		"server server-1:9090 max_fails=0": "server 127.0.0.1:9090 max_fails=0", "server server-2:9090 max_fails=0": "server " + upstream("unix:", at.internal) + " max_fails=0",
		"listen 127.0.0.1:3000": fmt.Sprintf("listen 127.0.0.1:%d", testworld.StablePort(t)),
		"/dev/stdout":           "/var/log/nginx/koubei.access.log",
	}), map[string]string{"listen 8080;": "listen " + at.front + ";", "127.0.0.1:3000": upstream("unix:", at.app)})
}

// runNginx runs a configuration with these values, and with those that all configurations share.
func runNginx(t *testing.T, at addresses, text string, with map[string]string) *proxy {
	t.Helper()
	dir := t.TempDir()
	access, errors, rest := filepath.Join(dir, "access.log"), filepath.Join(dir, "error.log"), filepath.Join(dir, "rest.log")
	limits := at.limits("client_body_timeout 15s;", "client_body_timeout 500ms;", "proxy_read_timeout 5s;", "proxy_read_timeout 500ms;")
	write(t, filepath.Join(dir, "koubei.conf"), fill(t, text, with, limits, map[string]string{
		"127.0.0.1:8080": upstream("unix:", at.public), "127.0.0.1:9090": upstream("unix:", at.internal),
		"/var/log/nginx/koubei.access.log": access,
	}))
	p := startNginxIn(t, at.front, dir, "error_log "+errors+" info;", "access_log "+rest+";\ninclude koubei.conf;")
	p.files = []string{access, errors, rest}
	return p
}

// startNginxIn starts nginx in a directory with the main settings of Debian's nginx.conf and with this http block.
func startNginxIn(t *testing.T, front, dir, main, inside string) *proxy {
	t.Helper()
	write(t, filepath.Join(dir, "nginx.conf"), nginxConf(dir, main, inside))
	return start(t, front, dir, "nginx", "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
}

func nginxConf(dir, main, inside string) string {
	text := fmt.Sprintf("daemon off;\nmaster_process off;\npid %s/pid;\n%s\nevents {}\nhttp {\n", dir, main)
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += fmt.Sprintf("%s_temp_path %s/%s;\n", of, dir, of)
	}
	return text + inside + "\n}\n"
}

func startCaddy(t *testing.T, at addresses) *proxy {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Caddyfile"), fill(t, slurp(t, "caddy/Caddyfile"), map[string]string{
		"admin localhost:2019": fmt.Sprintf("admin 127.0.0.1:%d\n\tdefault_bind 127.0.0.1", testworld.StablePort(t)),
		"\nisv.example {":      "\nhttp://" + at.front + " {", "\n:443 {": "\nhttp://:" + port(at.front) + " {",
		"127.0.0.1:8080": upstream("unix/", at.public), "127.0.0.1:9090": upstream("unix/", at.internal), "127.0.0.1:3000": upstream("unix/", at.app),
	}, at.limits("read_body 60s", "read_body 3s", "response_header_timeout 5s", "response_header_timeout 500ms")))
	return start(t, at.front, dir, "caddy", "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile")
}

func startHAProxy(t *testing.T, at addresses) *proxy {
	dir := t.TempDir()
	check := fmt.Sprintf("127.0.0.1:%d", testworld.StablePort(t))
	write(t, filepath.Join(dir, "haproxy.cfg"), fill(t, slurp(t, "haproxy/haproxy.cfg"), map[string]string{
		"bind :80 ": "bind " + at.front + " ", "/etc/haproxy/koubei.lua": filepath.Join(dir, "koubei.lua"),
		"lua.koubei 127.0.0.1:9091": "lua.koubei " + check, "bind 127.0.0.1:9091": "bind " + check,
		"127.0.0.1:8080": upstream("unix@", at.public), "127.0.0.1:9090": upstream("unix@", at.internal), "127.0.0.1:3000": upstream("unix@", at.app),
	}, at.limits("timeout server 5s", "timeout server 500ms", "time 5s if service", "time 500ms if service", "time 10s unless service", "time 500ms unless service")))
	write(t, filepath.Join(dir, "koubei.lua"), slurp(t, "haproxy/koubei.lua"))
	return start(t, at.front, dir, "haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
}

func startTraefik(t *testing.T, at addresses) *proxy {
	dir := t.TempDir()
	access := filepath.Join(dir, "access.log")
	write(t, filepath.Join(dir, "traefik.yaml"), fill(t, slurp(t, "traefik/traefik.yaml"), map[string]string{
		`":80"`: `"` + at.front + `"`, "/etc/traefik/koubei.yaml": filepath.Join(dir, "koubei.yaml"),
		"/var/log/traefik/access.log": access,
	}, at.limits("readTimeout: 60s", "readTimeout: 3s")))
	write(t, filepath.Join(dir, "koubei.yaml"), fill(t, slurp(t, "traefik/koubei.yaml"), map[string]string{
		"127.0.0.1:8080": at.public, "127.0.0.1:3000": at.app,
		"127.0.0.1:9090/auth/verify?redirect=1\n": at.internal + "/auth/verify?redirect=1\n", "127.0.0.1:9090/auth/verify?redirect=1&": at.internal + "/auth/verify?redirect=1&",
	}))
	p := start(t, at.front, dir, *traefik, "--configFile="+filepath.Join(dir, "traefik.yaml"))
	p.files = []string{access}
	testworld.Eventually(t, 20*time.Second, "Traefik has read its routes", func() error {
		a, err := http.Get("http://" + at.front + "/koubei/signin")
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK {
			return fmt.Errorf("got %s", a.Status)
		}
		return nil
	})
	return p
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// fill returns a shipped configuration with other values. Each old value must occur exactly once. Nothing else is changed.
func fill(t *testing.T, text string, with ...map[string]string) string {
	t.Helper()
	var pairs []string
	for _, values := range with {
		for old, value := range values {
			if n := strings.Count(text, old); n != 1 {
				t.Fatalf("got %q %d times, want it once in\n%.300s", old, n, text)
			}
			pairs = append(pairs, old, value)
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs a program until the test ends. It returns when the program accepts connections.
func start(t *testing.T, front, dir, program string, args ...string) *proxy {
	t.Helper()
	out := &testworld.Log{}
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
			t.Logf("%s wrote:\n%.20000s", program, out)
		}
	})
	testworld.Eventually(t, 20*time.Second, program+" accepts connections", func() error {
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

// find returns the path of a program. Debian keeps servers out of an ordinary user's PATH.
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
