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
		if err := h.admission.enter(); err != nil {
			return err
		}
		leave := sync.OnceFunc(h.admission.leave)
		defer leave()
		whenReady(w, func() {
			leave()
			// The server's WriteTimeout began with the request. It may have passed by now.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(FetchTimeout))
		})
		return f(w, r)
	}
}

// admission limits the requests that are processed at the same time.
type admission struct {
	mu       sync.Mutex
	limit    int
	active   int
	draining bool
	empty    chan struct{} // closed when draining and active is 0
}

func newAdmission(limit int) *admission { return &admission{limit: limit, empty: make(chan struct{})} }

func (a *admission) enter() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return landing.ErrDraining
	case a.active >= a.limit:
		return errBusy
	}
	a.active++
	return nil
}

func (a *admission) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.active--
	if a.draining && a.active == 0 {
		close(a.empty)
	}
}

func (a *admission) drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.draining {
		return
	}
	a.draining = true
	if a.active == 0 {
		close(a.empty)
	}
}

// Drain refuses new requests on the public listener from now on. The channel is closed when the requests in progress are
// done.
func (h *Handler) Drain() <-chan struct{} {
	h.admission.drain()
	return h.admission.empty
}
