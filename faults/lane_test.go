package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/respproxy"
	"koubei-landing/koubeisim"
)

// Shorter than the defaults, so that a cell does not wait long for a timeout or for the end of a lease.
const (
	redisTimeout    = 600 * time.Millisecond
	exchangeTimeout = 4 * time.Second
	attemptTimeout  = 3 * time.Second
)

const adminToken = "faults-faults-faults-faults-faults"

// replica is a running service, in this process or in a separate one.
type replica interface {
	addresses() (public, internal string)
	signal()                   // as SIGTERM does
	kill()                     // as SIGKILL does
	restart() (replica, error) // after it has ended; returns its error
}

// lane runs cells, one after another. It has two replicas, a proxy between them and Redis, and Koubei.
type lane struct {
	koubei *koubeisim.Koubei
	log    *testworld.Log
	redis  *testworld.Redis
	proxy  *respproxy.Proxy
	front  *front
	clocks [2]*testworld.Clock // of the replicas
	ahead  [2]time.Duration    // what the clocks show beyond the real time
	nodes  [2]replica

	mu   sync.Mutex
	keys map[string]bool // of the codes of the current cell
}

// newLane starts a lane whose replicas run in this process.
func newLane(t *testing.T) *lane {
	t.Helper()
	l := &lane{redis: testworld.StartRedis(t), front: newFront(t), clocks: [2]*testworld.Clock{{}, {}}}
	l.proxy = respproxy.Start(t, l.redis.Addr(), len(l.nodes), l.counts)
	w := testworld.New(t, func(c *app.Config) {
		c.Redis.URL, c.Redis.Timeout = l.proxy.URLs[0], redisTimeout
		c.Alipay.GatewayURL, c.Alipay.Timeout, c.Alipay.AttemptTimeout = l.front.urls[0], exchangeTimeout, attemptTimeout
		c.Web.AdminToken = adminToken
		c.Operations.ShutdownTimeout = 10 * time.Second
		c.Now = l.clocks[0].Now
		c.Log = slog.New(warnings{c.Log.Handler()})
	})
	l.koubei, l.front.koubei, l.log = w.Koubei, w.Koubei, w.Log
	second := func(c *app.Config) {
		c.Redis.URL, c.Alipay.GatewayURL, c.Now = l.proxy.URLs[1], l.front.urls[1], l.clocks[1].Now
	}
	l.nodes = [2]replica{inProcess{w.Service, w, nil}, inProcess{w.Replica(second), w, second}}
	return l
}

// newProcessLane starts a lane whose replicas run in separate processes.
func newProcessLane(t *testing.T) *lane {
	t.Helper()
	l := &lane{redis: testworld.StartRedis(t), front: newFront(t), clocks: [2]*testworld.Clock{{}, {}}, log: &testworld.Log{}}
	l.proxy = respproxy.Start(t, l.redis.Addr(), len(l.nodes), l.counts)
	k := testworld.NewKoubei(koubeisim.Options{CodeLifetime: time.Hour, LandingURL: "http://127.0.0.1/koubei/callback"})
	l.koubei, l.front.koubei = k, k
	for n := range l.nodes {
		l.nodes[n] = ownProcess{testworld.StartServer(t, testworld.Build(t, "server"), testworld.Settings(k, l.front.urls[n].String(), l.proxy.URLs[n],
			"PUBLIC_URL=http://127.0.0.1", "ADMIN_TOKEN="+adminToken, "LOG_LEVEL=info", fmt.Sprint("REDIS_TIMEOUT=", redisTimeout),
			fmt.Sprint("ALIPAY_TIMEOUT=", exchangeTimeout), fmt.Sprint("ALIPAY_ATTEMPT_TIMEOUT=", attemptTimeout)))}
	}
	return l
}

// warnings drops all records below warning. Thousands of cells log too much to search all of it for secrets.
type warnings struct{ slog.Handler }

