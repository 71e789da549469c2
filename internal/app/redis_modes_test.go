package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// startSingle starts one Redis.
func startSingle(t *testing.T) *deployment {
	r := testworld.StartRedis(t)
	return single(r, r.URL())
}

// startSingleWithPassword is a single Redis with a password: a new connection has to wait if Redis is frozen.
func startSingleWithPassword(t *testing.T) *deployment {
	r := startSecret(t)
	return single(r, "redis://app:hush@"+r.Addr()+"/0")
}

// worldOn starts a world whose service uses a deployment of Redis.
func worldOn(t *testing.T, d *deployment, changes ...func(*app.Config)) *testworld.World {
	t.Helper()
	return testworld.New(t, append([]func(*app.Config){d.on}, changes...)...)
}

// TestRedisModes checks that the service does the same in every mode of Redis, with the rights that docs/redis.md gives to
// its user, and while Redis is frozen or a master dies.
func TestRedisModes(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *deployment{
		"single": startSingle, "single with a password": startSingleWithPassword,
		"sentinel": func(t *testing.T) *deployment { return startSentinel(t, 2*time.Second) },
		"cluster":  startCluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			several := len(d.nodes) > 1
			t.Run("operations", func(t *testing.T) { testOperations(t, d, 0) })
			if several {
				t.Run("operations with a replica waited for", func(t *testing.T) { testOperations(t, d, 1) })
			}
			if name != "single with a password" {
				t.Run("user of the docs", func(t *testing.T) { testUserOfTheDocs(t, *d) })
			}
			t.Run("frozen", func(t *testing.T) { testFrozen(t, d) })
			if several {
				for replicas := range 2 {
					t.Run(fmt.Sprintf("failover, wait for %d", replicas), func(t *testing.T) { testFailover(t, d, replicas) })
				}
			}
		})
	}
}

var (
	secondMerchant = koubeisim.Person{OperatorID: testworld.Provider.OperatorID, OperatorType: "PROVIDER", PartnerID: "2088102150477701"}
	formField      = regexp.MustCompile(`name="(\w+)" value="([^"]*)"`)
)

