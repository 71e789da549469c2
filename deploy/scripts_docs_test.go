package deploy_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
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

// TestTheCommandsForCI runs the script for CI in docs/koubeisim.md.
func TestTheCommandsForCI(t *testing.T) {
	t.Parallel()
	s := newScript(t, "../docs/koubeisim.md", "127.0.0.1:8080")
	out, err := s.command(s.blocks[0]).CombinedOutput()
	if want := outputAfter(t, "../docs/koubeisim.md", t.Name()); err != nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("got %v: %s\nwant the output on the page:\n%s", err, out, want)
	}
	for _, name := range []string{"isv.env", "jar"} {
		if _, err := os.Stat(filepath.Join(s.dir, name)); !os.IsNotExist(err) {
			t.Errorf("the script left %s behind: %v", name, err)
		}
	}
}

// TestTheCommandsForNginx runs the script in docs/proxies.md.
func TestTheCommandsForNginx(t *testing.T) {
	t.Parallel()
	s := newScript(t, "../docs/proxies.md", "127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:8000", "127.0.0.1:3000")
	if err := os.Remove(filepath.Join(s.dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	writeBelow(t, s.dir, "deploy/nginx/koubei.conf", s.addresses.Replace(slurp(t, "nginx/koubei.conf")))
	out, err := s.command(s.blocks[0]).CombinedOutput()
	if want := outputAfter(t, "../docs/proxies.md", t.Name()); err != nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("got %v: %s\nwant the output on the page:\n%s", err, out, want)
	}
}

// TestTheCommandsForABrowser runs the two commands of docs/koubeisim.md that stay in the foreground, and lands.
func TestTheCommandsForABrowser(t *testing.T) {
	t.Parallel()
	s := newScript(t, "../docs/koubeisim.md", "localhost:8080")
	if len(s.blocks) != 2 {
		t.Fatalf("got %d blocks, want 2", len(s.blocks))
	}
	s.env = []string{s.addresses.Replace("PUBLIC_URL=http://localhost:8080"), s.addresses.Replace("PUBLIC_LISTEN=localhost:8080")}
	printed := s.start(s.blocks[0])
	want, _, _ := strings.Cut(s.addresses.Replace(outputAfter(t, "../docs/koubeisim.md", t.Name())), "app ")
	testworld.Eventually(t, 5*time.Minute, "koubeisim prints its addresses", func() error {
		if got := printed.String(); !strings.Contains(got, strings.TrimSpace(want)) {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
	served := s.start(s.blocks[1])
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	testworld.Eventually(t, 5*time.Minute, "an account enters", func() error {
		a, err := browser.Get(s.addresses.Replace("http://127.0.0.1:8900/enter?as=provider"))
		if err != nil {
			return fmt.Errorf("%w; the service printed %s", err, served)
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK || a.Request.URL.Path != "/" {
			return fmt.Errorf("got status %d at %s", a.StatusCode, a.Request.URL.Path)
		}
		return nil
	})
}

// script is a set of commands of a page. They run as pasted, except for their addresses, in a directory that links to the
// checkout, so that they leave nothing behind.
type script struct {
	t         *testing.T
	dir       string
	blocks    []string // the page's blocks for this test, with other addresses
	addresses *strings.Replacer
	env       []string
}

func newScript(t *testing.T, page string, addresses ...string) *script {
	t.Helper()
	checkout, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, dir: t.TempDir()}
	for _, name := range []string{"go.mod", "go.sum", "cmd", "deploy", "internal", "koubeisim", "web"} {
		if err := os.Symlink(filepath.Join(checkout, name), filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	pairs := []string{"redis://127.0.0.1:6379/0", testworld.StartRedis(t).URL()}
	for _, address := range append([]string{"127.0.0.1:8900"}, addresses...) {
		host, port, _ := strings.Cut(address, ":")
		other := fmt.Sprint(testworld.StablePort(t))
		pairs = append(pairs, address, host+":"+other, fmt.Sprintf("(%q, %s)", host, port), fmt.Sprintf("(%q, %s)", host, other))
	}
	s.addresses = strings.NewReplacer(pairs...)
	for _, m := range regexp.MustCompile("(?ms)^ *```sh by "+t.Name()+"\n(.*?)^ *```$").FindAllStringSubmatch(slurp(t, page), -1) {
		s.blocks = append(s.blocks, s.addresses.Replace(m[1]))
	}
	if len(s.blocks) == 0 {
		t.Fatalf("%s has no block for this test", page)
	}
	return s
}

func (s *script) command(block string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "bash", "-c", block)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "KOUBEISIM_LISTEN="+s.addresses.Replace("127.0.0.1:8900"), "INTERNAL_LISTEN=127.0.0.1:0", "LOG_LEVEL=error", "GOFLAGS=-buildvcs=false -trimpath")
	cmd.Env = append(cmd.Env, s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second // a program that outlives the script keeps its output open
	return cmd
}

// start runs a block until the test ends, and returns what it prints.
func (s *script) start(block string) *testworld.Log {
	s.t.Helper()
	cmd, printed := s.command(block), &testworld.Log{}
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Wait() }) // the end of the test's context has killed it
	return printed
}

// outputAfter returns the first block of output that follows a page's block for a test.
func outputAfter(t *testing.T, page, test string) string {
	t.Helper()
	m := regexp.MustCompile("(?ms)^ *```sh by " + test + "$.*?^ *```text\n(.*?)^ *```$").FindStringSubmatch(slurp(t, page))
	if m == nil {
		t.Fatalf("%s has no output for %s", page, test)
	}
	return m[1]
}