func (warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// inProcess is a replica in this process.
type inProcess struct {
	*testworld.Service
	world  *testworld.World
	change func(*app.Config) // its changes to the world's settings; nil for the world's own replica
}

func (r inProcess) addresses() (public, internal string) { return r.Public, r.Internal }
func (r inProcess) signal()                              { r.Signal() }
func (r inProcess) kill()                                { panic("a replica in this process cannot be killed") }
func (r inProcess) restart() (replica, error)            { panic("a replica in this process gets no signal") }

// ownProcess is a replica in a separate process.
type ownProcess struct{ *testworld.Server }

func (r ownProcess) addresses() (public, internal string) { return r.Public, r.Internal }
func (r ownProcess) signal()                              { r.Signal(syscall.SIGTERM) }
func (r ownProcess) kill()                                { r.Kill() }

func (r ownProcess) restart() (replica, error) {
	err := r.Wait()
	r.Start()
	return r, err
}

// setClocks sets how far the replicas' clocks are ahead of the real time.
func (l *lane) setClocks(ahead [2]time.Duration) {
	for n := range l.clocks {
		l.turn(n, ahead[n]-l.ahead[n])
	}
}

// turn turns a replica's clock.
func (l *lane) turn(n int, by time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clocks[n].Turn(by)
	l.ahead[n] += by
}

// restart starts a replica again after SIGKILL or SIGTERM, and returns the error with which it ended.
func (l *lane) restart(n int) error {
	node, err := l.nodes[n].restart()
	l.nodes[n] = node
	return err
}

var lateAttempt = regexp.MustCompile(`(?m)^koubei_exchange_duration_seconds_count\{outcome="timeout"\} (\d+)$`)

// lateAttempts returns how many attempts at the gateway have timed out, although no cell has the gateway wait that long. A
// replica that was killed counts from zero.
func (l *lane) lateAttempts(t *testing.T) (sum int) {
	client := testworld.NewBrowser(t, l.log)
	defer client.Client.CloseIdleConnections()
	for _, node := range l.nodes {
		_, internal := node.addresses()
		for _, m := range lateAttempt.FindAllStringSubmatch(client.Get(internal+"/metrics").Body, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Error(err)
			}
			sum += n
		}
	}
	return sum
}

// setup lists the commands of a connection or a probe, which belong to no operation.
var setup = map[string]bool{"hello": true, "auth": true, "select": true, "client": true, "ping": true, "info": true, "config": true,
	"role": true, "command": true, "subscribe": true, "unsubscribe": true}

var keyName = regexp.MustCompile(`^koubei:\d+:(\w+):?`)

// kindOf returns the kind of key that a command is about; empty for a command without a key.
func kindOf(c respproxy.Command) string {
	m := keyName.FindStringSubmatch(c.Key())
	if m == nil {
		return ""
	}
	return m[1]
}

// labelOf names a command in the table.
func labelOf(c respproxy.Command) string { return strings.TrimSpace(c.Name() + " " + kindOf(c)) }

// counts reports whether a command belongs to the operation. A background retry for a code of an earlier cell does not.
func (l *lane) counts(c respproxy.Command) bool {
	if setup[c.Name()] {
		return false
	}
	switch kindOf(c) {
	case "code":
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.keys[c.Key()]
	case "probe", "health", "ready":
		return false
	}
	return true
}

// empty has the effect of a restart of Redis without saved data.
func (l *lane) empty() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = l.redis.Client.FlushAll(ctx).Err()
	l.proxy.ResetAll()
}

// front forwards to koubeisim's gateway. It records each call and can delay a response of koubeisim.
type front struct {
	koubei *koubeisim.Koubei
	urls   []*url.URL // one for each replica

	mu       sync.Mutex
	calls    []gatewayCall
	answered map[string]func() // by code: called between koubeisim's response and the replica's receipt of it
}

// gatewayCall is one request about a code.
type gatewayCall struct {
	code         string
	via          int // the replica that asks
	began, ended time.Time
	outcome      string
	lost         bool // the replica closed the connection before it got the response
}

func newFront(t *testing.T) *front {
	f := &front{answered: map[string]func(){}}
	for via := range 2 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, via) }))
		t.Cleanup(func() {
			s.CloseClientConnections()
			s.Close()
		})
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		f.urls = append(f.urls, u)
	}
	return f
}

func (f *front) serve(w http.ResponseWriter, r *http.Request, via int) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := gatewayCall{code: codeIn(body), via: via, began: time.Now()}
	answer := httptest.NewRecorder()
	f.koubei.Gateway().ServeHTTP(answer, r)
	c.ended, c.outcome = time.Now(), f.outcome(c.code)
	if hold := f.hold(c.code); hold != nil {
		hold()
		c.lost = r.Context().Err() != nil
	}
	f.mu.Lock()
	f.calls = append(f.calls, c)
	f.mu.Unlock()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = answer.Body.WriteTo(w)
}

// hold returns the function that onAnswer registered for a code.
func (f *front) hold(code string) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	do := f.answered[code]
	delete(f.answered, code)
	return do
}

// outcome returns what koubeisim decided about the newest call for a code.
func (f *front) outcome(code string) string {
	calls := f.koubei.Calls()
	for i := len(calls) - 1; i >= 0; i-- {
		if calls[i].Code == code {
			return calls[i].Outcome
		}
	}
	return ""
}

func codeIn(body []byte) string {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return ""
	}
	var q struct{ Code string }
	_ = json.Unmarshal([]byte(form.Get("biz_content")), &q)
	return q.Code
}

// of returns the calls for a code.
func (f *front) of(code string) []gatewayCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	var calls []gatewayCall
	for _, c := range f.calls {
		if c.code == code {
			calls = append(calls, c)
		}
	}
	return calls
}

// onAnswer registers do for a code. front calls it after koubeisim's response, and forwards the response when do returns.
func (f *front) onAnswer(code string, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answered[code] = do
}

// forget deletes the calls of earlier cells.
func (f *front) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}
