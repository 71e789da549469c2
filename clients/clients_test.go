// Package clients_test runs the clients of this folder, and koubeiauth, against the real service.
package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/testworld"
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

// TestKoubeiauth tests a separate module, which ./... at the root does not include.
func TestKoubeiauth(t *testing.T) {
	// The race detector needs cgo. Without -trimpath, the compiled standard library is that of this module's other tests.
	env := []string{"CGO_ENABLED=1", "GOFLAGS=-buildvcs=false"}
	if _, err := run(".", "", env, "go", "test", "-C", "../koubeiauth", "-race", "-count=1", "-timeout=90s", "./..."); err != nil {
		t.Error(err)
	}
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
	endChromium()
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

// verdict is a client's result for an assertion.
type verdict struct {
	status   int
	operator string
}

type client struct {
	name   string
	keeps  bool // its process continues and caches the keys
	verify func(t *testing.T, assertion string) verdict
}

// verifiers returns all clients that verify assertions, for an issuer.
func verifiers(t *testing.T, issuer string) []client {
	t.Helper()
	if err := nodeModules(); err != nil {
		t.Fatal(err)
	}
	program, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	node := start(t, "node", []string{"KOUBEI_ISSUER=" + issuer, "PORT=0"}, "node", "server.mjs")
	pythonServer := start(t, "python", []string{"KOUBEI_ISSUER=" + issuer, "PORT=0"}, python, "server.py")
	goShop := start(t, ".", nil, program, "--issuer", issuer, "--listen", "127.0.0.1:0")
	all := []client{
		{"node server.mjs", true, viaHTTP(node + "/")},
		{"python server.py", true, viaHTTP(pythonServer + "/")},
		{"koubeiauth", true, viaHTTP(goShop + "/whoami")},
	}
	for _, p := range programs(t) {
		all = append(all, client{p.name, false, func(t *testing.T, assertion string) verdict {
			t.Helper()
			return p.verify(t, assertion, "KOUBEI_ISSUER="+issuer)
		}})
	}
	return all
}

// program verifies one assertion, without cached keys.
type program struct {
	name, dir string
	command   []string
}

// programs returns the programs of the clients.
func programs(t *testing.T) []program {
	t.Helper()
	if err := nodeModules(); err != nil {
		t.Fatal(err)
	}
	classes, err := javaClasses()
	if err != nil {
		t.Fatal(err)
	}
	return []program{
		{"node verify.mjs", "node", []string{"node", "verify.mjs"}},
		{"python verify.py", "python", []string{python, "verify.py"}},
		{"java Verify", "java", []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", classes + ":" + jackson, "Verify"}},
		{"php verify.php", "php", []string{"php", "verify.php"}},
	}
}

// verify verifies an assertion in a new process.
func (p program) verify(t *testing.T, assertion string, env ...string) verdict {
	t.Helper()
	out, err := run(p.dir, assertion, append(env, "PYTHONDONTWRITEBYTECODE=1"), p.command[0], p.command[1:]...)
	var got struct {
		OperatorID string `json:"operatorId"`
		Python     string `json:"operator_id"`
		Status     int
	}
	if json.Unmarshal([]byte(out), &got) != nil || err != nil && got.Status == 0 {
		t.Errorf("%s: %v\n%s", p.name, err, out)
	}
	if err == nil {
		got.Status = http.StatusOK
	}
	return verdict{got.Status, got.OperatorID + got.Python}
}

// viaHTTP sends an assertion to a back end, as the proxy in front of it would.
func viaHTTP(address string) func(*testing.T, string) verdict {
	return func(t *testing.T, assertion string) verdict {
		t.Helper()
		header := http.Header{"X-Koubei-Operator-Id": {"2088000000000666"}}
		if assertion != "" {
			header.Set("X-Koubei-Assertion", assertion)
		}
		return ask(t, address, header)
	}
}

func ask(t *testing.T, address string, header http.Header) verdict {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := c.Do(r)
	if err != nil {
		t.Error(err)
		return verdict{}
	}
	defer a.Body.Close()
	var body struct {
		Node string `json:"operatorId"`
		Go   string `json:"operator_id"`
	}
	_ = json.NewDecoder(a.Body).Decode(&body) // koubeiauth's refusals are plain text
	return verdict{a.StatusCode, body.Node + body.Go}
}

// isv is a service with assertions, at an address that stays the same when it restarts.
type isv struct {
	*testworld.World
	browser *testworld.Browser
}

func newISV(t *testing.T, keys ...crypto.Signer) *isv {
	t.Helper()
	public := "127.0.0.1:" + strconv.Itoa(testworld.StablePort(t))
	w := testworld.New(t, func(c *app.Config) {
		c.Operations.PublicListen, c.Web.PublicURL = public, &url.URL{Scheme: "http", Host: public}
		c.Assertions = assertion.Config{Keys: keys, Audiences: []string{c.Web.PublicURL.String(), "reports"}, TTL: time.Minute}
	})
	b := w.Browser()
	if a := b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("landing: got %d", a.StatusCode)
	}
	return &isv{w, b}
}

// rotate restarts the service with other keys.
func (i *isv) rotate(keys ...crypto.Signer) {
	i.T.Helper()
	if err := i.Stop(); err != nil {
		i.T.Fatal(err)
	}
	i.Service = i.Replica(func(c *app.Config) {
		c.Operations.PublicListen, c.Assertions.Keys = i.Config.Operations.PublicListen, keys
	})
}

// assertion returns the assertion that /auth/verify returns to a proxy.
func (i *isv) assertion(query string) string {
	i.T.Helper()
	a := i.browser.Get(i.Internal + "/auth/verify" + query)
	text := a.Header.Get("X-Koubei-Assertion")
	if a.StatusCode != http.StatusOK || text == "" {
		i.T.Fatalf("/auth/verify%s: got %d and the assertion %q", query, a.StatusCode, text)
	}
	return text
}

func keys(t *testing.T) (es256, eddsa crypto.Signer) {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ec, ed
}

// changed returns an assertion with a changed payload and the old signature.
func changed(t *testing.T, assertion, from, to string) string {
	t.Helper()
	parts := strings.Split(assertion, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(payload), from) {
		t.Fatalf("%s is not in %s: %v", from, payload, err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), from, to, 1)))
	return strings.Join(parts, ".")
}

