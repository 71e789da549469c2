package main

import (
	"log/slog"
	"strings"

	"koubei-landing/internal/logging"
)

// logSettings are the settings of the log.
type logSettings struct {
	LogLevel  string `default:"info" help:"debug, info, warn or error."`
	LogFormat string `default:"json" help:"json or text."`
}

// parse returns the log, which writes to w.
func (s logSettings) parse(p *parser, w *logging.Writer) *slog.Logger {
	var level slog.Level
	switch oneOf(p, "LOG_LEVEL", strings.ToLower(s.LogLevel), "debug", "info", "warn", "error") {
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	return w.Logger(oneOf(p, "LOG_FORMAT", s.LogFormat, logging.JSON, logging.Text), level)
}
