package handler_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// socket is a raw connection.
type socket struct {
	net.Conn
	r *bufio.Reader
}

// connect opens a socket to a listener. Its buffers and those of its peer are as small as the system allows, so that a
// server soon notices a client that reads nothing.
func connect(t *testing.T, listener string) *socket {
	t.Helper()
	return connectWith(t, listener, func(fd int) error {
		return errors.Join(
			syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1),
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 88))
	})
}

func connectWith(t *testing.T, listener string, options func(fd int) error) *socket {
	t.Helper()
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = options(int(fd)) }), err)
	}}
	conn, err := small.DialContext(t.Context(), "tcp", strings.TrimPrefix(listener, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &socket{conn, bufio.NewReader(conn)}
}

func (s *socket) send(t *testing.T, text string) {
	t.Helper()
	_ = s.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatal(err)
	}
}

// response reads one response within a timeout.
func (s *socket) response(t *testing.T, method string, within time.Duration) *http.Response {
	t.Helper()
	_ = s.SetReadDeadline(time.Now().Add(within))
	res, err := http.ReadResponse(s.r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no response within %s: %v", within, err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatalf("half a response within %s: %v", within, err)
	}
	return res
}

// ended returns nil if the server closes the connection in time and sends nothing more.
func (s *socket) ended(within time.Duration) error {
	_ = s.SetReadDeadline(time.Now().Add(within))
	rest, err := io.ReadAll(s.r)
	if errors.Is(err, os.ErrDeadlineExceeded) || len(rest) > 0 {
		return fmt.Errorf("still open, or not at its end: %d more bytes, %w", len(rest), err)
	}
	return nil
}

