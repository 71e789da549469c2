package landing_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// world is a Redis, a koubeisim, and replicas of the landing without HTTP.
type world struct {
	t       *testing.T
	koubei  *koubeisim.Koubei
	gateway *url.URL
	redis   *testworld.Redis
	clock   *testworld.Clock
	log     *testworld.Log

	started, replaced atomic.Int64

	*replica
}

// replica is one Lander with its own connections.
type replica struct {
	*landing.Lander
	sessions *session.Manager
	store    *store.Store
	tap      *tap
	lease    time.Duration
}

// settings differ between replicas.
type settings struct {
	timeout     time.Duration // of an exchange
	exchange    time.Duration // of the gateway client, if different
	replicas    int           // of Redis
	redis       time.Duration // of a Redis command
	concurrency int
	confirm     bool
	limit       landing.Limit
	keys        [][]byte
	now         func() time.Time // the replica's clock
}

func newWorld(t *testing.T, changes ...func(*settings)) *world {
	t.Helper()
	w := &world{t: t, redis: testworld.StartRedis(t), clock: &testworld.Clock{}, log: &testworld.Log{}}
	w.koubei = testworld.NewKoubei(koubeisim.Options{Now: w.clock.Now})
	t.Cleanup(func() { w.log.Check(t, testworld.SecretsOf(w.koubei)...) })
	gateway, err := url.Parse(testworld.Serve(t, w.koubei.Gateway()))
	w.must(err)
	w.gateway = gateway
	t.Cleanup(func() { w.koubei.Release() })
	w.replica = w.open(changes...)
	return w
}

// open starts another replica.
func (w *world) open(changes ...func(*settings)) *replica {
	w.t.Helper()
	set := settings{
		redis:   2 * time.Second, // the machine may be busy with other tests
		timeout: 15 * time.Second, concurrency: 64, confirm: true, keys: [][]byte{sealKey('a')}, now: w.clock.Now,
		limit: landing.Limit{Take: func(string) (func(), bool) { return func() {}, true }},
	}
	for _, change := range changes {
		change(&set)
	}
	sealer, err := session.NewSealer(set.keys...)
	w.must(err)
	r := &replica{tap: &tap{}, lease: landing.Lease(set.timeout, set.redis)}
	client := redis.NewClient(&redis.Options{Addr: w.redis.Addr(), ContextTimeoutEnabled: true, PoolSize: 64})
	client.AddHook(r.tap)
	w.t.Cleanup(func() { client.Close() })
	r.store = store.New(store.Options{Redis: client, Prefix: "k:", Timeout: set.redis, Replicas: set.replicas})
	r.sessions = session.New(session.Options{
		Store: r.store, Sealer: sealer, Config: session.Config{Lifetime: 12 * time.Hour, Idle: 2 * time.Hour}, Now: set.now,
	})
	r.Lander = landing.New(landing.Options{
		AppID: w.koubei.AppID(), Gateway: w.client(set), Sessions: r.sessions, Store: r.store, Sealer: sealer,
		Config: landing.Config{Confirm: set.confirm}, Limit: set.limit, ExchangeTimeout: set.timeout, Concurrency: set.concurrency,
		OnStarted: func(operator.Type) { w.started.Add(1) }, OnReplaced: func() { w.replaced.Add(1) },
		Log: w.log.Logger(), Now: set.now,
	})
	return r
}

func (w *world) client(set settings) *alipay.Client {
	w.t.Helper()
	private, err := alipay.ParsePrivateKey(w.koubei.AppPrivateKey())
	w.must(err)
	public, err := alipay.ParsePublicKey(w.koubei.AlipayPublicKey())
	w.must(err)
	client, err := alipay.New(alipay.Config{
		AppID: w.koubei.AppID(), GatewayURL: w.gateway, PrivateKey: private, PublicKey: public,
		Timeout: cmp.Or(set.exchange, set.timeout), AttemptTimeout: set.timeout, MaxConns: 64, Now: set.now,
	})
	w.must(err)
	return client
}

