package alipay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// pipes is a listener with connections in memory, for which testing/synctest can wait.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// script is the gateway's behavior at each call. The last step repeats.
type script []http.HandlerFunc

// bench is a client with a scripted gateway. It runs inside a synctest bubble.
type bench struct {
	*Client
	began    time.Time
	attempts []Attempt

	mu      sync.Mutex
	arrived []time.Duration // when each call arrived
	overlap bool            // of two calls
}

// calls returns when each call arrived, and whether two were open at the same time.
func (b *bench) calls() ([]time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.arrived), b.overlap
}

// arrive records a call while open calls, including this one, are open. It returns the number of calls so far.
func (b *bench) arrive(open int32) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrived = append(b.arrived, time.Since(b.began))
	b.overlap = b.overlap || open > 1
	return len(b.arrived)
}

func newBench(t *testing.T, steps script, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{began: time.Now()}
	cfg := testConfig(t)
	cfg.GatewayURL.Scheme, cfg.AllowHTTP, cfg.Now = "http", true, nil
	cfg.OnAttempt = func(a Attempt) { b.attempts = append(b.attempts, a) }
	cfg.MaxConns = 4
	for _, f := range change {
		f(&cfg)
	}
	b.Client = newTestClient(t, cfg)

	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	transport := b.transport.(*http.Transport)
	transport.Proxy, transport.DialContext = nil, listener.dial

	var inside atomic.Int32
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := b.arrive(inside.Add(1))
		defer inside.Add(-1)
		_, _ = io.Copy(io.Discard, r.Body)
		steps[min(n, len(steps))-1](w, r)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
	return b
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html;charset=utf-8")
		_, _ = io.WriteString(w, body)
	}
}

// drops cuts the connection without a response.
func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hangs never responds.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func after(d time.Duration, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			next(w, r)
		case <-r.Context().Done():
		}
	}
}

func answers(t *testing.T) (success, busy, notExist http.HandlerFunc) {
	key := privateKey(t, "keys/alipay_private_pkcs8.pem")
	return says(signedBy(t, key, successNode)),
		says(signedBy(t, key, `{"code":"20000","msg":"Service Currently Unavailable","sub_code":"isp.unknow-error"}`)),
		says(signedBy(t, key, `{"code":"40004","msg":"Business Failed","sub_code":"AUTH_CODE_NOT_EXIST"}`))
}

func outcomes(attempts []Attempt) []Outcome {
	var list []Outcome
	for _, a := range attempts {
		list = append(list, a.Outcome)
	}
	return list
}

// A row is the gateway's behavior, and the result of the exchange with the outcome of each call.
func TestRetries(t *testing.T) {
	t.Parallel()
	success, busy, notExist := answers(t)
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	tests := []struct {
		name     string
		steps    script
		want     error
		outcomes []Outcome
	}{
		{"first attempt", script{success}, nil, []Outcome{OutcomeSuccess}},
		{"busy twice", script{busy, busy, success}, nil, []Outcome{OutcomeBusy, OutcomeBusy, OutcomeSuccess}},
		{"always busy", script{busy}, ErrUnavailable, slices.Repeat([]Outcome{OutcomeBusy}, 5)},
		{"slow", script{after(2*time.Second, success)}, nil, []Outcome{OutcomeSuccess}},
		{"dropped", script{drops, success}, nil, []Outcome{OutcomeLost, OutcomeSuccess}},
		{"HTML", script{says("<html>"), success}, nil, []Outcome{OutcomeNotGateway, OutcomeSuccess}},
		{"redirect", script{redirect, success}, nil, []Outcome{OutcomeNotGateway, OutcomeSuccess}},
		{"hangs once", script{hangs, success}, nil, []Outcome{OutcomeTimeout, OutcomeSuccess}},
		{"always hangs", script{hangs}, ErrUnavailable, []Outcome{OutcomeTimeout, OutcomeTimeout}},
		{"code spent by a lost response", script{drops, notExist}, ErrCodeNotExist, []Outcome{OutcomeLost, OutcomeCodeNotExist}},
		{"a verdict", script{notExist, success}, ErrCodeNotExist, []Outcome{OutcomeCodeNotExist}},
		{"untrusted", script{says("{}"), success}, ErrUntrusted, []Outcome{OutcomeUntrusted}},
		{"rejected", script{says(`{"error_response":{"code":"40002"}}`), success}, ErrRejected, []Outcome{OutcomeRejected}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tt.steps)
				grant, err := b.Exchange(t.Context(), testCode)
				elapsed := time.Since(b.began)
				calls, overlap := b.calls()
				if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if got := outcomes(b.attempts); !slices.Equal(got, tt.outcomes) || len(calls) != len(got) {
					t.Errorf("got %v in %d calls, want %v", got, len(calls), tt.outcomes)
				}
				if overlap {
					t.Error("two attempts at the same time")
				}
				if elapsed > defaultTimeout {
					t.Errorf("took %s, budget %s", elapsed, defaultTimeout)
				}
				for i, a := range b.attempts {
					if a.Retry != (i > 0) {
						t.Errorf("attempt %d: %+v", i, a)
					}
				}
				// Sending takes no time in the bubble.
				if sent := b.began.Add(calls[len(calls)-1]); err == nil && !grant.ExchangedAt.Equal(sent) {
					t.Errorf("ExchangedAt: got %s, want %s", grant.ExchangedAt, sent)
				}
			})
		})
	}
}