func testOperations(t *testing.T, d *deployment, replicas int, changes ...func(*app.Config)) {
	w := worldOn(t, d, append(changes, func(c *app.Config) { c.Redis.Replicas = replicas })...)
	b := w.Browser()
	first := w.Landing(w.Koubei.Issue(testworld.Provider))
	var token string
	for _, op := range []struct {
		name string
		do   func(t *testing.T) error
	}{
		{"landing", func(t *testing.T) error {
			a := b.Land(first)
			token = b.Cookie(w.Public, "koubei_session")
			return landedFor(b, w, a, testworld.Provider)
		}},
		{"replay", func(t *testing.T) error {
			a := b.Land(first)
			if got := b.Cookie(w.Public, "koubei_session"); got != token {
				return errors.New("another token")
			}
			return landedFor(b, w, a, testworld.Provider)
		}},
		{"a stranger's replay", func(t *testing.T) error { return want(w.Browser().Land(first), http.StatusGone) }},
		{"another partner", func(t *testing.T) error {
			a := b.Land(w.Landing(w.Koubei.Issue(secondMerchant)))
			return errors.Join(landedFor(b, w, a, secondMerchant), landedFor(b, w, a, testworld.Provider))
		}},
		{"verify", func(t *testing.T) error { return want(b.Get(w.Internal+"/auth/verify"), http.StatusOK) }},
		{"switch", func(t *testing.T) error {
			page := b.Land(w.Landing(w.Koubei.Issue(testworld.Merchant)))
			form := url.Values{"decision": {"yes"}}
			for _, m := range formField.FindAllStringSubmatch(page.Body, -1) {
				form.Set(m[1], m[2])
			}
			form.Set("decision", "yes")
			a := b.Post(w.Public+w.Config.Web.CallbackPath+"/switch", form)
			return errors.Join(want(page, http.StatusOK), landedFor(b, w, a, testworld.Merchant))
		}},
		{"readiness", func(t *testing.T) error {
			awaitCheck(t, w, "redis", "ok", http.StatusOK)
			awaitCheck(t, w, "redis_writes", "ok", http.StatusOK)
			// One full node of several is enough: the next session may belong to it.
			master := d.masters()[0].Client
			err := master.ConfigSet(t.Context(), "maxmemory", "1").Err()
			awaitCheck(t, w, "redis_writes", "OOM ", http.StatusOK)
			err = errors.Join(err, master.ConfigSet(t.Context(), "maxmemory", "0").Err())
			awaitCheck(t, w, "redis_writes", "ok", http.StatusOK)
			return err
		}},
		{"list", func(t *testing.T) error {
			found, err := app.Sessions(t.Context(), w.Config, testworld.Merchant.OperatorID)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d sessions, want 1", len(found))
			}
			return err
		}},
		{"sign-out", func(t *testing.T) error {
			a := b.Post(w.Public+"/logout", nil)
			after, _ := b.Session(w.Service, "")
			return errors.Join(want(a, http.StatusSeeOther), want(after, http.StatusUnauthorized))
		}},
		{"revoke", func(t *testing.T) error {
			b := w.Browser() // the first browser remembers other operators and would be asked
			a := b.Land(w.Landing(w.Koubei.Issue(testworld.Sales)))
			err := landedFor(b, w, a, testworld.Sales)
			n, revokeErr := app.Revoke(t.Context(), w.Config, testworld.Sales.OperatorID)
			if n != 1 {
				err = errors.Join(err, fmt.Errorf("revoked %d sessions, want 1", n))
			}
			after, _ := b.Session(w.Service, "")
			return errors.Join(err, revokeErr, want(after, http.StatusUnauthorized))
		}},
	} {
		t.Run(op.name, func(t *testing.T) {
			if err := op.do(t); err != nil {
				t.Error(err)
			}
		})
	}
}

func want(a testworld.Answer, status int) error {
	if a.StatusCode != status {
		return fmt.Errorf("%s %s: got %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.Problem())
	}
	return nil
}

// landedFor checks the redirect, and the operator in the session.
func landedFor(b *testworld.Browser, w *testworld.World, a testworld.Answer, p koubeisim.Person) error {
	answer, id := b.Session(w.Service, "?partner_id="+p.PartnerID)
	if err := errors.Join(want(a, http.StatusSeeOther), want(answer, http.StatusOK)); err != nil {
		return err
	}
	if id.OperatorID != p.OperatorID || id.OperatorType != p.OperatorType || (id.PartnerID == nil) != (p.PartnerID == "") || id.PartnerID != nil && *id.PartnerID != p.PartnerID {
		return fmt.Errorf("the session speaks of %+v, want %+v", id, p)
	}
	return nil
}

// little is how much longer than REDIS_TIMEOUT a response may take on a machine that is busy with other tests. It is less than
// each REDIS_TIMEOUT to which it is added, so a response that takes the timeout twice is too late.
const little = 1500 * time.Millisecond

func testFrozen(t *testing.T, d *deployment) {
	w := worldOn(t, d)
	b := w.Browser()
	if err := landedFor(b, w, b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), testworld.Provider); err != nil {
		t.Fatal(err)
	}
	leaving := w.Browser() // a sign-out that got 503 may take effect when Redis continues
	if err := landedFor(leaving, w, leaving.Land(w.Landing(w.Koubei.Issue(testworld.Sales))), testworld.Sales); err != nil {
		t.Fatal(err)
	}
	requests := frozenRequests(t, w, b, leaving)
	for _, n := range d.nodes {
		n.Freeze()
	}
	slowest := askAll(t, requests)
	for _, n := range d.nodes {
		n.Thaw()
	}
	t.Logf("%s, frozen: %d requests at once, each answered 503 within %s", d.mode, len(requests), slowest.Round(time.Millisecond))
	if limit := w.Config.Redis.Timeout + little; slowest > limit {
		t.Errorf("the slowest answer took %s, want %s at most", slowest, limit)
	}
	for _, call := range w.Koubei.Calls()[2:] {
		t.Errorf("a code was sent while Redis was frozen: %s", call.Outcome)
	}
	testworld.Eventually(t, 30*time.Second, "the session is there after the thaw", func() error {
		a, id := b.Session(w.Service, "")
		if id.OperatorID != testworld.Provider.OperatorID {
			return fmt.Errorf("/session: %d, operator %q", a.StatusCode, id.OperatorID)
		}
		return nil
	})
	testworld.Eventually(t, 30*time.Second, "landings go on after the thaw", func() error {
		stranger := w.Browser()
		return landedFor(stranger, w, stranger.Land(w.Landing(w.Koubei.Issue(testworld.Merchant))), testworld.Merchant)
	})
}

