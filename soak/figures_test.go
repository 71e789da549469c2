package soak_test

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/koubeisim"
)

var live = flag.Int("soak.sessions", 1000, "how many sessions TestFigures lets live at once")

// TestFigures measures the sizes that docs/operations.md states. Most limits are a quarter above the page's numbers, because
// other versions of Redis and of the kernel need more.
func TestFigures(t *testing.T) {
	w := newWorld(t)
	w.start("GOMAXPROCS=2")
	program, err := os.Stat(w.program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("program: %.1f MB; from its start until it was ready: %s", float64(program.Size())/1e6, w.ready.Round(time.Millisecond))
	if program.Size() > 29.5e6 { // the certificate authorities take 0.2 MB
		t.Errorf("the program has %d bytes, and the image may have 30 MB", program.Size())
	}
	if w.ready > 5*time.Second {
		t.Errorf("ready after %s", w.ready)
	}
	idle, err := w.figures()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident when idle: %.1f MiB, %.0f goroutines", idle.resident/(1<<20), idle.goroutines)
	if idle.resident > 30<<20 {
		t.Errorf("resident when idle: %.0f bytes", idle.resident)
	}
	t.Run("one landing", func(t *testing.T) { w.keysOf(t, 1, 790, 1940) })
	t.Run("ten landings for ten partners", func(t *testing.T) { w.keysOf(t, 10, 5250, 12060) })
	t.Run("many sessions", func(t *testing.T) { w.many(t, *live, 60<<20) })
}

// TestFiguresOfTheCache measures the same with the session cache.
func TestFiguresOfTheCache(t *testing.T) {
	w := newWorld(t)
	w.start("GOMAXPROCS=2", "SESSION_CACHE_TTL=1m")
	w.many(t, *live, 190<<20)
}

// keysOf lets one operator land for several partners in one browser. It measures the memory that Redis uses for the session
// and for all keys.
func (w *world) keysOf(t *testing.T, partners int, mostAlone, most int64) {
	if err := w.redis.Client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	c := newVisitors(w)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Transport: c.transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for i := range partners {
		person := koubeisim.Person{OperatorID: "2088102150477652", OperatorType: "PROVIDER_STAFF", PartnerID: fmt.Sprintf("20881021504%05d", i), ShopIDs: "2015060900077000000000152345"}
		next := w.koubei.LandingURL(w.koubei.Issue(person), koubeisim.Observed)
		for strings.Contains(next, "code=") {
			if next, err = c.ask(browser, http.MethodGet, next, http.StatusSeeOther); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all, alone int64
	keys := w.redis.Client.Scan(t.Context(), 0, "*", 0).Iterator()
	for keys.Next(t.Context()) {
		n, err := w.redis.Client.MemoryUsage(t.Context(), keys.Val(), 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		all += n
		if strings.Contains(keys.Val(), ":session:") {
			alone += n
		}
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("Redis: %d bytes for the session, %d with the ledger's records and the operator's index", alone, all)
	if alone == 0 || alone > mostAlone || all > most {
		t.Errorf("got %d bytes for the session and %d in all, want at most %d and %d", alone, all, mostAlone, most)
	}
}

// many creates sessions without the ledger and checks each of them once, so that the service caches what it caches.
func (w *world) many(t *testing.T, n int, most float64) {
	if err := w.redis.Client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	before := w.redisMemory(t)
	m := w.manager(t)
	tokens := make([]session.Token, n)
	inParallel(t, n, func(i int) error {
		id := fmt.Sprintf("2088%012d", i)
		started, err := m.Start(context.Background(), operator.Grant{AppID: w.koubei.AppID(), Operator: operator.Operator{ID: id, Type: "MER"},
			PartnerID: id, ShopIDs: "2015060900077000000000152345", ExchangedAt: time.Now()}, fmt.Sprintf("P%030d", i), nil)
		tokens[i] = started.Token
		return err
	})
	each := float64(w.redisMemory(t)-before) / float64(n)
	for _, token := range tokens {
		w.tokens = append(w.tokens, string(token))
	}
	c := newVisitors(w)
	client := &http.Client{Transport: c.transport}
	inParallel(t, n, func(i int) error {
		r, err := http.NewRequest(http.MethodGet, w.internal+"/auth/verify", nil)
		if err != nil {
			return err
		}
		r.AddCookie(&http.Cookie{Name: "koubei_session", Value: string(tokens[i])})
		a, err := client.Do(r)
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK || a.Header.Get("X-Koubei-Operator-Id") != fmt.Sprintf("2088%012d", i) {
			return fmt.Errorf("session %d: got %d for %q", i, a.StatusCode, a.Header.Get("X-Koubei-Operator-Id"))
		}
		return nil
	})
	f, err := w.figures()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d sessions, each checked: resident %.1f MiB; Redis %.0f bytes each, the index included", n, f.resident/(1<<20), each)
	if n >= 100_000 && each > 1160 { // with fewer sessions, Redis's own tables need most of the memory
		t.Errorf("Redis: %.0f bytes each, want at most 1160", each)
	}
	if f.resident > most {
		t.Errorf("resident with %d sessions: %.0f bytes, want at most %.0f", n, f.resident, most)
	}
}

// manager returns a session manager with the service's keys.
func (w *world) manager(t *testing.T) *session.Manager {
	private, err := alipay.ParsePrivateKey(w.koubei.AppPrivateKey())
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.DeriveSealKey(x509.MarshalPKCS1PrivateKey(private))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := session.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: w.redis.Addr()})
	t.Cleanup(func() { rdb.Close() })
	return session.New(session.Options{
		Store:  store.New(store.Options{Redis: rdb, Prefix: "koubei:" + w.koubei.AppID() + ":", Timeout: 10 * time.Second}),
		Sealer: sealer, Config: session.Config{Lifetime: 12 * time.Hour, Idle: 2 * time.Hour}, Now: time.Now,
	})
}

func (w *world) redisMemory(t *testing.T) int64 {
	info, err := w.redis.Client.InfoMap(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(info["Memory"]["used_memory"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// inParallel calls do n times, several at the same time.
func inParallel(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	next := make(chan int)
	var workers sync.WaitGroup
	for range 8 * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
