package bench

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/session"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

var (
	roundsFlag  = flag.Int("rounds", 1, "rounds; the tables have their medians")
	duration    = flag.Duration("duration", 50*time.Millisecond, "how long each load is driven in each round")
	page        = flag.String("page", "", "renew the tables of this page, and the charts beside it; default: print the tables")
	oauth2proxy = flag.String("oauth2-proxy", "", "oauth2-proxy's program; \"build\" builds it; default: leave it out")
	server      string // the service's program
)

func TestMain(m *testing.M) {
	if mode := os.Getenv("BENCH_SERVE"); mode != "" {
		serve(mode, os.Args[1:])
	}
	flag.Parse()
	dir := must(os.MkdirTemp("", "bench"))
	server = filepath.Join(dir, "server")
	run("..", "go build -o "+server+" ./cmd/server")
	code := m.Run()
	check(os.RemoveAll(dir))
	os.Exit(code)
}

// run runs a command whose words have no spaces.
func run(dir, command string) {
	words := strings.Fields(command)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%s: %v\n%s", command, err, out))
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

const callback = "/koubei/callback"

// navigation is what a browser sends when it navigates.
var navigation = []string{"User-Agent: Mozilla/5.0", "Accept: text/html,*/*;q=0.8", "Sec-Fetch-Mode: navigate"}

// bench is one Redis, one gateway and one session, on which services are measured.
type bench struct {
	t       *testing.T
	dir     string
	redis   *testworld.Redis
	appID   string
	env     []string // of every service
	codes   atomic.Int64
	key     string // of the session in Redis
	cookie  string // the session's, as a header line
	arrival string // the name of an arrival cookie
}

// service is one running replica.
type service struct {
	pid              int
	public, internal string
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), redis: testworld.StartRedis(t, "--save", "")}
	sim := must(koubeisim.New(koubeisim.Options{}))
	gateway := httptest.NewServer(replay(sim.Gateway()))
	t.Cleanup(gateway.Close)
	b.appID = sim.AppID()
	b.env = []string{
		"ALIPAY_APP_ID=" + b.appID, "ALIPAY_APP_PRIVATE_KEY=" + sim.AppPrivateKey(), "ALIPAY_PUBLIC_KEY=" + sim.AlipayPublicKey(),
		"ALIPAY_GATEWAY_URL=" + gateway.URL + "/gateway.do", "REDIS_URL=" + b.redis.URL(), "CALLBACK_PATH=" + callback,
		"CALLBACK_RATE=0", // all landings come from one address
	}
	b.land(sim.Issue(testworld.ProviderStaff))
	return b
}

// start starts a program that ends with the test, and returns its process id once it listens on addr. It gets env and no
// other variables.
func (b *bench) start(addr, dir string, env []string, program string, args ...string) int {
	output := must(os.CreateTemp(b.dir, "output"))
	defer output.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(env, "PATH="+os.Getenv("PATH"), "HOME="+b.dir), output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(cmd.Start())
	b.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // a killed master of nginx would leave its workers
		_ = cmd.Wait()                          // reports the signal
	})
	testworld.Eventually(b.t, 15*time.Second, program+" listens, see "+output.Name(), func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	return cmd.Process.Pid
}

func (b *bench) free() string { return fmt.Sprintf("127.0.0.1:%d", testworld.StablePort(b.t)) }

// service starts a replica with the default settings and these.
func (b *bench) service(settings ...string) *service {
	public, internal := b.free(), b.free()
	env := append(append([]string{"PUBLIC_LISTEN=" + public, "INTERNAL_LISTEN=" + internal, "PUBLIC_URL=http://" + public}, b.env...), settings...)
	return &service{b.start(internal, b.dir, env, server), public, internal}
}

// limit starts one of serve's modes.
func (b *bench) limit(name, mode string, args ...string) *target {
	addr := b.free()
	pid := b.start(addr, b.dir, []string{"BENCH_SERVE=" + mode}, must(os.Executable()), append([]string{addr}, args...)...)
	return &target{name, pid, addr, 200, get(addr, "/", b.cookie)}
}

func (b *bench) link(code string) string {
	return callback + "?app_id=" + b.appID + "&scope=auth_base&source=koubei&auth_type=pay_member&auth_code=" + code
}

// land gets the session that all checks use, as a browser does: it arrives without cookies, then with the arrival cookie.
func (b *bench) land(code string) {
	at := "http://" + b.service().public + b.link(code)
	browser := testworld.NewBrowser(b.t, &testworld.Log{})
	browser.Land(at)
	token := browser.Cookie(at, "koubei_session")
	b.cookie, b.key = "Cookie: koubei_session="+token, "koubei:"+b.appID+":session:"+session.Token(token).Hash()
	for _, cookie := range browser.Client.Jar.Cookies(must(url.Parse(at))) {
		if strings.Contains(cookie.Name, "_arrival_") {
			b.arrival = cookie.Name
		}
	}
}

// oauth2Proxy starts oauth2-proxy with its default settings and a session in Redis, and returns its check.
func (b *bench) oauth2Proxy() *target {
	program := *oauth2proxy
	if program == "build" {
		program = filepath.Join(b.dir, "oauth2-proxy")
		const module = "github.com/oauth2-proxy/oauth2-proxy/v7"
		run(b.dir, "go mod init bench")
		run(b.dir, "go get "+module+"@v7.15.6")
		run(b.dir, "go build -o "+program+" "+module)
	}
	var issuer http.Handler
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { issuer.ServeHTTP(w, r) }))
	b.t.Cleanup(idp.Close)
	issuer = provider(idp.URL)
	addr := b.free()
	pid := b.start(addr, b.dir, nil, program, "--http-address="+addr, "--provider=oidc", "--oidc-issuer-url="+idp.URL,
		"--client-id=bench", "--client-secret=bench", "--cookie-secret=0123456789abcdef0123456789abcdef", "--cookie-secure=false",
		"--email-domain=*", "--redirect-url=http://"+addr+"/oauth2/callback", "--upstream=static://202",
		"--session-store-type=redis", "--redis-connection-url="+b.redis.URL())
	browser := testworld.NewBrowser(b.t, &testworld.Log{})
	login := must(browser.Get("http://" + addr + "/oauth2/start").Location())
	query := url.Values{"code": {"bench"}, "state": {login.Query().Get("state")}}
	browser.Get("http://" + addr + "/oauth2/callback?" + query.Encode())
	cookie := "Cookie: _oauth2_proxy=" + browser.Cookie("http://"+addr, "_oauth2_proxy")
	return &target{"oauth2-proxy", pid, addr, http.StatusAccepted, get(addr, "/oauth2/auth", cookie)}
}

// stat returns a process's CPU time and resident memory, and nothing of process 0.
func stat(pid int) (cpu time.Duration, rss int64) {
	if pid == 0 {
		return 0, 0
	}
	raw := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))))
	// The second field is the name in brackets, which may contain spaces. utime, stime and rss are fields 14, 15 and 24; a tick is 10 ms.
	fields := strings.Fields(raw[strings.LastIndexByte(raw, ')')+1:])
	number := func(i int) int64 { return must(strconv.ParseInt(fields[i-3], 10, 64)) }
	return time.Duration(number(14)+number(15)) * 10 * time.Millisecond, number(24) * int64(os.Getpagesize())
}
