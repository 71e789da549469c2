package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// redisLog writes go-redis's messages to the service's log. They are about connections. A request's log line contains the
// errors of the request.
//
// go-redis repeats a message for every command that fails. redisLog writes the message once in quietFor, because the
// readiness check already logs that Redis is unreachable.
type redisLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]time.Time // when each message was written, by its format
}

const quietFor = 10 * time.Second

func newRedisLog(log *slog.Logger) *redisLog {
	return &redisLog{log: log, last: map[string]time.Time{}}
}

// Printf is called by go-redis.
func (l *redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.mu.Lock()
	repeated := time.Since(l.last[format]) < quietFor
	if !repeated {
		l.last[format] = time.Now()
	}
	l.mu.Unlock()
	if !repeated {
		l.log.WarnContext(ctx, "redis client", "message", fmt.Sprintf(format, args...))
	}
}
