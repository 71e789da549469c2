package handler

import (
	"net/http"
	"sync"
	"time"

	"koubei-landing/internal/landing"
)

// FetchTimeout is how long a client may take to fetch a response that is ready.
const FetchTimeout = 10 * time.Second

// admit takes one of the MAX_REQUESTS places for as long as f works. It gives the place back when the response is ready
// to be sent: a client that does not fetch its response occupies no place. It fails with errBusy or
// landing.ErrDraining.
func (h *Handler) admit(f handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h.gate.enter(); err != nil {
			return err
		}
		leave := sync.OnceFunc(h.gate.leave)
		defer leave()
		whenReady(w, func() {
			leave()
			// The server's WriteTimeout began with the request. It may have passed by now.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(FetchTimeout))
		})
		return f(w, r)
	}
}

// gate counts the requests in progress.
type gate struct {
	mu       sync.Mutex
	most     int
	inside   int
	draining bool
	empty    chan struct{} // closed when draining and inside is 0
}

func newGate(most int) *gate { return &gate{most: most, empty: make(chan struct{})} }

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return landing.ErrDraining
	case g.inside >= g.most:
		return errBusy
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.draining && g.inside == 0 {
		close(g.empty)
	}
}

func (g *gate) drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return
	}
	g.draining = true
	if g.inside == 0 {
		close(g.empty)
	}
}

// Drain refuses new requests on the public listener from now on. The channel is closed when the requests in progress are
// done.
func (h *Handler) Drain() <-chan struct{} {
	h.gate.drain()
	return h.gate.empty
}
