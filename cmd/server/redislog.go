package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// redisLog writes go-redis's messages to our log. They concern connections. The line of a request names what concerns the
// request.
//
// go-redis repeats a message for every command that fails. It is written once in quietFor: the line of the readiness check
// says that Redis is unreachable.
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
