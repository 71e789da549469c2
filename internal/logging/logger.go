package logging

import (
	"bytes"
	"io"
	"log/slog"
	"unicode/utf8"
)

// Format says how a line looks.
type Format string

// The formats.
const (
	JSON Format = "json"
	Text Format = "text"
)

// maxValue bounds each value of a line in bytes. Visitors and the gateway choose some values, which would otherwise make
// lines of 50 kB. A stack trace fits.
const maxValue = 4 << 10

// Logger returns a logger whose lines go through the Writer, as do the Writer's own reports. Call it once.
func (w *Writer) Logger(format Format, level slog.Level) *slog.Logger {
	var line bytes.Buffer
	reports := slog.New(newHandler(&line, format, slog.LevelDebug))
	w.mu.Lock()
	w.report = func(lines uint64) []byte {
		line.Reset()
		reports.Warn("log lines dropped", "lines", lines)
		return line.Bytes()
	}
	w.mu.Unlock()
	return slog.New(newHandler(w, format, level))
}

func newHandler(out io.Writer, format Format, level slog.Level) slog.Handler {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: bounded}
	if format == Text {
		return slog.NewTextHandler(out, o)
	}
	return slog.NewJSONHandler(out, o)
}

// bounded cuts an attribute that is too long.
func bounded(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); len(s) > maxValue {
			a.Value = slog.StringValue(cut(s))
		}
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(cut(err.Error()))
		}
	}
	return a
}

// cut returns the beginning of a text, whole characters only.
func cut(s string) string {
	if len(s) <= maxValue {
		return s
	}
	end := maxValue
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