func sealKey(b byte) []byte { return []byte(strings.Repeat(string(b), session.SealKeySize)) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Test accounts. second is provider with another partner.
var (
	provider = testworld.Provider
	merchant = testworld.Merchant
	second   = func() koubeisim.Person { p := provider; p.PartnerID = "2088102150477999"; return p }()
)

// arrival returns a request of a browser, identified by its arrival cookies, with a code.
func arrival(code string, browsers ...string) landing.Arrival {
	return landing.Arrival{Code: code, Browsers: browsers, Client: "192.0.2.1"}
}

// signedIn returns the same request with session cookies.
func signedIn(a landing.Arrival, tokens ...session.Token) landing.Arrival {
	a.Tokens = tokens
	return a
}

// land lands and checks the result.
func (w *world) land(a landing.Arrival, want landing.Result) landing.Outcome {
	w.t.Helper()
	out, err := w.Land(w.t.Context(), a)
	if err != nil || out.Result != want {
		w.t.Fatalf("got %q, %v; want %q", out.Result, err, want)
	}
	w.log.KeepOut(string(out.Token))
	return out
}

// refused lands and checks the error.
func (w *world) refused(a landing.Arrival, want error) {
	w.t.Helper()
	if out, err := w.Land(w.t.Context(), a); !errors.Is(err, want) || out.Token != "" {
		w.t.Errorf("got %q, %v; want %v", out.Result, err, want)
	}
}

// background lands in the background.
func (w *world) background(r *replica, a landing.Arrival) <-chan ended {
	done := make(chan ended, 1)
	go func() {
		out, err := r.Land(context.Background(), a)
		done <- ended{out, err}
	}()
	return done
}

type ended struct {
	landing.Outcome
	err error
}

func (w *world) awaitHeld(n int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	w.must(w.koubei.AwaitHeld(ctx, n))
}

// asking is a landing that has started a session and must ask, because another operator has signed in on the browser since.
// It is about to end its session.
type asking struct {
	*replica
	landing.Arrival
	done    <-chan ended
	proceed func()
}

// asking starts a landing on another replica, and returns when it is about to end its session.
func (w *world) asking() *asking {
	w.t.Helper()
	wrote, proceed := make(chan struct{}), make(chan struct{})
	l := &asking{
		replica: w.open(func(s *settings) { s.redis = 10 * time.Second }), // it waits for the test
		Arrival: arrival(w.koubei.Issue(provider), "one", "two"), proceed: sync.OnceFunc(func() { close(proceed) }),
	}
	w.t.Cleanup(l.proceed)
	w.koubei.Next(koubeisim.SpendThenHold)
	l.done = w.background(l.replica, l.Arrival)
	w.awaitHeld(1)
	w.land(arrival(w.koubei.Issue(merchant), "one"), landing.Landed)
	l.tap.before("eval:session", func() { close(wrote); <-proceed })
	w.koubei.Release()
	<-wrote
	return l
}

// record is the ledger's entry of a code, as another program would read it.
type record struct {
	State   string `json:"state"`
	Owner   string `json:"owner"`
	Verdict string `json:"verdict"`
}

func (w *world) key(code string) string {
	return w.store.Key("code", operator.HashCode(w.koubei.AppID(), code))
}

func (w *world) record(code string) record {
	w.t.Helper()
	raw, err := w.redis.Client.Get(w.t.Context(), w.key(code)).Result()
	if errors.Is(err, redis.Nil) {
		return record{}
	}
	w.must(err)
	var r record
	w.must(json.Unmarshal([]byte(raw), &r))
	return r
}

func (w *world) wantState(code, state string) {
	w.t.Helper()
	if got := w.record(code).State; got != state {
		w.t.Errorf("got the ledger at %q, want %q", got, state)
	}
}

func (w *world) wantLogged(message string) {
	w.t.Helper()
	if !strings.Contains(w.log.String(), message) {
		w.t.Errorf("the log has no %q", message)
	}
}

// wantLife checks how long the ledger keeps an entry: at most want, and not much less.
func (w *world) wantLife(code string, want time.Duration) {
	w.t.Helper()
	if got := w.redis.Client.PTTL(w.t.Context(), w.key(code)).Val(); got > want || got < want-10*time.Second {
		w.t.Errorf("got a life of %s, want %s", got, want)
	}
}

func (w *world) wantCalls(code string, want int) {
	w.t.Helper()
	if got := w.koubei.CallsFor(code); got != want {
		w.t.Errorf("got %d calls, want %d", got, want)
	}
}

// claimedBy writes the claim of a replica that does not exist.
func (w *world) claimedBy(code, owner string, lease time.Duration, browsers ...string) {
	w.t.Helper()
	raw, err := json.Marshal(map[string]any{"state": "open", "owner": owner, "browsers": browsers})
	w.must(err)
	w.must(w.redis.Client.Set(w.t.Context(), w.key(code), raw, lease).Err())
}

func (w *world) signOut(token session.Token) {
	w.t.Helper()
	_, err := w.sessions.End(w.t.Context(), token)
	w.must(err)
}

// tap is a hook between a replica and Redis. A test can make commands fail, or act just before or after a command.
type tap struct{ do atomic.Pointer[tapFunc] }

// tapFunc gets the names of the commands in a pipeline, and a function that sends them.
type tapFunc func(ctx context.Context, names string, send func(context.Context) error) error

var errCut = errors.New("the way to Redis is cut")

// with calls f for every command from now on; nil removes it.
func (t *tap) with(f tapFunc) {
	if f == nil {
		t.do.Store(nil)
		return
	}
	t.do.Store(&f)
}

// cut makes all commands fail.
func (t *tap) cut() { t.fail("") }

// loseReply loses the reply to the first write that is meant, and everything after it.
func (t *tap) loseReply(meant func(names string) bool) {
	var lost atomic.Bool
	t.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		switch {
		case lost.Load():
			return errCut
		case meant(names):
			lost.Store(true)
			_ = send(ctx)
			return errCut
		}
		return send(ctx)
	})
}