// errand is a request and its browser.
type errand struct {
	*http.Request
	by *testworld.Browser
}

// frozenRequests returns requests of each kind that needs Redis, for signed-in browsers. Call it before the freeze.
func frozenRequests(t *testing.T, w *testworld.World, b, leaving *testworld.Browser) []errand {
	t.Helper()
	var requests []errand
	add := func(by *testworld.Browser, method, address string) {
		r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", w.Public)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		requests = append(requests, errand{r, by})
	}
	for range 8 {
		add(b, http.MethodGet, w.Public+"/session")
		add(b, http.MethodGet, w.Internal+"/auth/verify")
		add(b, http.MethodGet, w.Landing(w.Koubei.Issue(testworld.Provider)))
	}
	add(leaving, http.MethodPost, w.Public+"/logout")
	return requests
}

// askAll sends all requests concurrently and returns how long the slowest took. Each response must be 503 and, for a
// browser, have Retry-After.
func askAll(t *testing.T, requests []errand) time.Duration {
	var slowest atomic.Int64
	var all sync.WaitGroup
	for _, r := range requests {
		all.Go(func() {
			began := time.Now()
			a, err := r.by.Try(r.Request)
			took := int64(time.Since(began))
			for old := slowest.Load(); took > old && !slowest.CompareAndSwap(old, took); old = slowest.Load() {
			}
			if err != nil {
				t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
				return
			}
			if err := want(a, http.StatusServiceUnavailable); err != nil {
				t.Error(err)
			}
			if a.Header.Get("Retry-After") == "" {
				t.Errorf("%s %s: no Retry-After", r.Method, r.URL.Path)
			}
		})
	}
	all.Wait()
	return time.Duration(slowest.Load())
}

// TestNoReplica: a write that needs a replica fails if there is none, so no code is sent.
func TestNoReplica(t *testing.T) {
	t.Parallel()
	w := worldOn(t, startSingle(t), func(c *app.Config) { c.Redis.Replicas = 1 })
	code := w.Koubei.Issue(testworld.Provider)
	b := w.Browser()
	b.Header.Set("Accept", "application/json")
	a := b.Land(w.Landing(code))
	if err := want(a, http.StatusServiceUnavailable); err != nil || a.Problem() != "store_unavailable" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%v, code %q, Retry-After %q; want 503 store_unavailable", err, a.Problem(), a.Header.Get("Retry-After"))
	}
	if got := w.Koubei.CallsFor(code); got != 0 {
		t.Errorf("the code was sent %d times, want 0", got)
	}
}

// recovery is the maximum time until users can land again after a failover: detection, election, the client's update and, on a
// busy machine, several failed elections.
const recovery = time.Minute