// A rotation as documented: the new key is published, then signs, then the old key is removed. Back ends that cache the
// keys continue without unnecessary fetches. A new process verifies with the keys as they are served.
func TestAssertionsThroughARotation(t *testing.T) {
	first, second := keys(t)
	w := newISV(t, first)
	clients := verifiers(t, w.Config.Web.PublicURL.String())
	who := verdict{http.StatusOK, testworld.Provider.OperatorID}
	refused := verdict{status: http.StatusUnauthorized}
	check := func(step, assertion string, kept, fresh verdict) {
		t.Helper()
		var all sync.WaitGroup
		for _, c := range clients {
			want := fresh
			if c.keeps {
				want = kept
			}
			all.Go(func() {
				if got := c.verify(t, assertion); got != want {
					t.Errorf("%s: %s: got %v, want %v", step, c.name, got, want)
				}
			})
		}
		all.Wait()
	}

	w.rotate(first, second)
	good := w.assertion("")
	check("both published, the old one signs", good, who, who)
	check("nothing", "", refused, refused)
	check("no JWT", "x.y.z", refused, refused)
	check("another operator", changed(t, good, testworld.Provider.OperatorID, "2088000000000666"), refused, refused)
	check("another end", changed(t, good, `"exp":`, `"exp":1`), refused, refused)
	check("another signature", good[:len(good)-8]+"AAAAAAAA", refused, refused)
	check("another audience", w.assertion("?audience=reports"), refused, refused)

	w.rotate(second, first)
	check("after the rotation, the new one signs", w.assertion(""), who, who)
	check("after the rotation, signed before", good, who, who)

	w.rotate(second)
	check("the old one is withdrawn, the new one signs", w.assertion(""), who, who)
	check("the old one is withdrawn, signed before", good, who, refused)

	w.rotate(second)
	w.Clock.Turn(-5 * time.Minute)
	check("expired", w.assertion(""), refused, refused)
	w.Clock.Turn(5 * time.Minute)

	good = w.assertion("")
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	check("the service is away", good, who, verdict{status: http.StatusServiceUnavailable})
}

func TestAnotherAudienceByItsOwnName(t *testing.T) {
	first, _ := keys(t)
	w := newISV(t, first)
	issuer := w.Config.Web.PublicURL.String()
	for _, p := range programs(t) {
		env := []string{"KOUBEI_ISSUER=" + issuer, "KOUBEI_AUDIENCE=reports"}
		if got := p.verify(t, w.assertion("?audience=reports"), env...); got.status != http.StatusOK {
			t.Errorf("%s: got %v", p.name, got)
		}
		if got := p.verify(t, w.assertion(""), env...); got.status != http.StatusUnauthorized {
			t.Errorf("%s: the first audience's: got %v", p.name, got)
		}
		if got := p.verify(t, w.assertion(""), "KOUBEI_ISSUER=http://127.0.0.1:1", "KOUBEI_AUDIENCE="+issuer,
			"KOUBEI_JWKS_URL="+w.Public+"/.well-known/jwks.json"); got.status != http.StatusUnauthorized {
			t.Errorf("%s: another issuer's: got %v", p.name, got)
		}
	}
}

