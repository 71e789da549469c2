package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// piped is the real program with a real pipe for its output. The test may stop reading.
type piped struct {
	*exec.Cmd
	t       *testing.T
	ended   chan error
	koubei  *koubeisim.Koubei
	reader  *os.File
	lines   *bufio.Scanner
	client  *http.Client
	public  string
	checked string // an address of the internal listener whose requests are logged
}

// startPiped starts the program and reads its output until it serves.
func startPiped(t *testing.T) *piped {
	t.Helper()
	env, k := good(t)
	env["REDIS_URL"] = testworld.StartRedis(t).URL()
	env["ACCESS_LOG"] = "all"
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	if err := reader.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	p := &piped{Cmd: exec.Command(testworld.Build(t, "server")), t: t, ended: make(chan error, 1), koubei: k, reader: reader, lines: bufio.NewScanner(reader)}
	p.Env, p.Stdout, p.Stderr = environ(env), writer, writer
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
	})
	for p.public == "" {
		var l struct{ Msg, Public, Internal string }
		p.read(&l)
		if l.Msg == "serving" {
			p.public, p.checked = "http://"+l.Public, "http://"+l.Internal+"/auth/verify"
		}
	}
	if err := k.SetLandingURL(p.public + "/koubei/callback"); err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.client = &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(p.client.CloseIdleConnections)
	return p
}

// read reads the next line of the output.
func (p *piped) read(line any) {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("the output has ended: %v", p.lines.Err())
	}
	if err := json.Unmarshal(p.lines.Bytes(), line); err != nil {
		p.t.Fatalf("%v: %s", err, p.lines.Text())
	}
}

func (p *piped) get(address string) (status int, took time.Duration) {
	p.t.Helper()
	begun := time.Now()
	a, err := p.client.Get(address)
	if err != nil {
		p.t.Errorf("%v", err)
		return 0, 0
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, a.Body)
	return a.StatusCode, time.Since(begun)
}

// load sends requests, four at a time, and returns the 99th percentile of their durations.
func (p *piped) load(requests int) time.Duration {
	p.t.Helper()
	var mu sync.Mutex
	var all []time.Duration
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range requests / 4 {
				status, took := p.get(p.checked)
				if status != http.StatusUnauthorized {
					p.t.Errorf("got %d", status)
				}
				mu.Lock()
				all = append(all, took)
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	slices.Sort(all)
	return all[len(all)*99/100]
}

func (p *piped) land() {
	p.t.Helper()
	if status, _ := p.get(p.koubei.LandingURL(p.koubei.Issue(testworld.Provider), koubeisim.Observed)); status != http.StatusSeeOther {
		p.t.Errorf("a landing: got %d, want 303", status)
	}
}

func (p *piped) dropped() (n uint64) {
	p.t.Helper()
	a, err := p.client.Get(strings.Replace(p.checked, "/auth/verify", "/metrics", 1))
	if err != nil {
		p.t.Fatal(err)
	}
	defer a.Body.Close()
	body, _ := io.ReadAll(a.Body)
	_, after, _ := strings.Cut(string(body), "\nkoubei_log_lines_dropped_total ")
	if _, err := fmt.Sscan(after, &n); err != nil {
		p.t.Fatal("no koubei_log_lines_dropped_total")
	}
	return n
}

// terminate sends SIGTERM and checks that the program exits with 0.
func (p *piped) terminate() {
	p.t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		p.ended <- err
		if err != nil {
			p.t.Errorf("it ended with %v, want success", err)
		}
	case <-time.After(6 * time.Second):
		p.t.Errorf("it still runs 6s after SIGTERM")
	}
}

// While nobody reads the log, requests are as fast as before, and SIGTERM ends the program in time. When a reader
// continues, the log continues with one report of the missing lines.
func TestUnreadLog(t *testing.T) {
	t.Parallel()
	const enough = 6000 // lines to fill the pipe and the buffer
	for _, resumed := range []bool{false, true} {
		t.Run(fmt.Sprintf("read again %t", resumed), func(t *testing.T) {
			t.Parallel()
			p := startPiped(t)
			usual := make(chan time.Duration)
			go func() { usual <- p.load(400) }()
			for requests := 0; requests < 400; {
				var l struct{ Msg string }
				if p.read(&l); l.Msg == "request" {
					requests++
				}
			}
			if usual, blocked := <-usual, p.load(enough); blocked > usual+100*time.Millisecond {
				t.Errorf("requests took %s, and %s while the log was blocked", usual, blocked)
			}
			p.land()
			dropped := p.dropped()
			if dropped == 0 {
				t.Error("no line was dropped")
			}
			if !resumed {
				p.terminate()
				return
			}
			var l struct {
				Msg   string
				Lines uint64
			}
			kept := uint64(0)
			for p.read(&l); l.Msg != "log lines dropped"; p.read(&l) {
				kept++
			}
			// A check writes one line; the landing and its request write two.
			if l.Lines < dropped || kept+l.Lines < enough+2 {
				t.Errorf("got a report of %d lines behind %d, want %d dropped of at least %d", l.Lines, kept, dropped, enough+2)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); p.terminate() }()
			last := ""
			for p.lines.Scan() {
				last = p.lines.Text()
			}
			<-ended
			if !strings.Contains(last, `"msg":"stopped"`) {
				t.Errorf("the last line is %s, want stopped", last)
			}
		})
	}
}

// The log's reader exits during an exchange. The exchange and the program continue.
func TestLogReaderExits(t *testing.T) {
	t.Parallel()
	p := startPiped(t)
	p.koubei.Next(koubeisim.SpendThenHold)
	landed := make(chan struct{})
	go func() { defer close(landed); p.land() }()
	if err := p.koubei.AwaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	p.reader.Close()
	if status, _ := p.get(p.checked); status != http.StatusUnauthorized { // writes a line
		t.Errorf("a check: got %d", status)
	}
	testworld.Eventually(t, 10*time.Second, "lines are dropped", func() error {
		if p.dropped() == 0 {
			return fmt.Errorf("none is")
		}
		return nil
	})
	p.koubei.Release()
	<-landed
	p.land()
	p.terminate()
}