// testFailover kills a master while users land, and measures the effects.
func testFailover(t *testing.T, d *deployment, replicas int) {
	w := worldOn(t, d, func(c *app.Config) { c.Redis.Replicas = replicas })
	landers := startUsers(t, w)
	landers.await("landings before", func() bool { return landers.landed() >= 40 })
	master := d.masters()[0]
	landers.kill(master)
	restart := sync.OnceFunc(master.Start)
	if replicas > 0 && d.mode == app.Cluster {
		// The shard has no second replica: the dead node must be restarted before a write can be acknowledged again.
		landers.await("a failover", func() bool { return len(d.masters()) == 3 })
		restart()
	}
	landers.await("calm after the failover", landers.calm)
	landers.stop()
	if landers.last > recovery {
		t.Errorf("browsers were refused for %s, want %s at most", landers.last, recovery)
	}
	restart()
	d.awaitHealthy(t)
	lost := landers.lost()
	t.Logf("%s, waiting for %d replicas: %s; %d of %d sessions lost", d.mode, replicas, landers, lost, landers.landed())
	if landers.early > 0 {
		t.Errorf("refused %d times before the kill, want 0", landers.early)
	}
	if replicas > 0 && lost > 0 {
		t.Errorf("%d sessions lost although a replica had each, want 0", lost)
	}
}

// users land in four concurrent loops.
type users struct {
	t    *testing.T
	w    *testworld.World
	end  context.CancelFunc
	rows sync.WaitGroup

	mu       sync.Mutex
	browsers []*testworld.Browser
	killed   time.Time
	early    int           // 503 responses before the kill
	first    time.Duration // from the kill to the first landing that started after it
	during   int           // landings between the kill and the last refusal
	since    int           // landings since the last refusal
	refused  int           // 503 responses after the kill
	last     time.Duration // from the kill to the last of them
	spent    int           // codes that were exchanged and led to no session
}

func startUsers(t *testing.T, w *testworld.World) *users {
	ctx, end := context.WithCancel(t.Context())
	c := &users{t: t, w: w, end: end}
	for range 4 {
		c.rows.Go(func() {
			for pace := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-pace.C {
				c.person(ctx)
			}
		})
	}
	t.Cleanup(c.stop)
	return c
}

func (c *users) stop() {
	c.end()
	c.rows.Wait()
}

// person lands and retries until the context ends.
func (c *users) person(ctx context.Context) {
	b := c.w.Browser()
	link := c.w.Landing(c.w.Koubei.Issue(testworld.Provider))
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for began := time.Now(); ctx.Err() == nil; <-again.C {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
		if err != nil {
			c.t.Error(err)
			return
		}
		a, err := b.Try(r)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.t.Error(err)
			return
		case a.StatusCode == http.StatusServiceUnavailable:
			c.refuse()
		case a.StatusCode == http.StatusSeeOther && strings.Contains(a.Header.Get("Location"), "arrived="):
			link += "&arrived=1" // the time in the hop's own parameter would become too old during the retries
		case a.StatusCode == http.StatusSeeOther:
			c.land(b, began)
			return
		default:
			c.mu.Lock()
			c.spent++
			c.mu.Unlock()
			return
		}
	}
}

func (c *users) refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed.IsZero() {
		c.early++
		return
	}
	c.refused, c.last = c.refused+1, time.Since(c.killed)
	c.during, c.since = c.during+c.since, 0
}

func (c *users) land(b *testworld.Browser, began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.browsers = append(c.browsers, b)
	if c.killed.IsZero() || began.Before(c.killed) {
		return
	}
	c.since++
	if c.first == 0 {
		c.first = time.Since(c.killed)
	}
}

func (c *users) kill(master *testworld.Redis) {
	c.mu.Lock()
	c.killed = time.Now()
	c.mu.Unlock()
	master.Kill()
}

func (c *users) landed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.browsers)
}

// calm reports whether landings have succeeded for long enough that the failover is over.
func (c *users) calm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since >= 40 && time.Since(c.killed) > c.last+3*time.Second
}

func (c *users) await(what string, reached func() bool) {
	c.t.Helper()
	testworld.Eventually(c.t, 2*recovery, what, func() error {
		if !reached() {
			return errors.New(c.String())
		}
		return nil
	})
}

