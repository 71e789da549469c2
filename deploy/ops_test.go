package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestMain removes the files that imageSteps has built.
func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// built is the directory of imageSteps.
var built string

// imageSteps runs the Dockerfile's steps, once for all tests, and returns their directory: the stages "server" and
// "koubeisim" with their programs.
var imageSteps = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "koubei-image")
	if err != nil {
		return "", err
	}
	built = dir
	if out, err := exec.Command("../scripts/dockerfile-steps", dir, "VERSION=1.2.3-test", "REVISION=abc").CombinedOutput(); err != nil {
		return "", fmt.Errorf("scripts/dockerfile-steps: %w\n%s", err, out)
	}
	return dir, nil
})

// programs returns a directory with the image's programs.
func programs(t *testing.T) string {
	t.Helper()
	dir, err := imageSteps()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, name := range []string{"server", "koubeisim"} {
		if err := os.Symlink(filepath.Join(dir, name, name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func slurp(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// settingNames returns the variables of docs/settings.md, which TestSettingsDocs compares with the program. The value is true
// for secrets.
func settingNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)`( °)? \\|").FindAllStringSubmatch(slurp(t, "../docs/settings.md"), -1) {
		names[m[1]] = m[2] != ""
	}
	if len(names) < 40 || !names["REDIS_URL"] {
		t.Fatalf("docs/settings.md has %d settings", len(names))
	}
	return names
}

// wantSetting fails if the service does not read the variable.
func wantSetting(t *testing.T, name string) {
	t.Helper()
	names := settingNames(t)
	if base, ok := strings.CutSuffix(name, "_FILE"); ok && names[base] || strings.HasPrefix(name, "OTEL_") || name == "GOMEMLIMIT" {
		return
	}
	if secret, ok := names[name]; !ok {
		t.Errorf("%s is no setting", name)
	} else if secret && name != "REDIS_URL" {
		t.Errorf("%s is a secret: use %s_FILE", name, name)
	}
}

func wantDuration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// composeFile has the fields that deploy/compose.yaml uses. Any other field is an error.
type composeFile struct {
	Service  composeService            `yaml:"x-service"`
	Services map[string]composeService `yaml:"services"`
	Networks map[string]struct {
		Internal bool `yaml:"internal"`
	} `yaml:"networks"`
	Volumes map[string]struct {
		Driver  string            `yaml:"driver"`
		Options map[string]string `yaml:"driver_opts"`
	} `yaml:"volumes"`
}

type composeService struct {
	Image string `yaml:"image"`
	Build struct {
		Context string `yaml:"context"`
		Target  string `yaml:"target"`
	} `yaml:"build"`
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Restart     string   `yaml:"restart"`
	User        string   `yaml:"user"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Environment     map[string]string `yaml:"environment"`
	StopGracePeriod string            `yaml:"stop_grace_period"`
	Volumes         []string          `yaml:"volumes"`
	Networks        []string          `yaml:"networks"`
	NetworkMode     string            `yaml:"network_mode"`
	Ports           []string          `yaml:"ports"`
	Entrypoint      []string          `yaml:"entrypoint"`
	Command         []string          `yaml:"command"`
	Healthcheck     struct {
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Timeout  string   `yaml:"timeout"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	f, err := os.Open("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var c composeFile
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// composed is deploy/compose.yaml without an engine: the same programs with the same settings run as processes on loopback,
// behind a real nginx with the composition's file.
type composed struct {
	t        *testing.T
	programs string // their directory
	front    string // nginx, with the scheme
	koubei   string // the address of koubeisim
	replicas []*member
	nginx    *proxy
	issued   atomic.Int64

	mu      sync.Mutex
	secrets []string // values that no log may contain
}

// keepOut adds secrets that no log may contain.
func (c *composed) keepOut(secrets ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets = append(c.secrets, secrets...)
}

func (c *composed) keptOut() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.secrets)
}

// member is one replica.
type member struct {
	t        *testing.T
	name     string
	program  string
	env      []string
	public   string // its address, with the scheme
	internal string
	out      *testworld.Log
	cmd      *exec.Cmd
	keptOut  func() []string // values that it must not write
}

// newComposed starts everything. extra is added to each replica's environment.
func newComposed(t *testing.T, extra ...string) *composed {
	t.Helper()
	file := readCompose(t)
	redis := testworld.StartRedis(t)
	local := func() string { return "127.0.0.1:" + strconv.Itoa(testworld.StablePort(t)) }
	front, sim, dir := local(), local(), t.TempDir()
	c := &composed{t: t, programs: programs(t), front: "http://" + front, koubei: "http://" + sim}
	place := strings.NewReplacer("localhost:8080", front, "localhost:8900", sim, "koubeisim:8900", sim, "0.0.0.0:8900", sim,
		"redis:6379", redis.Addr(), "/run/koubei", dir)

	var args []string
	for _, a := range file.Services["koubeisim"].Command {
		args = append(args, place.Replace(a))
	}
	start(t, sim, dir, filepath.Join(c.programs, "koubeisim"), args...)

	script := file.Services["settings"]
	settings := append(append([]string{}, script.Entrypoint...), place.Replace(script.Command[0]))
	if out, err := exec.Command(settings[0], settings[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("the settings: %v\n%s", err, out)
	}

	conf := map[string]string{"listen 8080;": "listen " + front + ";"}
	app := local()
	conf["server 127.0.0.1:3000;"], conf["listen 127.0.0.1:3000;"] = "server "+app+";", "listen "+app+";"
	for _, name := range []string{"server-1", "server-2"} {
		public, internal := local(), local()
		m := &member{t: t, name: name, program: filepath.Join(c.programs, "server"), public: "http://" + public, internal: "http://" + internal, out: &testworld.Log{}, keptOut: c.keptOut}
		for variable, value := range file.Services[name].Environment {
			switch variable {
			case "PUBLIC_LISTEN":
				value = public
			case "INTERNAL_LISTEN":
				value = internal
			}
			m.env = append(m.env, variable+"="+place.Replace(value))
		}
		m.env = append(m.env, extra...)
		c.keepOut(m.secrets()...)
		m.start()
		t.Cleanup(m.kill)
		c.replicas = append(c.replicas, m)
		conf[name+":8080"], conf[name+":9090"] = public, internal
	}
	c.nginx = startComposedNginx(t, front, conf)
	t.Cleanup(func() { testworld.CheckLog(t, c.nginx.log(t), c.keptOut()...) })
	return c
}

func startComposedNginx(t *testing.T, front string, conf map[string]string) *proxy {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "koubei.conf"), fill(t, slurp(t, "compose/nginx.conf"), conf))
	return startNginxIn(t, front, dir, "error_log stderr info;", "include koubei.conf;")
}

// secrets returns the secrets among its settings.
func (m *member) secrets() []string {
	m.t.Helper()
	var all []string
	for _, assignment := range m.env {
		switch name, value, _ := strings.Cut(assignment, "="); name {
		case "ADMIN_TOKEN":
			all = append(all, value)
		case "ALIPAY_APP_PRIVATE_KEY_FILE":
			all = append(all, testworld.Fragments(strings.TrimSpace(slurp(m.t, value)))...)
		case "ALIPAY_APP_PRIVATE_KEY":
			all = append(all, testworld.Fragments(value)...)
		}
	}
	if len(all) < 40 {
		m.t.Fatalf("%s has no private key to look for", m.name)
	}
	return all
}

// start starts the process and waits until it is ready.
func (m *member) start() {
	m.t.Helper()
	cmd := exec.Command(m.program, "serve")
	cmd.Env, cmd.Stdout, cmd.Stderr = m.env, m.out, m.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.cmd = cmd
	testworld.Eventually(m.t, 20*time.Second, m.name+" is ready", func() error { return m.says("/readyz", http.StatusOK) })
}

// says returns an error unless the internal listener responds with this status.
func (m *member) says(path string, status int) error {
	client := &http.Client{Timeout: 2 * time.Second}
	a, err := client.Get(m.internal + path)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, m.out)
	}
	defer a.Body.Close()
	if a.StatusCode != status {
		return fmt.Errorf("%s: got %d, want %d", path, a.StatusCode, status)
	}
	return nil
}

func (m *member) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	testworld.CheckLog(m.t, m.out.String(), m.keptOut()...)
	if m.t.Failed() {
		m.t.Logf("%s wrote:\n%s", m.name, m.out)
	}
}

// issue makes koubeisim issue a code, and returns the link of its landing.
func (c *composed) issue(p koubeisim.Person) (string, error) {
	body := fmt.Sprintf(`{"operator_id":%q,"operator_type":%q,"partner_id":%q}`, p.OperatorID, p.OperatorType, p.PartnerID)
	a, err := http.Post(c.koubei+"/api/codes", "application/json", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	var code struct{ Code, URL string }
	if err := json.NewDecoder(a.Body).Decode(&code); err != nil || a.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("issuing a code: %d, %v", a.StatusCode, err)
	}
	c.issued.Add(1)
	c.keepOut(code.Code)
	return code.URL, nil
}

// guest is a browser that uses the composition's nginx.
type guest struct {
	c      *composed
	client *http.Client
}

func (c *composed) guest() *guest {
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return &guest{c, &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// ask sends a request. It returns the body and the Location, or an error if the status is another one.
func (g *guest) ask(method, address string, want int) (body, next string, err error) {
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		return "", "", err
	}
	r.Header = http.Header{"Accept": {"text/html"}, "User-Agent": {"Mozilla/5.0 (test)"}, "Sec-Fetch-Mode": {"navigate"}}
	if method == http.MethodPost {
		r.Header.Set("Origin", g.c.front)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	a, err := g.client.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address, which may contain a code
		}
		return "", "", fmt.Errorf("%s %s: %w", method, r.URL.Path, err)
	}
	defer a.Body.Close()
	for _, cookie := range a.Cookies() {
		if len(cookie.Value) >= 16 { // a deleted one is empty
			g.c.keepOut(cookie.Value)
		}
	}
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		return "", "", err
	}
	if a.StatusCode != want {
		return "", "", fmt.Errorf("%s %s: got %d, want %d: %.300s", method, r.URL.Path, a.StatusCode, want, raw)
	}
	if location := a.Header.Get("Location"); location != "" {
		to, err := r.URL.Parse(location)
		if err != nil {
			return "", "", err
		}
		next = to.String()
	}
	return string(raw), next, nil
}

// land follows the link of a landing until the application responds.
func (g *guest) land(p koubeisim.Person) error {
	next, err := g.c.issue(p)
	if err != nil {
		return err
	}
	for range 2 { // the hop and the landing
		if _, next, err = g.ask(http.MethodGet, next, http.StatusSeeOther); err != nil {
			return err
		}
	}
	if want := g.c.front + "/shop?partner_id=" + url.QueryEscape(p.PartnerID); next != want {
		return fmt.Errorf("the landing led to %q, want %q", next, want)
	}
	return g.works(next, p)
}

// works returns an error unless the application gets the person's identity.
func (g *guest) works(address string, p koubeisim.Person) error {
	body, _, err := g.ask(http.MethodGet, address, http.StatusOK)
	if err == nil && !strings.HasPrefix(body, fmt.Sprintf("operator %s (%s)\npartner %s\n", p.OperatorID, p.OperatorType, p.PartnerID)) {
		err = fmt.Errorf("the application got %q", body)
	}
	return err
}