// hanging accepts connections and never responds.
func hanging(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	return "http://" + l.Addr().String()
}

// TestClientsBoundTheFetchOfKeys: if the service hangs, the clients return 503 after a short time.
func TestClientsBoundTheFetchOfKeys(t *testing.T) {
	first, _ := keys(t)
	w := newISV(t, first)
	assertion, address := w.assertion(""), hanging(t)
	for _, p := range programs(t) {
		begun := time.Now()
		got := p.verify(t, assertion, "KOUBEI_ISSUER="+w.Config.Web.PublicURL.String(), "KOUBEI_JWKS_URL="+address+"/jwks.json")
		if got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: got %v, want 503", p.name, got)
		}
		// 3 s for the fetch, plus time for a busy machine.
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("%s: took %s", p.name, took)
		}
	}
}

// TestKnownKeysWhileTheServiceHangs verifies twice in one process. The second time is ten minutes later by the clock of the
// program, and the service hangs. The key is known, so no request waits.
func TestKnownKeysWhileTheServiceHangs(t *testing.T) {
	first, _ := keys(t)
	w := newISV(t, first)
	if err := nodeModules(); err != nil {
		t.Fatal(err)
	}
	for _, script := range []struct {
		name, dir string
		command   []string
	}{
		{"node", "node", []string{"node", "--input-type=module", "-e", `
import { koubeiVerifier } from './koubei.mjs'
const { KOUBEI_ISSUER: issuer, ASSERTION: assertion, LINK: jwksUrl, CUT: cut } = process.env
const operatorOf = koubeiVerifier({ issuer, jwksUrl })
await operatorOf(assertion)
await fetch(cut)
const now = Date.now, claims = Date
Date.now = () => now() + 600_000
globalThis.Date = class extends claims { static now() { return now() + 600_000 } constructor(...a) { a.length ? super(...a) : super(now()) } } // exp is compared with new Date()
const begun = now()
for (let i = 0; i < 5; i++) await operatorOf(assertion)
console.log(now() - begun)`}},
		{"python", "python", []string{python, "-c", `
import os, time, urllib.request, koubei
verifier = koubei.Verifier(os.environ["KOUBEI_ISSUER"], jwks_url=os.environ["LINK"])
verifier.operator(os.environ["ASSERTION"])
urllib.request.urlopen(os.environ["CUT"]).read()
real = time.monotonic
time.monotonic = lambda: real() + 600
begun = real()
for _ in range(5): verifier.operator(os.environ["ASSERTION"])
print(int(1000 * (real() - begun)))`}},
		{"php", "php", []string{"php", "-r", `
require 'koubei.php';
$verifier = new Koubei\Verifier(getenv('KOUBEI_ISSUER'), getenv('CACHE'), null, getenv('LINK'));
$verifier->operator(getenv('ASSERTION'));
file_get_contents(getenv('CUT'));
$cache = json_decode(file_get_contents(getenv('CACHE')), true);
$cache['loaded'] -= 600; $cache['tried'] -= 600;
file_put_contents(getenv('CACHE'), json_encode($cache));
$begun = microtime(true);
for ($i = 0; $i < 5; $i++) $verifier->operator(getenv('ASSERTION'));
echo (int) (1000 * (microtime(true) - $begun));`}},
	} {
		t.Run(script.name, func(t *testing.T) {
			link := newLink(t, w.Public)
			out, err := run(script.dir, "", []string{"KOUBEI_ISSUER=" + w.Config.Web.PublicURL.String(), "ASSERTION=" + w.assertion(""), "PYTHONDONTWRITEBYTECODE=1",
				"LINK=" + link + "/.well-known/jwks.json", "CUT=" + link + "/cut", "CACHE=" + filepath.Join(t.TempDir(), "keys")}, script.command[0], script.command[1:]...)
			if err != nil {
				t.Fatal(err)
			}
			if took, err := strconv.Atoi(strings.TrimSpace(out)); err != nil || took > 2000 {
				t.Errorf("five verifications took %q ms, %v, want less than the 3 s of a fetch", out, err)
			}
		})
	}
}

// newLink forwards requests to a service until /cut is requested. After that it never responds.
func newLink(t *testing.T, service string) string {
	t.Helper()
	to, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	var cut atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(to)
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/cut":
			cut.Store(true)
		case cut.Load():
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		default:
			proxy.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(func() { close(ended); s.Close() })
	return s.URL
}