// lost counts the browsers whose session no longer exists.
func (c *users) lost() int {
	lost := 0
	for _, b := range c.browsers {
		var id testworld.Identity
		testworld.Eventually(c.t, recovery, "an answer about a session", func() error {
			var a testworld.Answer
			if a, id = b.Session(c.w.Service, ""); a.StatusCode == http.StatusServiceUnavailable {
				return want(a, http.StatusOK)
			}
			return nil
		})
		if id.OperatorID == "" {
			lost++
		}
	}
	return lost
}

func (c *users) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("first landing %.1f s after the kill; %d landings while some were refused, %d refusals, the last after %.1f s; %d codes spent for nothing",
		c.first.Seconds(), c.during, c.refused, c.last.Seconds(), c.spent)
}

// TestLaggingReplica shows what asynchronous replication can lose, and that waiting for a replica prevents it: the replica
// is cut off from its master, users land, and the master is killed.
func TestLaggingReplica(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ replicas, landed int }{{0, 10}, {1, 0}} {
		t.Run(fmt.Sprintf("wait for %d", row.replicas), func(t *testing.T) {
			t.Parallel()
			master := testworld.StartRedis(t)
			link := relayTo(t, master.Addr())
			replica := startReplica(t, link.addr)
			w := worldOn(t, single(master, master.URL()), func(c *app.Config) {
				c.Redis.Replicas, c.Redis.Timeout = row.replicas, 500*time.Millisecond // each landing waits that long for the replica
			})
			var before *testworld.Browser
			testworld.Eventually(t, 30*time.Second, "the replica confirms a landing", func() error {
				before = w.Browser()
				return landedFor(before, w, before.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), testworld.Provider)
			})
			awaitReplicated(t, master)
			link.hold()
			var landed []*testworld.Browser
			for range 10 {
				b := w.Browser()
				if a := b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode == http.StatusSeeOther {
					landed = append(landed, b)
				}
			}
			master.Kill()
			link.cut()
			if err := replica.Client.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
				t.Fatal(err)
			}
			next := w.Replica(func(c *app.Config) { c.Redis.URL, c.Redis.Replicas = replica.URL(), 0 })
			lost := 0
			for _, b := range landed {
				if a, _ := b.Session(next, ""); a.StatusCode == http.StatusUnauthorized {
					lost++
				}
			}
			t.Logf("a replica that lags, waiting for %d: %d of 10 people who saw that they landed, %d of them lost", row.replicas, len(landed), lost)
			if len(landed) != row.landed || lost != row.landed {
				t.Errorf("%d landed, %d lost; want %d of both", len(landed), lost, row.landed)
			}
			if a, _ := before.Session(next, ""); a.StatusCode != http.StatusOK {
				t.Errorf("a session from before: %d, want 200", a.StatusCode)
			}
		})
	}
}

func awaitReplicated(t *testing.T, master *testworld.Redis) {
	t.Helper()
	testworld.Eventually(t, 10*time.Second, "the replica has everything", func() error {
		info, err := master.Client.InfoMap(t.Context(), "replication").Result()
		if err != nil {
			return err
		}
		if i := info["Replication"]; !strings.Contains(i["slave0"], "state=online,offset="+i["master_repl_offset"]+",") {
			return fmt.Errorf("%s, the master is at %s", i["slave0"], i["master_repl_offset"])
		}
		return nil
	})
}

// relay is a proxy between replica and master that can stop forwarding.
type relay struct {
	addr string

	mu      sync.Mutex
	held    bool
	conns   []net.Conn
	resumed *sync.Cond
}

func relayTo(t *testing.T, target string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String()}
	r.resumed = sync.NewCond(&r.mu)
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
	})
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, near, far)
			r.mu.Unlock()
			go io.Copy(far, near)
			go r.forward(near, far)
		}
	}()
	return r
}

// forward forwards the master's data, until the test stops it.
func (r *relay) forward(replica, master net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := master.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		for r.held {
			r.resumed.Wait()
		}
		r.mu.Unlock()
		if _, err := replica.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (r *relay) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = true
}

// cut closes the connections. Data that were held are lost.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns, r.held = nil, false
	r.resumed.Broadcast()
}
