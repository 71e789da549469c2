package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// opened is a running demo with its addresses.
type opened struct {
	portal, isv, service, internal string
	stop                           context.CancelFunc
	code                           chan int
}

var address = regexp.MustCompile(`http://\S+`)

// open runs the demo and reads its output until all addresses are known.
func open(t *testing.T, getenv func(string) string, args ...string) *opened {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	d := &opened{stop: stop, code: make(chan int, 1)}
	var log strings.Builder
	go func() {
		code := run(ctx, args, getenv, w, &log)
		w.Close()
		d.code <- code
	}()
	t.Cleanup(func() {
		stop()
		if code := <-d.code; code != 0 {
			t.Errorf("got exit code %d, want 0\n%s", code, log.String())
		}
	})
	printed := make([]byte, 4096)
	n, err := r.Read(printed)
	if err != nil {
		t.Fatalf("the demo printed nothing: %v\n%s", err, log.String())
	}
	go io.Copy(io.Discard, r)
	all := address.FindAllString(string(printed[:n]), -1)
	if len(all) != 4 {
		t.Fatalf("got addresses %q, want four in\n%s", all, printed[:n])
	}
	d.portal, d.isv, d.service, d.internal = all[0], all[1], all[2], strings.TrimSuffix(all[3], "/metrics")
	return d
}

func nothing(string) string { return "" }

// visitor returns a minimal browser: HTTP with a cookie jar.
func visitor(t *testing.T) func(address string) (*http.Response, string) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	return func(address string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Accept-Language", "en")
		r.Header.Set("User-Agent", "Mozilla/5.0")
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a, string(body)
	}
}

func TestLandsOnTheISVsPage(t *testing.T) {
	t.Parallel()
	d := open(t, nothing, "--port=0")
	get := visitor(t)
	a, body := get(d.portal + "enter?as=mer-staff")
	if a.StatusCode != http.StatusOK || a.Request.URL.String() != d.isv+"shop?partner_id=2088102150477653" {
		t.Fatalf("got %d at %s, want 200 on the shop's page\n%s", a.StatusCode, a.Request.URL, body)
	}
	for _, want := range []string{"2088102150477670", "Merchant’s employee", "Zhang’s Noodle Bar", "2015060900077000000000152345"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("got policy %q, want a strict one", csp)
	}
}

func TestRedirectsToSignIn(t *testing.T) {
	t.Parallel()
	d := open(t, nothing, "--port=0")
	a, body := visitor(t)(d.isv)
	if a.Request.URL.String() != d.service+"signin" || !strings.Contains(body, d.portal) {
		t.Errorf("got %s, want the sign-in page with the portal's address\n%s", a.Request.URL, body)
	}
}

func TestRefusesAnUnknownType(t *testing.T) {
	t.Parallel()
	d := open(t, nothing, "--port=0")
	a, body := visitor(t)(d.portal + "enter?as=unknown")
	if a.StatusCode != http.StatusForbidden || !strings.Contains(body, `id="refused"`) {
		t.Errorf("got %d, want 403\n%s", a.StatusCode, body)
	}
}

func TestBusyPort(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	d := open(t, nothing, "--port="+port)
	if a, _ := visitor(t)(d.portal); a.StatusCode != http.StatusOK || strings.Contains(d.portal, ":"+port) {
		t.Errorf("got %d at %s, want 200 on another port than %s", a.StatusCode, d.portal, port)
	}
}

func TestReportsStartProblems(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		args []string
		env  string
		code int
		want string
	}{
		{"no such flag", []string{"--nonsense"}, "", 2, "--nonsense"},
		{"no such level", []string{"--log-level=loud"}, "", 2, "--log-level"},
		{"no Redis there", []string{"--port=0"}, "redis://127.0.0.1:1/0", 1, "REDIS_URL"},
		{"no address", []string{"--port=0"}, "nonsense", 1, "REDIS_URL"},
	} {
		t.Run(row.name, func(t *testing.T) {
			getenv := func(name string) string { return map[string]string{"REDIS_URL": row.env}[name] }
			var stderr strings.Builder
			code := run(context.Background(), row.args, getenv, io.Discard, &stderr)
			if code != row.code || !strings.Contains(stderr.String(), row.want) {
				t.Errorf("got %d and %q, want %d and %q", code, stderr.String(), row.code, row.want)
			}
		})
	}
}

func TestEmbeddedKeysExpire(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	running := new(errgroup.Group)
	address, err := embedRedis(ctx, running)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = running.Wait()
	})
	o, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	defer c.Close()
	if err := c.Set(ctx, "key", "value", 300*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	deadline, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for c.Exists(deadline, "key").Val() != 0 {
	}
	if err := deadline.Err(); err != nil {
		t.Errorf("a key of 300 ms still lives after 10 s: %v", err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"--version"}, func(string) string { return "" }, &stdout, &stderr)
	if fields := strings.Fields(stdout.String()); code != 0 || len(fields) != 3 || fields[0] != "demo" || stderr.Len() > 0 {
		t.Errorf("got %d %q %q, want the program, its version and Go's", code, stdout.String(), stderr.String())
	}
}