// announcements are the ways to announce a body.
var announcements = []struct{ name, protocol, header string }{
	{"a length", "HTTP/1.1", "Content-Length: 77\r\n"},
	{"a large length", "HTTP/1.1", "Content-Length: 99999999\r\n"},
	{"chunks", "HTTP/1.1", "Transfer-Encoding: chunked\r\n"},
	{"Expect", "HTTP/1.1", "Content-Length: 77\r\nExpect: 100-continue\r\n"},
	{"chunks and Expect", "HTTP/1.1", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"},
	{"HTTP/1.0", "HTTP/1.0", "Content-Length: 77\r\n"},
	{"HTTP/1.0 with keep-alive", "HTTP/1.0", "Content-Length: 77\r\nConnection: keep-alive\r\n"},
}

// TestABodyIsNotWaitedFor: every route except the switch responds at once, whether the body comes in full, in part, or
// never.
func TestABodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, traced := range map[string]bool{"plain": false, "traced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testworld.New(t, func(c *app.Config) {
				if traced {
					c.Tracing = trace.NewTracerProvider()
				}
				c.Web.AdminToken = adminToken
			})
			cookie := "Cookie: koubei_session=" + land(t, w, testworld.Provider).Cookie(w.Public, "koubei_session") + "\r\n"
			visited := map[string]bool{}
			type request struct {
				listener, method, path, header string
				status                         int
			}
			requests := []request{
				{w.Public, "GET", "/", cookie, 200},
				{w.Public, "GET", "/session", cookie, 200},
				{w.Public, "HEAD", "/signin", "", 200},
				{w.Public, "GET", asset(t, w), "", 200},
				{w.Public, "GET", "/.well-known/jwks.json", "", 200},
				{w.Public, "GET", "/koubei/callback?code=", "", 400},
				{w.Public, "HEAD", "/koubei/callback?code=x", "", 204},
				{w.Public, "POST", "/koubei/callback", "", 405},
				{w.Public, "POST", "/koubei/callback/switch", "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n", 403},
				{w.Public, "POST", "/logout", "", 303},
				{w.Public, "POST", "/logout", "Accept: application/json\r\n", 204},
				{w.Public, "POST", "/logout", "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n", 403},
				{w.Public, "POST", "/forget", "", 303},
				{w.Public, "POST", "/forget", "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n", 403},
				{w.Public, "POST", "/nothing", "", 404},
				{w.Public, "PUT", "/signin?" + strings.Repeat("x", 9000), "", 414},
				{w.Public, "OPTIONS", "/session", "", 405},
				{w.Internal, "GET", "/auth/verify", cookie, 200},
				{w.Internal, "POST", "/auth/verify", cookie, 200},
				{w.Internal, "PROPFIND", "/auth/verify", "", 401},
				{w.Internal, "GET", "/auth/verify?type=", "", 403},
				{w.Internal, "GET", "/auth/verify?redirect=1", "Sec-Fetch-Mode: navigate\r\n", 303},
				{w.Internal, "GET", "/healthz", "", 200},
				{w.Internal, "GET", "/readyz", "", 200},
				{w.Internal, "GET", "/metrics", "", 200},
				{w.Internal, "GET", "/openapi.json", "", 200},
				{w.Internal, "DELETE", "/admin/operators/1/sessions", "", 401},
				{w.Internal, "DELETE", "/admin/operators/1/sessions", "Authorization: Bearer " + adminToken + "\r\n", 200},
				{w.Internal, "POST", "/nothing", "", 404},
			}
			for _, page := range plainPages {
				requests = append(requests, request{w.Public, "GET", page, "", 200})
			}
			for _, tt := range requests {
				path, _, _ := strings.Cut(tt.path, "?")
				visited["public "+tt.method+" "+path] = true
				for _, announced := range announcements {
					for _, body := range []string{"", "7"} {
						name := fmt.Sprintf("%s %.40s with %s and %q", tt.method, tt.path, announced.name, body)
						s := connect(t, tt.listener)
						s.send(t, tt.method+" "+tt.path+" "+announced.protocol+"\r\nHost: x\r\n"+tt.header+announced.header+"\r\n"+body)
						// A 100 Continue would be read as the response.
						if res := s.response(t, tt.method, 5*time.Second); res.StatusCode != tt.status || announced.protocol == "HTTP/1.1" && !res.Close {
							t.Errorf("%s: got %d, closing: %v, want %d and an end", name, res.StatusCode, res.Close, tt.status)
						}
						s.Close()
					}
				}
			}
			for _, route := range publicRoutes(t, w.Config.Web.PublicURL, "") {
				route = strings.NewReplacer("/arrive", w.Config.Web.CallbackPath, "/static/{file}", asset(t, w)).Replace(route)
				if !visited[route] && !strings.HasPrefix(route, "public HEAD") {
					t.Errorf("%s was not asked; a new route needs a request here, a new page for everybody belongs to plainPages", route)
				}
			}
		})
	}
}

