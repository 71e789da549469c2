package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
	"koubei-landing/internal/session"
)

// Rig is everything that runs: one Redis, one gateway, the limits, and a service for each setting that is measured, all
// with the same session.
type Rig struct {
	Redis      *Process
	Plain      *Service // as it is by default
	Cached     *Service // SESSION_CACHE_TTL
	Asserted   *Service // ASSERTION_KEYS_FILE
	Empty, Get *Process // the limits
	Heads      *Process
	redisAddr  string
	emptyAt    string
	headsAt    string
	getAt      string
	gatewayAt  string
	env        []string // of every service
	prefix     string   // of its keys
	cookie     string   // the session's, as a header line
	arrival    string   // the browser's
	dir        string
	programs   map[string]string
	rdb        redis.UniversalClient
	closers    []io.Closer
	landings   atomic.Int64
	firstCode  string
}

// Service is one running replica.
type Service struct {
	*Process
	Public, Internal string
}

const (
	callback   = "/koubei/callback"
	adminToken = "token-of-the-benchmarks-with-32-characters-or-more"
)

// NewRig builds the programs and starts them. Close ends them.
func NewRig(ctx context.Context) (*Rig, error) {
	r := &Rig{programs: map[string]string{}}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close ends what the rig has started, and nothing else.
func (r *Rig) Close() error {
	closeAll(r.closers)
	return os.RemoveAll(r.dir)
}

func (r *Rig) start(ctx context.Context) error {
	var err error
	if r.dir, err = os.MkdirTemp("", "koubei-bench-"); err != nil {
		return err
	}
	for _, pkg := range []string{"cmd/server", "cmd/koubeisim", "bench/baseline"} {
		if r.programs[filepath.Base(pkg)], err = build(ctx, r.dir, pkg); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context) error{r.startRedis, r.startGateway, r.startServices, r.land, r.startLimits} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) run(name string, env []string, program string, args ...string) (*Process, error) {
	p, err := start(r.dir, name, env, program, args...)
	if err == nil {
		r.closers = append(r.closers, p)
	}
	return p, err
}

func (r *Rig) redisURL() string { return "redis://" + r.redisAddr + "/0" }

func (r *Rig) startRedis(ctx context.Context) error {
	var err error
	if r.redisAddr, err = freeAddr(); err != nil {
		return err
	}
	_, port, _ := strings.Cut(r.redisAddr, ":")
	if r.Redis, err = r.run("redis", nil, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", r.dir); err != nil {
		return err
	}
	r.rdb, err = app.OpenRedis(app.Redis{URL: r.redisURL(), Mode: app.Single, Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	r.closers = append(r.closers, r.rdb)
	return within(ctx, r.Redis, func(ctx context.Context) error { return r.rdb.Ping(ctx).Err() })
}

// startGateway starts koubeisim, which makes the keys, and before it a gateway that repeats its first answer: an
// exchange then costs the machine what the service does, and next to nothing else.
func (r *Rig) startGateway(ctx context.Context) error {
	koubei, err := freeAddr()
	if err != nil {
		return err
	}
	if r.gatewayAt, err = freeAddr(); err != nil {
		return err
	}
	file := filepath.Join(r.dir, "isv.env")
	sim, err := r.run("koubeisim", nil, r.programs["koubeisim"], "--listen", koubei, "--write-env", file)
	if err != nil {
		return err
	}
	if err := within(ctx, sim, func(ctx context.Context) error { return status(ctx, "http://"+koubei+"/healthz") }); err != nil {
		return err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "ALIPAY_GATEWAY_URL":
			if _, err := r.run("gateway", nil, r.programs["baseline"], "replay", r.gatewayAt, value); err != nil {
				return err
			}
			continue
		case "ALIPAY_APP_ID":
			r.prefix = "koubei:" + value + ":"
		}
		r.env = append(r.env, name+"="+value)
	}
	r.firstCode, err = issue(ctx, koubei)
	return err
}

// issue gets a code that koubeisim takes, for the one exchange that is real.
func issue(ctx context.Context, koubei string) (string, error) {
	body := []byte(`{"operator_id":"2088102150477652","operator_type":"PROVIDER","partner_id":"2088102150477653","shop_ids":"2015060900077000000000152345"}`)
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+koubei+"/api/codes", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(ask)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var issued struct{ Code string }
	if err := json.NewDecoder(resp.Body).Decode(&issued); err != nil || issued.Code == "" {
		return "", fmt.Errorf("koubeisim issued no code: %w", errors.Join(err, errors.New(resp.Status)))
	}
	return issued.Code, nil
}

func (r *Rig) startServices(ctx context.Context) error {
	keys, err := r.assertionKey()
	if err != nil {
		return err
	}
	for _, s := range []struct {
		at   **Service
		name string
		env  []string
	}{
		{&r.Plain, "plain", nil},
		{&r.Cached, "cached", []string{"SESSION_CACHE_TTL=5m"}},
		{&r.Asserted, "asserted", []string{"ASSERTION_KEYS_FILE=" + keys}},
	} {
		if *s.at, err = r.NewService(ctx, s.name, s.env...); err != nil {
			return err
		}
	}
	return nil
}

// NewService starts one more replica, with logs off and no limit on landings. GOGC and GOMEMLIMIT are passed on to it, but
// not to the limits.
func (r *Rig) NewService(ctx context.Context, name string, env ...string) (*Service, error) {
	public, err := freeAddr()
	if err != nil {
		return nil, err
	}
	internal, err := freeAddr()
	if err != nil {
		return nil, err
	}
	env = append(append([]string{
		"PUBLIC_LISTEN=" + public, "INTERNAL_LISTEN=" + internal, "PUBLIC_URL=http://" + public, "CALLBACK_PATH=" + callback,
		"REDIS_URL=" + r.redisURL(), "ALIPAY_GATEWAY_URL=http://" + r.gatewayAt + "/gateway.do",
		"LOG_LEVEL=error", "CALLBACK_RATE=0", "ADMIN_TOKEN=" + adminToken,
	}, r.env...), env...)
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	p, err := r.run(name, env, r.programs["server"])
	if err != nil {
		return nil, err
	}
	ready := func(ctx context.Context) error { return status(ctx, "http://"+internal+"/readyz") }
	return &Service{p, public, internal}, within(ctx, p, ready)
}

func (r *Rig) assertionKey() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	file := filepath.Join(r.dir, "assertion.pem")
	return file, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// land arrives as a browser does: it is sent round once for its arrival cookie, then gets its session.
func (r *Rig) land(ctx context.Context) error {
	link := &url.URL{Scheme: "http", Host: r.Plain.Public, Path: callback, RawQuery: "auth_code=" + r.firstCode}
	hopped, err := navigate(ctx, link.String(), "")
	if err != nil {
		return err
	}
	r.arrival = hopped.cookie
	landed, err := navigate(ctx, link.ResolveReference(hopped.location).String(), r.arrival)
	if err != nil {
		return err
	}
	for pair := range strings.SplitSeq(landed.cookie, "; ") {
		if name, _, _ := strings.Cut(pair, "="); name == "koubei_session" {
			r.cookie = pair
			return nil
		}
	}
	return r.Plain.failed(fmt.Errorf("no session came of the landing: sent to %s", landed.location))
}

// startLimits starts the limits; the one that asks Redis asks for the same session as the service does.
func (r *Rig) startLimits(ctx context.Context) error {
	_, token, _ := strings.Cut(r.cookie, "=")
	key := r.prefix + "session:" + session.Token(token).Hash()
	var err error
	if r.Empty, r.emptyAt, err = r.limit(ctx, "empty"); err != nil {
		return err
	}
	if r.Heads, r.headsAt, err = r.limit(ctx, "heads"); err != nil {
		return err
	}
	r.Get, r.getAt, err = r.limit(ctx, "get", r.redisURL(), key)
	return err
}

func (r *Rig) limit(ctx context.Context, mode string, args ...string) (*Process, string, error) {
	at, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	p, err := r.run(mode, nil, r.programs["baseline"], append([]string{mode, at}, args...)...)
	if err != nil {
		return nil, "", err
	}
	return p, at, within(ctx, p, func(ctx context.Context) error { return status(ctx, "http://"+at+"/") })
}

// status fails unless a GET is answered with 200.
func status(ctx context.Context, address string) error {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(ask)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, resp.Status)
	}
	return nil
}

// moved is where a navigation was sent on to, and the cookies that it was given.
type moved struct {
	location *url.URL
	cookie   string // as a browser sends them back
}

// browser is what a browser says when it navigates.
var browser = []string{"User-Agent: Mozilla/5.0", "Accept: text/html,*/*;q=0.8", "Sec-Fetch-Mode: navigate"}

func navigate(ctx context.Context, address, cookie string) (moved, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return moved{}, err
	}
	for _, line := range browser {
		name, value, _ := strings.Cut(line, ": ")
		ask.Header.Set(name, value)
	}
	if cookie != "" {
		ask.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultTransport.RoundTrip(ask)
	if err != nil {
		return moved{}, err
	}
	defer resp.Body.Close()
	var m moved
	if m.location, err = resp.Location(); err != nil {
		return moved{}, fmt.Errorf("%s answered %s: %w", ask.URL.Path, resp.Status, err)
	}
	var pairs []string
	for _, c := range resp.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	m.cookie = strings.Join(pairs, "; ")
	return m, nil
}
