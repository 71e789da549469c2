package handler

import (
	"net/http"
	"strings"
	"sync"
)

// Limits on what a request may weigh.
const (
	maxURI     = 8 << 10
	maxHeaders = 32 << 10
	maxForm    = 16 << 10

	// MaxHeaderBytes is for the server: above our own limit, so that what is a little too much is told with a page.
	MaxHeaderBytes = 64 << 10
)

// policy is the headers that hold a browser to what our pages need.
type policy struct {
	csp            string
	framedAnywhere string
	hsts           string
}

func newPolicy(o Options) policy {
	forms := strings.Join(append([]string{"'self'"}, o.ReturnToOrigins...), " ")
	csp := "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action " + forms + "; frame-ancestors "
	p := policy{csp: csp + "'none'", framedAnywhere: csp + "*"}
	if len(o.FrameAncestors) > 0 {
		p.csp = csp + strings.Join(o.FrameAncestors, " ")
	}
	if o.PublicURL.Scheme == "https" {
		p.hsts = "max-age=31536000"
	}
	return p
}

func (p policy) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", p.csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if p.hsts != "" {
			h.Set("Strict-Transport-Security", p.hsts)
		}
		next.ServeHTTP(w, r)
	})
}

// limits refuses what weighs too much.
func limits(fail failFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case len(r.RequestURI) > maxURI:
				fail(w, r, errURITooLong)
			case headerSize(r.Header) > maxHeaders:
				fail(w, r, errHeaders)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

func headerSize(h http.Header) int {
	size := 0
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	return size
}

// admit lets requests in while there is room and the service isn't shutting down.
func (h *Handler) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.gate.enter(); err != nil {
			if err == errDraining {
				w.Header().Set("Connection", "close")
			}
			h.fail(w, r, err)
			return
		}
		defer h.gate.leave()
		next.ServeHTTP(w, r)
	})
}

// gate counts the requests in work.
type gate struct {
	mu       sync.Mutex
	most     int
	inside   int
	draining bool
	empty    chan struct{} // closed once draining and nobody is inside
}

func newGate(most int) *gate { return &gate{most: most, empty: make(chan struct{})} }

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return errDraining
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

// Drain refuses new requests on the public listener from now on; the channel is closed when those in work are done.
func (h *Handler) Drain() <-chan struct{} {
	h.gate.drain()
	return h.gate.empty
}
