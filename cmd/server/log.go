package main

import (
	"io"
	"log/slog"
	"strings"
)

// logSettings are the settings of the log.
type logSettings struct {
	LogLevel  string `default:"info" help:"debug, info, warn or error."`
	LogFormat string `default:"json" help:"json or text."`
}

// parse returns the log, which writes to w.
func (s logSettings) parse(p *parser, w io.Writer) *slog.Logger {
	var level slog.Level
	switch p.oneOf("LOG_LEVEL", strings.ToLower(s.LogLevel), "debug", "info", "warn", "error") {
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	o := &slog.HandlerOptions{Level: level}
	if p.oneOf("LOG_FORMAT", s.LogFormat, "json", "text") == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
