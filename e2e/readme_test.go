package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// startNginx runs the README's configuration with these addresses in place of its own, and returns what reads all that it
// has logged.
func startNginx(t *testing.T, port int, addresses ...string) (log func() string) {
	t.Helper()
	dir := t.TempDir()
	logs := []string{filepath.Join(dir, "access.log"), filepath.Join(dir, "default.log"), filepath.Join(dir, "error.log")}
	addresses = append(addresses, "/var/log/nginx/koubei.access.log", logs[0])
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```nginx\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("README.md has no block of nginx configuration")
	}
	for i := 0; i < len(addresses); i += 2 {
		if strings.Count(block, addresses[i]) != 1 {
			t.Fatalf("README.md's configuration has not one %q", addresses[i])
		}
		block = strings.ReplaceAll(block, addresses[i], addresses[i+1])
	}
	var temporary strings.Builder
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", what, filepath.Join(dir, what))
	}
	conf := filepath.Join(dir, "nginx.conf")
	// As in Debian's nginx.conf, whole addresses are logged wherever the block doesn't say otherwise.
	text := fmt.Sprintf("daemon off; master_process off; pid %s;\nevents {}\nhttp {\naccess_log %s;\nerror_log %s;\n%s%s}\n",
		filepath.Join(dir, "pid"), logs[1], logs[2], temporary.String(), block)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx" // Debian's, which is not on everybody's PATH
	}
	said := &buffer{}
	cmd := exec.Command(nginx, "-p", dir, "-c", conf, "-e", logs[2])
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("nginx: %v: install Debian's package nginx", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "nginx listens", func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return c.Close()
	})
	return func() string {
		var all strings.Builder
		for _, name := range logs {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		return all.String()
	}
}

// What the README says of nginx is tried as it stands there.
func TestReadmeNginx(t *testing.T) {
	port := testworld.FreePort(t)
	here, err := url.Parse(fmt.Sprintf("http://127.0.0.1:%d/koubei", port))
	if err != nil {
		t.Fatal(err)
	}
	w := testworld.New(t, func(c *app.Config) {
		c.Web.PublicURL = here
	})
	origin := "http://" + here.Host
	if err := w.Koubei.SetLandingURL(origin + w.Config.Web.CallbackPath); err != nil {
		t.Fatal(err)
	}
	told := make(chan http.Header, 1)
	application := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.Header }))
	t.Cleanup(application.Close)
	host := func(address string) string { return strings.TrimPrefix(address, "http://") }
	log := startNginx(t, port, "127.0.0.1:8080", host(w.Public), "127.0.0.1:9090", host(w.Internal),
		"127.0.0.1:3000", host(application.URL), "listen 443 ssl;", fmt.Sprintf("listen 127.0.0.1:%d;", port))

	b := w.Browser()
	b.Header["X-Koubei-Operator-Id"] = []string{"2088999999999999"}
	b.Header["X-Koubei-Shop-Ids"] = []string{"1"}
	b.Header["X_Koubei_Operator_Id"] = []string{"2088999999999999"}
	if a := b.Get(origin + "/orders"); a.StatusCode != http.StatusSeeOther || !strings.HasSuffix(a.Header.Get("Location"), "/koubei/signin") {
		t.Fatalf("a stranger got %d to %q, want 303 to the sign-in page\n%s", a.StatusCode, a.Header.Get("Location"), a.Body)
	}
	if a := b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("the landing got %d\n%s", a.StatusCode, a.Body)
	}
	orders, err := http.NewRequest(http.MethodGet, origin+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	orders.Header.Set("Referer", w.Landing(w.Koubei.Issue(testworld.Provider))) // no browser of today would, told no-referrer
	if a := b.Do(orders); a.StatusCode != http.StatusOK {
		t.Fatalf("an operator got %d, want 200\n%s", a.StatusCode, a.Body)
	}
	header := <-told
	want := map[string]string{
		"X-Koubei-App-Id":        w.Koubei.AppID(),
		"X-Koubei-Operator-Id":   testworld.Provider.OperatorID,
		"X-Koubei-Operator-Type": testworld.Provider.OperatorType,
		"X-Koubei-Partner-Id":    testworld.Provider.PartnerID,
		"X-Koubei-Shop-Ids":      "",
		"X_Koubei_Operator_Id":   "",
	}
	for name, value := range want {
		if got := header.Get(name); got != value {
			t.Errorf("the application got %s %q, want %q", name, got, value)
		}
	}
	w.Redis.Kill()
	if a := b.Get(origin + "/orders"); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("without Redis: got %d, want 503 with Retry-After", a.StatusCode)
	}

	// Nobody reads a code in nginx's logs, also where nginx has something to complain of.
	if err := w.Stop(); err != nil {
		t.Errorf("the service ended: %v", err)
	}
	for _, spelling := range []koubeisim.Spelling{koubeisim.Observed, koubeisim.Documented} {
		if a := b.Get(w.Koubei.LandingURL(w.Koubei.Issue(testworld.Provider), spelling)); a.StatusCode != http.StatusBadGateway {
			t.Errorf("a landing without the service: got %d, want 502", a.StatusCode)
		}
	}
	b.Get(origin + "/last") // its line comes after the others
	eventually(t, "nginx has logged everything", func() error {
		if n := strings.Count(log(), w.Config.Web.CallbackPath); n < 4 || !strings.Contains(log(), "/last") {
			return fmt.Errorf("%d lines about the callback, want 4, and one about /last: %s", n, log())
		}
		return nil
	})
	testworld.CheckLog(t, log(), append(testworld.SecretsOf(w.Koubei), w.Log.Secrets()...)...)
}