// TestAnUnreadBodyEndsTheConnection: the rest of a body must not be read as the next request.
func TestAnUnreadBodyEndsTheConnection(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	smuggled := "GET /auth/verify HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tt := range []struct{ name, listener, request string }{
		{"a stalled body", w.Internal, "GET /auth/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 77\r\n\r\n"},
		{"a request as a body", w.Internal, fmt.Sprintf("GET /auth/verify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(smuggled), smuggled)},
		{"a request behind a stalled body", w.Internal, "GET /auth/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n" + smuggled},
		{"a request as a broken chunk", w.Internal, "GET /auth/verify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled},
		{"a form that is too large", w.Public, "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 16385\r\n\r\n" + smuggled},
		{"a sign-out", w.Public, "POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 77\r\n\r\n" + smuggled},
	} {
		s := connect(t, tt.listener)
		s.send(t, tt.request)
		s.response(t, http.MethodGet, 5*time.Second)
		if err := s.ended(5 * time.Second); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestAConnectionIsKept: after usual requests of proxies and browsers, the connection stays open for the next request.
func TestAConnectionIsKept(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	form := "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for _, tt := range []struct {
		name, listener, request string
		status                  int
	}{
		{"a check", w.Internal, "GET /auth/verify HTTP/1.1\r\nHost: x\r\n\r\n", 401},
		{"a check of a form without its body", w.Internal, "POST /auth/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 401},
		{"a check by HTTP/1.0", w.Internal, "GET /auth/verify HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 401},
		{"a page", w.Public, "GET /signin HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"a sign-out", w.Public, "POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 303},
		{"an answer to the question", w.Public, form + "Content-Length: 11\r\n\r\ndecision=no", 410},
		{"the same in chunks", w.Public, form + "Transfer-Encoding: chunked\r\n\r\nb\r\ndecision=no\r\n0\r\n\r\n", 410},
		{"a form that is none", w.Public, "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nno", 400},
	} {
		s := connect(t, tt.listener)
		for range 3 {
			s.send(t, tt.request)
			if res := s.response(t, http.MethodPost, 5*time.Second); res.StatusCode != tt.status || res.Close {
				t.Errorf("%s: got %d, closing: %v, want %d and the connection kept", tt.name, res.StatusCode, res.Close, tt.status)
				break
			}
		}
	}
}

func TestFormTimeout(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Web.MaxRequests = 1 })
	for _, announced := range announcements {
		for _, accept := range []string{"text/html", "application/json"} {
			t.Run(announced.name+" "+accept, func(t *testing.T) {
				t.Parallel()
				s := connect(t, w.Public)
				begun := time.Now()
				s.send(t, "POST /koubei/callback/switch "+announced.protocol+"\r\nHost: x\r\nAccept: "+accept+
					"\r\nContent-Type: application/x-www-form-urlencoded\r\n"+announced.header+"\r\n")
				res := s.response(t, http.MethodPost, 20*time.Second)
				if strings.Contains(announced.header, "9999") {
					if res.StatusCode != http.StatusRequestEntityTooLarge {
						t.Errorf("got %d, want 413", res.StatusCode)
					}
					return
				}
				if strings.Contains(announced.header, "Expect") {
					if res.StatusCode != http.StatusContinue {
						t.Errorf("got %d, want 100: this body is read", res.StatusCode)
					}
					res = s.response(t, http.MethodPost, 20*time.Second)
				}
				if took := time.Since(begun); res.StatusCode != http.StatusRequestTimeout || took < 4900*time.Millisecond {
					t.Errorf("got %d after %s, want 408 after 5 s", res.StatusCode, took)
				}
				if err := s.ended(5 * time.Second); err != nil {
					t.Error(err)
				}
			})
		}
	}
	// All of them are waiting now, and there is one place.
	t.Run("the place is free", func(t *testing.T) {
		t.Parallel()
		for range 5 {
			if a := w.Browser().Get(w.Public + "/signin"); a.StatusCode != http.StatusOK {
				t.Errorf("got %d, want 200", a.StatusCode)
			}
		}
	})
}

// TestABrokenForm: a form that cannot be read to its end is malformed, not late.
func TestABrokenForm(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for name, body := range map[string]string{
		"chunks without a length":            "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"a pair that is escaped wrong":       "Content-Length: 12\r\n\r\ndecision=%zz",
		"chunks that are too large together": "Transfer-Encoding: chunked\r\n\r\n4001\r\n" + strings.Repeat("x", 0x4001) + "\r\n0\r\n\r\n",
	} {
		want := http.StatusBadRequest
		if strings.Contains(name, "too large") {
			want = http.StatusRequestEntityTooLarge
		}
		s := connect(t, w.Public)
		s.send(t, "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"+body)
		if res := s.response(t, http.MethodPost, 5*time.Second); res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", name, res.StatusCode, want)
		}
	}
}

// TestHostileSocketsTakeNoPlace opens as many sockets as there are places, for each attack that costs a client almost
// nothing. Other clients must not notice.
func TestHostileSocketsTakeNoPlace(t *testing.T) {
	t.Parallel()
	const places = 200
	w := testworld.New(t, func(c *app.Config) { c.Web.MaxRequests = places })
	cookie := "Cookie: koubei_session=" + land(t, w, testworld.Merchant).Cookie(w.Public, "koubei_session") + "\r\n"
	static := regexp.MustCompile(`/static/style[^"]+`).FindString(w.Browser().Get(w.Public + "/").Body) // larger than net/http's buffer
	prompt := max(time.Second, 20*slowestOfOthers(t, w, cookie))                                        // longer on a machine that is busy with other work
	pipelined := func(request string) string { return strings.Repeat(request, 30) }
	for _, tt := range []struct{ name, request string }{
		{"half a header", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "},
		{"a form never sent", "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 77\r\n\r\n"},
		{"a form never sent, in chunks", "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"a form never sent, by HTTP/1.0", "POST /koubei/callback/switch HTTP/1.0\r\nContent-Length: 77\r\n\r\n"},
		{"a form that waits to be asked for", "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 77\r\nExpect: 100-continue\r\n\r\n"},
		{"half a form", "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 77\r\n\r\ndecision"},
		{"a sign-out with a body", "POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 77\r\n\r\n"},
		{"a clearing of the memory with a body", "POST /forget HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"a static file with a body", "GET " + static + " HTTP/1.1\r\nHost: x\r\nContent-Length: 77\r\n\r\n"},
		{"the identity page with a body", "GET / HTTP/1.1\r\nHost: x\r\n" + cookie + "Content-Length: 77\r\n\r\n"},
		{"unread pages", pipelined("GET /signin HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"unread static files", pipelined("GET " + static + " HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"unread errors", pipelined("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range places {
				connect(t, w.Public).send(t, tt.request)
			}
			var took []time.Duration
			for range 3 {
				took = append(took, slowestOfOthers(t, w, cookie))
			}
			slices.Sort(took)
			if took[1] > prompt {
				t.Errorf("others wait %s, want at most %s", took, prompt)
			}
		})
	}
}

// slowestOfOthers reads a page, checks a session and lands. It returns how long the slowest of these took.
func slowestOfOthers(t *testing.T, w *testworld.World, cookie string) time.Duration {
	t.Helper()
	b, code := w.Browser(), w.Koubei.Issue(testworld.Merchant)
	name, value, _ := strings.Cut(strings.TrimSpace(cookie), ": ")
	var slowest time.Duration
	for _, tt := range []struct {
		name   string
		status int
		ask    func() testworld.Answer
	}{
		{"/signin", http.StatusOK, func() testworld.Answer { return b.Get(w.Public + "/signin") }},
		{"a check", http.StatusOK, func() testworld.Answer {
			return verify(t, w, w.Program(), http.MethodGet, "", http.Header{name: {value}})
		}},
		{"a landing", http.StatusSeeOther, func() testworld.Answer { return b.Land(w.Landing(code)) }},
	} {
		begun := time.Now()
		if a := tt.ask(); a.StatusCode != tt.status {
			t.Errorf("%s: got %d, want %d", tt.name, a.StatusCode, tt.status)
		}
		slowest = max(slowest, time.Since(begun))
	}
	return slowest
}

// TestAResponseIsFetchedOrGivenUp: the service closes the connection of a client that sends requests but reads no response.
func TestAResponseIsFetchedOrGivenUp(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	s := connect(t, w.Public)
	request := strings.Repeat("GET /signin HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
	_ = s.SetWriteDeadline(time.Now().Add(40 * time.Second))
	var err error
	for err == nil {
		_, err = io.WriteString(s, request)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("still open after 40 s")
	}
}

// TestAnUnreadConnectionIsCheap: a client that pipelines requests and reads nothing is served until the buffers are full,
// and the server's buffer does not grow to megabytes.
func TestAnUnreadConnectionIsCheap(t *testing.T) {
	t.Parallel()
	const served = `http_request_duration_seconds_count{method="GET",route="/signin",status="200"}`
	w := testworld.New(t)
	s := connectWith(t, w.Public, func(fd int) error { return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) })
	s.send(t, strings.Repeat("GET /signin HTTP/1.1\r\nHost: x\r\n\r\n", 1500))
	before := 0.0
	testworld.Eventually(t, 8*time.Second, "the server waits for the client", func() error {
		n := metric(t, w, served)
		defer func() { before = n }()
		if n == 0 || n != before {
			return fmt.Errorf("%v requests served", n)
		}
		return nil
	})
	if before > 200 {
		t.Errorf("%v requests were served to a client that reads nothing", before)
	}
}
