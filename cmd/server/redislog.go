package main

import (
	"context"
	"fmt"
	"log/slog"
)

// redisLog writes go-redis's messages to our log. They concern connections. The line of a request names what concerns the
// request.
type redisLog struct{ log *slog.Logger }

// Printf is called by go-redis.
func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, "redis client", "message", fmt.Sprintf(format, args...))
}
