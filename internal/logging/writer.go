// Package logging writes the log without ever blocking the program.
//
// A log is often a pipe, and a pipe blocks its writer when nobody reads. So a [Writer] keeps lines in a bounded buffer, and
// one goroutine writes them out. When the buffer is full, new lines are dropped and counted. When the log accepts lines
// again, one line reports how many were dropped.
package logging

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// maxBuffered bounds the bytes that wait to be written: about 4,000 lines. The goroutine may hold as many again.
	maxBuffered = 1 << 20

	// maxChunk bounds the bytes of one write. Linux writes up to PIPE_BUF bytes (4,096) to a pipe as a whole or not at
	// all. So a process that exits while its log is blocked leaves no partial line behind.
	maxChunk = 4 << 10
)

// Writer is an io.Writer that never blocks and never fails. Each call of Write must pass whole lines.
type Writer struct {
	out  io.Writer
	wake chan struct{} // holds one signal
	done chan struct{} // closed when the goroutine has ended
	torn bool          // the last write ended within a line; for the goroutine alone

	mu         sync.Mutex
	buffer     []byte
	closed     bool
	dropped    uint64 // lines since the start
	unreported uint64 // lines since the last report
	report     func(lines uint64) []byte
}

// NewWriter returns a Writer to out. Close ends its goroutine.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write adds lines to the buffer, or drops them when the buffer is full.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	if w.closed || len(w.buffer)+len(lines) > maxBuffered {
		w.drop(lines)
	} else {
		w.buffer = append(w.buffer, lines...)
	}
	w.mu.Unlock()
	w.signal()
	return len(lines), nil
}

// Dropped returns how many lines were dropped since the start.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Close writes out the buffer. It gives up after timeout, because a reader that has stopped must not keep the process
// from exiting. Lines that come later are dropped.
func (w *Writer) Close(timeout time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	select {
	case <-w.done:
	case <-time.After(timeout):
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// drop counts lines as dropped. The caller holds the lock.
func (w *Writer) drop(lines []byte) {
	n := uint64(bytes.Count(lines, []byte{'\n'}))
	w.dropped += n
	w.unreported += n
}

func (w *Writer) run() {
	defer close(w.done)
	var spare []byte
	for range w.wake {
		var closed bool
		for more := true; more; {
			spare, more, closed = w.flush(spare)
		}
		if closed {
			return
		}
	}
}

// flush writes out the buffer and leaves an empty one, spare, in its place. It returns the next spare, whether there was
// anything to write, and whether the Writer was closed before.
func (w *Writer) flush(spare []byte) (next []byte, more, closed bool) {
	w.mu.Lock()
	lines, missing, report, closed := w.buffer, w.unreported, w.report, w.closed
	w.buffer = spare[:0]
	w.mu.Unlock()

	accepted := w.writeAll(lines)
	// Lines are dropped when the buffer is full, so the missing lines belong behind those that it held.
	if missing > 0 && report != nil && accepted && w.write(report(missing)) == 0 {
		w.mu.Lock()
		w.unreported -= missing
		w.mu.Unlock()
	}
	return lines, len(lines) > 0, closed
}

// writeAll writes lines in chunks and reports whether the last chunk was accepted. It counts what was not as dropped.
func (w *Writer) writeAll(lines []byte) bool {
	accepted := true
	for len(lines) > 0 {
		n := chunkSize(lines)
		lost := w.write(lines[:n])
		if accepted = lost == 0; !accepted {
			w.mu.Lock()
			w.drop(lines[n-lost : n])
			w.mu.Unlock()
		}
		lines = lines[n:]
	}
	return accepted
}

// chunkSize returns the size of as many whole lines as one write may hold, at least one.
func chunkSize(lines []byte) int {
	if len(lines) <= maxChunk {
		return len(lines)
	}
	if i := bytes.LastIndexByte(lines[:maxChunk], '\n'); i >= 0 {
		return i + 1
	}
	if i := bytes.IndexByte(lines, '\n'); i >= 0 {
		return i + 1
	}
	return len(lines)
}

// write writes whole lines and returns how many bytes were not accepted.
func (w *Writer) write(lines []byte) (lost int) {
	if w.torn {
		if _, err := w.out.Write([]byte{'\n'}); err != nil {
			return len(lines)
		}
		w.torn = false
	}
	n, err := w.out.Write(lines)
	if n > 0 {
		w.torn = lines[n-1] != '\n'
	}
	if err != nil {
		return len(lines) - n
	}
	return 0
}
