package main

import (
	"context"
	"fmt"
	"log/slog"
)

// redisLog takes what go-redis has to say into our log. It speaks of connections only; what matters to a request is in
// that request's own line.
type redisLog struct{ log *slog.Logger }

// Printf is called by go-redis.
func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, fmt.Sprintf(format, args...))
}