func TestBackoffGrows(t *testing.T) {
	t.Parallel()
	_, busy, _ := answers(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, script{busy})
		_, _ = b.Exchange(t.Context(), testCode)
		calls, _ := b.calls()
		for i, nominal := range []time.Duration{200, 400, 800, 1600} {
			nominal *= time.Millisecond
			if gap := calls[i+1] - calls[i]; gap < nominal*3/4 || gap > nominal*5/4 {
				t.Errorf("gap %d: got %s, want about %s", i, gap, nominal)
			}
		}
	})
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[backoff(1)] = true
	}
	if len(seen) < 50 {
		t.Errorf("jitter: got %d different waits of 100", len(seen))
	}
}

// No attempt starts without at least half of its timeout left, and none exceeds the timeout of the exchange.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	success, busy, _ := answers(t)
	tests := []struct {
		name             string
		timeout, attempt time.Duration
		deadline         time.Duration // of the caller; 0 for none
		steps            script
		calls            int
		elapsed          time.Duration // exact
	}{
		{"second attempt cut by the timeout of the exchange", 10 * time.Second, 6 * time.Second, 0, script{hangs}, 2, 10 * time.Second},
		{"no room for a second", 8 * time.Second, 6 * time.Second, 0, script{hangs}, 1, 6 * time.Second},
		{"no room after a busy response", 4 * time.Second, 4 * time.Second, 0, script{after(1900*time.Millisecond, busy)}, 1, 1900 * time.Millisecond},
		{"caller's deadline cuts the attempt", 10 * time.Second, 6 * time.Second, 4 * time.Second, script{hangs}, 1, 4 * time.Second},
		{"caller's deadline leaves half an attempt", 10 * time.Second, 4 * time.Second, 2 * time.Second, script{hangs}, 1, 2 * time.Second},
		{"caller's deadline leaves no room at all", 10 * time.Second, 6 * time.Second, 2 * time.Second, script{success}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tt.steps, func(cfg *Config) { cfg.Timeout, cfg.AttemptTimeout = tt.timeout, tt.attempt })
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				_, err := b.Exchange(ctx, testCode)
				if elapsed := time.Since(b.began); elapsed != tt.elapsed {
					t.Errorf("took %s, want %s", elapsed, tt.elapsed)
				}
				if calls, _ := b.calls(); !errors.Is(err, ErrUnavailable) || len(calls) != tt.calls {
					t.Errorf("got %v after %d calls, want %d", err, len(calls), tt.calls)
				}
			})
		})
	}
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	_, busy, _ := answers(t)
	tests := []struct {
		name    string
		steps   script
		at      time.Duration
		outcome Outcome
	}{
		{"while waiting for the response", script{hangs}, time.Second, OutcomeCancelled},
		{"between attempts", script{busy}, 100 * time.Millisecond, OutcomeBusy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tt.steps)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(tt.at, cancel)
				_, err := b.Exchange(ctx, testCode)
				if elapsed := time.Since(b.began); elapsed != tt.at {
					t.Errorf("took %s, want %s", elapsed, tt.at)
				}
				if got := outcomes(b.attempts); !errors.Is(err, ErrUnavailable) || !slices.Equal(got, []Outcome{tt.outcome}) {
					t.Errorf("got %v, %v", err, got)
				}
				if tt.outcome == OutcomeCancelled && !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want the cause in it", err)
				}
			})
		})
	}
}

func TestCanceledBeforeTheFirstAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, script{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Exchange(ctx, testCode); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) || len(b.attempts) != 0 {
			t.Errorf("got %v after %d attempts, want the cause in it, and none", err, len(b.attempts))
		}
	})
}

