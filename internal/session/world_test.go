package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
)

// world is a session manager with its own Redis.
type world struct {
	*session.Manager
	t     *testing.T
	redis *testworld.Redis
	clock *testworld.Clock
	tap   *tap
	codes int
}

func newWorld(t *testing.T, changes ...func(*session.Options)) *world {
	t.Helper()
	w := &world{t: t, redis: testworld.StartRedis(t), clock: &testworld.Clock{}}
	w.Manager, w.tap = w.open(changes...)
	return w
}

// open starts another replica.
func (w *world) open(changes ...func(*session.Options)) (*session.Manager, *tap) {
	w.t.Helper()
	tap := &tap{}
	client := redis.NewClient(&redis.Options{Addr: w.redis.Addr(), ContextTimeoutEnabled: true})
	client.AddHook(tap)
	w.t.Cleanup(func() { client.Close() })
	sealer, err := session.NewSealer([]byte(strings.Repeat("k", session.SealKeySize)))
	w.must(err)
	o := session.Options{
		Store:  store.New(store.Options{Redis: client, Prefix: "k:", Timeout: 500 * time.Millisecond}),
		Sealer: sealer, Config: session.Config{Lifetime: 12 * time.Hour, Idle: 2 * time.Hour}, Now: w.clock.Now,
	}
	for _, change := range changes {
		change(&o)
	}
	return session.New(o), tap
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

const operatorID = "2088102150477652"

// grant returns a grant whose code was claimed and exchanged now.
func (w *world) grant(partner string) operator.Grant {
	w.t.Helper()
	tick := w.Tick(w.t.Context())
	w.must(w.redis.Client.Process(w.t.Context(), tick))
	claimed, err := tick.Time()
	w.must(err)
	return operator.Grant{
		AppID: "2021000000000000", Operator: operator.Operator{ID: operatorID, Type: "PROVIDER"},
		PartnerID: partner, ExchangedAt: w.clock.Now(), ClaimedAt: operator.LogicalTime(claimed),
	}
}

// begin starts a session for a grant and a new code.
func (w *world) begin(g operator.Grant) (session.Started, error) {
	return w.Start(w.t.Context(), g, w.code(), nil)
}

// code returns a new code.
func (w *world) code() string {
	w.codes++
	return fmt.Sprintf("the-secret-code-%d", w.codes)
}

func (w *world) start(partner string) (session.Token, session.Session) {
	w.t.Helper()
	s, err := w.begin(w.grant(partner))
	w.must(err)
	return s.Token, s.Session
}

func (w *world) add(token session.Token, partner string) session.Session {
	w.t.Helper()
	s, err := w.AddPartner(w.t.Context(), token, w.grant(partner), w.code())
	w.must(err)
	return s
}

func (w *world) find(token session.Token) session.Session {
	w.t.Helper()
	s, err := w.Find(w.t.Context(), token)
	w.must(err)
	return s
}

// wantGone checks that neither the session nor its entry in the index exists.
func (w *world) wantGone(token session.Token) {
	w.t.Helper()
	if _, err := w.Find(w.t.Context(), token); !errors.Is(err, session.ErrNone) {
		w.t.Errorf("got %v from Find, want none", err)
	}
	if keys := w.redis.Client.Keys(w.t.Context(), "k:session:*").Val(); len(keys) != 0 {
		w.t.Errorf("got %v, want no session", keys)
	}
	w.wantIndexed(0)
}

func (w *world) wantIndexed(want int64) {
	w.t.Helper()
	if n := w.redis.Client.ZCard(w.t.Context(), "k:operator:"+operatorID).Val(); n != want {
		w.t.Errorf("got %d in the index, want %d", n, want)
	}
}

func partners(s session.Session) string {
	var ids []string
	for _, e := range s.Entries {
		ids = append(ids, e.PartnerID)
	}
	return strings.Join(ids, " ")
}

// tap is a hook between a replica and Redis. A test can act just before or after a command.
type tap struct{ do atomic.Pointer[tapFunc] }

type tapFunc func(ctx context.Context, names string, send func(context.Context) error) error

// before calls do once, just before the first command of a name is sent.
func (t *tap) before(name string, do func()) {
	f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
		if strings.Contains(names, name) {
			t.do.Store(nil)
			do()
		}
		return send(ctx)
	})
	t.do.Store(&f)
}

// fail makes all commands of a name fail.
func (t *tap) fail(name string) {
	f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
		if strings.Contains(names, name) {
			return errors.New("not sent")
		}
		return send(ctx)
	})
	t.do.Store(&f)
}

// failAt makes only the nth command of a name fail.
func (t *tap) failAt(name string, nth int32) {
	var n atomic.Int32
	f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
		if strings.Contains(names, name) && n.Add(1) == nth {
			return errors.New("not sent")
		}
		return send(ctx)
	})
	t.do.Store(&f)
}

// count counts the round trips with a command of a name.
func (t *tap) count(name string) *atomic.Int32 {
	n := &atomic.Int32{}
	f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
		if strings.Contains(names, name) {
			n.Add(1)
		}
		return send(ctx)
	})
	t.do.Store(&f)
	return n
}

// after calls do once, just after the first command of a name has its reply.
func (t *tap) after(name string, do func()) {
	f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
		err := send(ctx)
		if strings.Contains(names, name) {
			t.do.Store(nil)
			do()
		}
		return err
	})
	t.do.Store(&f)
}

// lose drops the reply to the first command of a name.
func (t *tap) lose(name string) {
	f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
		err := send(ctx)
		if strings.Contains(names, name) {
			t.do.Store(nil)
			return errors.New("the answer is lost")
		}
		return err
	})
	t.do.Store(&f)
}

func (t *tap) through(ctx context.Context, names string, send func(context.Context) error) error {
	if f := t.do.Load(); f != nil {
		return (*f)(ctx, names, send)
	}
	return send(ctx)
}

// nameOf returns a command's name; for a script also the kind of its key, for example eval:session.
func nameOf(cmd redis.Cmder) string {
	if cmd.Name() != "eval" {
		return cmd.Name()
	}
	return "eval:" + strings.Split(fmt.Sprint(cmd.Args()[3]), ":")[1]
}

func (t *tap) DialHook(next redis.DialHook) redis.DialHook { return next }

func (t *tap) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return t.through(ctx, nameOf(cmd), func(ctx context.Context) error { return next(ctx, cmd) })
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
