package logging_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"koubei-landing/internal/logging"
	"koubei-landing/internal/testworld"
)

// line is one line of the log.
type line struct {
	Msg   string
	N     int    // of a numbered line
	Lines uint64 // of a report
}

func decode(t *testing.T, text string) line {
	t.Helper()
	var l line
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return l
}

// pipe returns a real pipe and a Writer to it.
func pipe(t *testing.T) (in, out *os.File, w *logging.Writer) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	return in, out, logging.NewWriter(out)
}

// numbered logs numbered lines of 300 bytes.
func numbered(log *slog.Logger, lines int) {
	for n := range lines {
		log.Info("numbered", "n", n, "padding", strings.Repeat("x", 200))
	}
}

func TestEveryLineIsWritten(t *testing.T) {
	t.Parallel()
	const lines = 3000
	in, out, w := pipe(t)
	read := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(in)
		read <- string(all)
	}()
	numbered(w.Logger(logging.JSON, slog.LevelInfo), lines)
	w.Close(10 * time.Second)
	out.Close()
	got := strings.Split(strings.TrimSuffix(<-read, "\n"), "\n")
	if len(got) != lines || w.Dropped() != 0 {
		t.Fatalf("got %d lines, %d dropped, want %d and none", len(got), w.Dropped(), lines)
	}
	for n, text := range got {
		if l := decode(t, text); l.N != n {
			t.Fatalf("got line %d at place %d", l.N, n)
		}
	}
}

// While the reader is stopped, no call waits for it and the buffer stays bounded. When it reads again, it gets the buffered
// lines in order, followed by one report of the dropped lines.
func TestABlockedReader(t *testing.T) {
	t.Parallel()
	const lines = 30000
	in, _, w := pipe(t)
	log := w.Logger(logging.JSON, slog.LevelInfo)
	numbered(log, lines)
	dropped := w.Dropped()
	if kept := lines - dropped; kept < 3000 || kept > 12000 {
		t.Errorf("%d lines were kept, want a bounded buffer full", kept)
	}
	numberedLine, reports, kept := -1, 0, uint64(0)
	s := bufio.NewScanner(in)
	for s.Scan() {
		l := decode(t, s.Text())
		if l.Msg == "log lines dropped" {
			reports++
			if l.Lines != dropped || kept+dropped != lines {
				t.Errorf("got a report of %d behind %d lines, want %d of %d", l.Lines, kept, dropped, lines)
			}
			log.Info("after", "n", lines)
			continue
		}
		if l.N <= numberedLine {
			t.Fatalf("got line %d after %d", l.N, numberedLine)
		}
		numberedLine = l.N
		kept++
		if l.Msg == "after" {
			break
		}
	}
	if reports != 1 {
		t.Errorf("got %d reports, want one", reports)
	}
}

// A reader that never reads does not keep the process from exiting, and gets no partial line.
func TestCloseGivesUp(t *testing.T) {
	t.Parallel()
	in, _, w := pipe(t)
	numbered(w.Logger(logging.JSON, slog.LevelInfo), 30000)
	begun := time.Now()
	w.Close(200 * time.Millisecond)
	if took := time.Since(begun); took < 150*time.Millisecond || took > 2*time.Second {
		t.Errorf("Close took %s, want 200ms", took)
	}
	pipeful := make([]byte, 1<<20)
	n, err := in.Read(pipeful)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(pipeful[:n])) {
		decode(t, text)
	}
}

// disk is an output that may be full.
type disk struct {
	mu      sync.Mutex
	content bytes.Buffer
	full    bool
	room    int // bytes that it accepts although it is full
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.full || len(b) <= d.room {
		return d.content.Write(b)
	}
	n, _ := d.content.Write(b[:d.room])
	d.room = 0
	return n, syscall.ENOSPC
}

func (d *disk) set(full bool, room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full, d.room = full, room
}

func (d *disk) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(strings.Lines(d.content.String()))
}

// A full disk loses only the lines that are written while it is full. A partial line is ended before the next line.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, room := range []int{0, 20} {
		d := &disk{}
		w := logging.NewWriter(d)
		log := w.Logger(logging.Text, slog.LevelInfo)
		log.Info("before")
		testworld.Eventually(t, 30*time.Second, "the first line is written", func() error {
			if n := len(d.lines()); n != 1 {
				return fmt.Errorf("%d lines", n)
			}
			return nil
		})
		d.set(true, room)
		log.Info("lost")
		testworld.Eventually(t, 30*time.Second, "the line is dropped", func() error {
			if n := w.Dropped(); n != 1 {
				return fmt.Errorf("%d dropped", n)
			}
			return nil
		})
		d.set(false, 0)
		log.Info("after")
		w.Close(5 * time.Second)
		got := d.lines()
		if room > 0 { // the part of the lost line
			if len(got[1]) != room+1 {
				t.Errorf("got %q, want %d bytes of the lost line", got[1], room)
			}
			got = slices.Delete(got, 1, 2)
		}
		// The report may be written before the next line.
		want := []string{"msg=before", "msg=after", `msg="log lines dropped" lines=1`}
		for _, text := range want {
			if len(got) != len(want) || !strings.Contains(strings.Join(got, ""), text) {
				t.Errorf("room for %d bytes: got %q, want %q", room, got, want)
			}
		}
	}
}

func TestALongValueIsCut(t *testing.T) {
	t.Parallel()
	for _, format := range []logging.Format{logging.JSON, logging.Text} {
		d := &disk{}
		w := logging.NewWriter(d)
		long := strings.Repeat("é", 50<<10)
		w.Logger(format, slog.LevelInfo).With("with", long).Info(long, "text", long, "error", errors.New(long), slog.Group("group", "member", long))
		w.Close(5 * time.Second)
		got := d.lines()
		if len(got) != 1 || len(got[0]) > 25<<10 || !utf8.ValidString(got[0]) {
			t.Errorf("%s: got %d lines, want one of at most 25 KiB", format, len(got))
		}
		if format == logging.JSON {
			decode(t, got[0])
		}
	}
}

// A named pipe whose reader exits refuses lines until another reader comes.
func TestReaderIsReplaced(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	read := func() *os.File {
		f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := read()
	out, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := logging.NewWriter(out)
	log := w.Logger(logging.Text, slog.LevelInfo)
	log.Info("before")
	if text, err := bufio.NewReader(first).ReadString('\n'); err != nil || !strings.Contains(text, "before") {
		t.Fatalf("got %q, %v", text, err)
	}
	first.Close()
	log.Info("lost")
	testworld.Eventually(t, 30*time.Second, "the line is dropped", func() error {
		if n := w.Dropped(); n != 1 {
			return fmt.Errorf("%d dropped", n)
		}
		return nil
	})
	second := read()
	defer second.Close()
	log.Info("after")
	lines := bufio.NewScanner(second)
	var got []string // in either order: the report may be written before the next line
	for len(got) < 2 && lines.Scan() {
		got = append(got, lines.Text())
	}
	for _, want := range []string{"msg=after", `msg="log lines dropped" lines=1`} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	w.Close(time.Second)
}