// TestNodePackage packs the Node client, installs the package elsewhere, and compiles a program with its types.
func TestNodePackage(t *testing.T) {
	if err := nodeModules(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := run("node", "", nil, "npm", "pack", "--json", "--pack-destination", dir)
	if err != nil {
		t.Fatal(err)
	}
	var packed []struct {
		Filename string
		Files    []struct{ Path string }
	}
	if err := json.Unmarshal([]byte(out), &packed); err != nil || len(packed) != 1 {
		t.Fatalf("npm pack: %v\n%s", err, out)
	}
	var files []string
	for _, f := range packed[0].Files {
		files = append(files, f.Path)
	}
	if want := []string{"LICENSE", "README.md", "koubei.d.mts", "koubei.mjs", "package.json"}; !slices.Equal(files, want) {
		t.Errorf("the package has %q, want %q", files, want)
	}
	app := filepath.Join(dir, "app")
	if err := os.CopyFS(filepath.Join(app, "node_modules"), os.DirFS("node/node_modules")); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(app, "node_modules", "koubei-landing-client")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := run(dir, "", nil, "tar", "-xzf", packed[0].Filename, "-C", own, "--strip-components=1"); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("node/types.test.mts")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(app, "program.mts"), program, 0o600); err != nil {
		t.Fatal(err)
	}
	compile := []string{"node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--module", "nodenext", "program.mts"}
	if out, err := run(app, "", nil, "node", compile...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(app, "", nil, "node", "-e", "import('koubei-landing-client').then((m) => console.log(typeof m.koubeiVerifier))"); err != nil || strings.TrimSpace(out) != "function" {
		t.Errorf("importing the package: got %q, %v", out, err)
	}
}

// TestLicenses: each file that an ISV copies into its own program names Apache-2.0.
func TestLicenses(t *testing.T) {
	license, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../koubeiauth/LICENSE", "node/LICENSE", "python/LICENSE"} {
		if text, err := os.ReadFile(file); err != nil || !bytes.Equal(text, license) {
			t.Errorf("%s is not the repository's LICENSE: %v", file, err)
		}
	}
	for _, file := range []string{"node/package.json", "node/koubei.mjs", "python/pyproject.toml", "python/koubei.py", "java/KoubeiVerifier.java", "php/koubei.php", "browser/koubei.js", "../koubeiauth/README.md"} {
		if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte("Apache-2.0")) {
			t.Errorf("%s does not say Apache-2.0: %v", file, err)
		}
	}
}

// The same Go back end without a proxy: it sends the cookies to the service.
func TestAskingTheService(t *testing.T) {
	w := testworld.New(t)
	program, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	address := start(t, ".", nil, program, "--internal", w.Internal, "--listen", "127.0.0.1:0")
	provider, sales := w.Browser(), w.Browser()
	provider.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	sales.Land(w.Landing(w.Koubei.Issue(testworld.Sales)))
	other := testworld.Provider
	other.PartnerID = "2088000000000002"
	provider.Land(w.Landing(w.Koubei.Issue(other)))
	forged := http.Header{"X-Koubei-Operator-Id": {testworld.Provider.OperatorID}, "X-Koubei-Select-Partner": {testworld.Provider.PartnerID}}
	for _, tt := range []struct {
		name   string
		b      *testworld.Browser
		path   string
		status int
	}{
		{"signed in", provider, "/whoami", 200},
		{"not signed in", nil, "/whoami", 401},
		{"one of its partners", provider, "/merchants/" + testworld.Provider.PartnerID, 200},
		{"another of its partners", provider, "/merchants/" + other.PartnerID, 200},
		{"a stranger's partner", provider, "/merchants/2088000000000003", 403},
		{"another type", sales, "/merchants/" + testworld.Provider.PartnerID, 403},
		{"that type elsewhere", sales, "/whoami", 200},
	} {
		header := forged.Clone()
		want := verdict{status: tt.status}
		if tt.b != nil {
			header.Set("Cookie", "koubei_session="+tt.b.Cookie(w.Public, "koubei_session"))
		}
		if tt.status == http.StatusOK && tt.b == provider {
			want.operator = testworld.Provider.OperatorID
		} else if tt.status == http.StatusOK {
			want.operator = testworld.Sales.OperatorID
		}
		if got := ask(t, address+tt.path, header); got != want {
			t.Errorf("%s: got %v, want %v", tt.name, got, want)
		}
	}
	w.Redis.Kill()
	header := http.Header{"Cookie": {"koubei_session=" + provider.Cookie(w.Public, "koubei_session")}}
	if got := ask(t, address+"/whoami", header); got.status != http.StatusServiceUnavailable {
		t.Errorf("Redis away: got %v, want 503", got)
	}
}