func TestProbe(t *testing.T) {
	t.Parallel()
	_, busy, notExist := answers(t)
	dated := func(next http.HandlerFunc, ahead time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			next(w, r)
		}
	}
	success, _, _ := answers(t)
	tests := []struct {
		name string
		step http.HandlerFunc
		want error
		skew time.Duration
	}{
		{"everything right", dated(notExist, 0), ErrCodeNotExist, 0},
		{"slow", after(2*time.Second, dated(after(2*time.Second, notExist), 0)), ErrCodeNotExist, 0},
		{"clock behind", dated(notExist, 5*time.Minute), ErrCodeNotExist, 5 * time.Minute},
		{"busy", dated(busy, -time.Hour), ErrUnavailable, -time.Hour},
		{"unknown application", dated(says(`{"error_response":{"code":"40002","sub_code":"isv.invalid-app-id"}}`), 0), ErrRejected, 0},
		{"an operator for an impossible code", dated(success, 0), ErrUntrusted, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, script{tt.step})
				p, err := b.Probe(t.Context())
				if !errors.Is(err, tt.want) || asError(err).Advice() == "" {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if p.Date.IsZero() || (p.Skew-tt.skew).Abs() > time.Second {
					t.Errorf("got %+v, want skew %s", p, tt.skew)
				}
				if calls, _ := b.calls(); len(calls) != 1 || len(b.attempts) != 0 {
					t.Errorf("got %d calls, %d attempts reported", len(calls), len(b.attempts))
				}
			})
		})
	}
}

// A row is MaxConns, and how many of 70 calls are open at the same time.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	for maxConns, want := range map[int]int{-1: 64, 0: 64, 1: 1, 2: 2, 100: 70} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, script{hangs}, func(cfg *Config) { cfg.MaxConns, cfg.OnAttempt = maxConns, nil })
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for range 70 {
				wg.Go(func() {
					if _, err := b.Exchange(ctx, testCode); !errors.Is(err, context.Canceled) {
						t.Errorf("got %v, want canceled", err)
					}
				})
			}
			synctest.Wait()
			if calls, _ := b.calls(); len(calls) != want {
				t.Errorf("%d: got %d calls at once, want %d", maxConns, len(calls), want)
			}
			cancel()
			wg.Wait()
		})
	}
}

// Each attempt has a span, which holds nothing of the code.
func TestSpans(t *testing.T) {
	t.Parallel()
	success, busy, _ := answers(t)
	traced := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("trace_id", "id of "+testCode)
			next(w, r)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("")
		b := newBench(t, script{traced(busy), traced(success)}, func(cfg *Config) { cfg.Tracer = tracer })
		if _, err := b.Exchange(t.Context(), testCode); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range spans.Ended() {
			got = append(got, fmt.Sprintf("%s %s %s", s.Name(), s.SpanKind(), s.Status().Code))
			for _, a := range s.Attributes() {
				got = append(got, fmt.Sprint(a.Key, "=", a.Value.String()))
			}
		}
		want := []string{
			queryMethod + " client Error", "alipay.outcome=busy", "alipay.trace_id=idof" + redacted, "alipay.retry=false",
			queryMethod + " client Unset", "alipay.outcome=success", "alipay.trace_id=idof" + redacted, "alipay.retry=true",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A row is the error of the transport, and the outcome.
func TestLostRequests(t *testing.T) {
	t.Parallel()
	timedOut := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}
	for _, tt := range []struct {
		name  string
		err   error
		wait  bool // until the attempt's time is over
		want  Outcome
		cause error
	}{
		{"the system's timeout", timedOut, false, OutcomeTimeout, nil},
		{"a reset connection", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, false, OutcomeLost, nil},
		{"another error", io.ErrUnexpectedEOF, false, OutcomeLost, nil},
		{"another error after the timeout", io.ErrUnexpectedEOF, true, OutcomeTimeout, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newTestClient(t, testConfig(t))
			c.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				if tt.wait {
					<-r.Context().Done()
				}
				return nil, tt.err
			})
			_, err := c.Probe(t.Context()) // one call, no retries
			if got := outcomeOf(err); got != tt.want || tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
			}
		})
	}
}

// A connection is kept for the next call, but not for longer than a proxy keeps it.
func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	_, _, notExist := answers(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, script{notExist})
		transport := b.transport.(*http.Transport)
		connections, dial := 0, transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			connections++
			return dial(ctx, network, address)
		}
		for i, pause := range []time.Duration{0, 89 * time.Second, 91 * time.Second} {
			<-time.After(pause)
			_, _ = b.Exchange(t.Context(), testCode)
			if want := 1 + i/2; connections != want {
				t.Errorf("after %s: got %d connections, want %d", pause, connections, want)
			}
		}
	})
}
