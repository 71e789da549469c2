package koubeisim

import "net/http"

// Handler serves everything on one listener: the gateway at /gateway.do, portal and control API around it.
func (k *Koubei) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/gateway.do", k.Gateway())
	mux.Handle("/", k.Portal())
	return mux
}

// Portal is Koubei as people see it, and the control API for programs. It mints operators: it belongs on loopback, or
// inside a test network.
func (k *Koubei) Portal() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", k.showPortal)
	mux.HandleFunc("GET /enter", k.enter)
	mux.HandleFunc("GET /frame", k.frame)
	mux.HandleFunc("POST /faults/clear", k.clearQueue)
	mux.HandleFunc("POST /release", k.releaseHeld)
	mux.HandleFunc("GET /portal.css", stylesheet)
	mux.HandleFunc("GET /healthz", healthy)

	mux.HandleFunc("GET /api/app", k.apiApp)
	mux.HandleFunc("POST /api/codes", k.apiIssue)
	mux.HandleFunc("GET /api/faults", k.apiFaults)
	mux.HandleFunc("POST /api/faults", k.apiQueueFaults)
	mux.HandleFunc("DELETE /api/faults", k.apiClearFaults)
	mux.HandleFunc("POST /api/release", k.apiRelease)
	mux.HandleFunc("POST /api/certificate/roll", k.apiRoll)
	mux.HandleFunc("GET /api/calls", k.apiCalls)
	return k.guard(mux)
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}
