package handler

import (
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"
)

const (
	// limitedInterval is the minimum time between two log lines about one client.
	limitedInterval = time.Minute

	// maxLimited bounds the clients to remember. Further clients get no line until older ones are removed.
	maxLimited = 4096
)

// limitedLog names the clients over CALLBACK_RATE in the log. The line of each request has no address.
type limitedLog struct {
	mu   sync.Mutex
	last map[string]time.Time // when each client was last logged
}

// due reports whether to log a client now.
func (l *limitedLog) due(client string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[client]; ok && now.Sub(last) < limitedInterval {
		return false
	}
	if len(l.last) >= maxLimited {
		maps.DeleteFunc(l.last, func(_ string, last time.Time) bool { return now.Sub(last) >= limitedInterval })
	}
	if len(l.last) >= maxLimited {
		return false
	}
	if l.last == nil {
		l.last = map[string]time.Time{}
	}
	l.last[client] = now
	return true
}

// logLimited writes a line about the client of a landing that was over CALLBACK_RATE.
func (h *Handler) logLimited(r *http.Request) {
	if client := h.client(r); h.limited.due(client, h.Now()) {
		h.Log.LogAttrs(r.Context(), slog.LevelWarn, "landing rate limited", slog.String("client", client))
	}
}