// fail makes commands of one name fail, or pipelines with them; with the empty name, all commands. which lists the calls that
// fail, counted from 1; without it, all fail.
func (t *tap) fail(name string, which ...int64) {
	var calls atomic.Int64
	t.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if strings.Contains(names, name) && (len(which) == 0 || slices.Contains(which, calls.Add(1))) {
			return errCut
		}
		return send(ctx)
	})
}

// failAlone makes commands of one name fail unless a pipeline has others beside them.
func (t *tap) failAlone(name string) {
	t.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names == name {
			return errCut
		}
		return send(ctx)
	})
}

// before calls f once, before the first command with these names.
func (t *tap) before(names string, f func()) {
	var once sync.Once
	t.with(func(ctx context.Context, sent string, send func(context.Context) error) error {
		if sent == names {
			once.Do(f)
		}
		return send(ctx)
	})
}

// count counts the commands of one name that got a reply.
func (t *tap) count(name string) *atomic.Int64 {
	var n atomic.Int64
	t.with(func(ctx context.Context, names string, send func(context.Context) error) error {
		err := send(ctx)
		for sent := range strings.FieldsSeq(names) {
			if sent == name {
				n.Add(1)
			}
		}
		return err
	})
	return &n
}

func (t *tap) through(ctx context.Context, names string, send func(context.Context) error) error {
	if f := t.do.Load(); f != nil {
		return (*f)(ctx, names, send)
	}
	return send(ctx)
}

// nameOf returns a command's name; for a script also the kind of its key, for example eval:code.
func nameOf(cmd redis.Cmder) string {
	if cmd.Name() != "eval" {
		return cmd.Name()
	}
	return "eval:" + strings.Split(fmt.Sprint(cmd.Args()[3]), ":")[1]
}

func (t *tap) DialHook(next redis.DialHook) redis.DialHook { return next }

func (t *tap) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := t.through(ctx, nameOf(cmd), func(ctx context.Context) error { return next(ctx, cmd) })
		if err != nil && cmd.Err() == nil {
			cmd.SetErr(err)
		}
		return err
	}
}

func (t *tap) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var names []string
		for _, cmd := range cmds {
			names = append(names, nameOf(cmd))
		}
		return t.through(ctx, strings.Join(names, " "), func(ctx context.Context) error { return next(ctx, cmds) })
	}
}
