package handler

import (
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/go-chi/chi/v5"
)

// Public serves browsers.
func (h *Handler) Public() http.Handler {
	r := chi.NewRouter()
	r.Use(ignoreBody, h.observe(listener{route: chiRoute, fail: h.fail, logged: h.AccessLog != AccessOff}), h.policy.headers, h.share, limits(h.fail))
	r.NotFound(h.page(h.admit(h.notFound)))
	r.MethodNotAllowed(h.page(h.admit(h.methodNotAllowed)))

	r.Get(h.CallbackPath, h.landed(noStore(h.admit(h.callback))))
	r.Head(h.CallbackPath, h.page(noStore(noContent))) // a link preview must not spend a code
	r.Post(h.CallbackPath+"/switch", h.landed(noStore(sameOrigin(h.forms, withForm(h.admit(h.decide))))))

	get(r, h.base+"/session", h.api(noStore(h.admit(h.session))))
	get(r, h.base+"/", h.page(noStore(h.admit(h.identity))))
	if h.base != "" {
		get(r, h.base, h.page(noStore(h.admit(h.identity))))
	}
	get(r, h.base+"/signin", h.page(noStore(h.admit(h.signIn))))
	get(r, h.base+"/signed-out", h.page(noStore(h.admit(h.signedOut))))
	r.Post(h.base+"/logout", h.page(noStore(sameOrigin(h.leaving, h.admit(h.logout)))))
	r.Post(h.base+"/forget", h.page(noStore(sameOrigin(h.leaving, h.admit(h.forget)))))
	get(r, h.base+"/.well-known/jwks.json", h.api(h.admit(h.jwks)))
	get(r, h.base+"/static/*", h.page(h.admit(h.static)))
	return r
}

// ownPaths are the paths of the public routes, below PUBLIC_URL's, beside the callback's.
var ownPaths = []string{"", "/session", "/signin", "/signed-out", "/logout", "/forget", "/static", "/.well-known"}

// Collision returns the route with which a callback's path, or what lies below it, collides; an empty string if there is
// none. base is the path of PUBLIC_URL, without a slash at its end.
func Collision(base, callback string) string {
	for _, path := range ownPaths {
		own := base + path
		if callback == own || callback == own+"/" || path != "" && strings.HasPrefix(callback, own+"/") || own == callback+"/switch" {
			return own
		}
	}
	return ""
}

// get routes HEAD like GET: net/http omits the body.
func get(r chi.Router, pattern string, handler http.HandlerFunc) {
	r.Get(pattern, handler)
	r.Head(pattern, handler)
}

// verifyPath is where proxies check requests.
const verifyPath = "/auth/verify"

// Internal serves proxies and administrators. Checks of proxies skip the mux, because they are nearly all of the requests.
func (h *Handler) Internal() http.Handler {
	checks := h.observe(listener{route: verifyRoute, fail: h.failJSON, logged: h.AccessLog == AccessAll, bare: true})(limits(h.failJSON)(h.api(h.verify)))
	others := h.operations()
	return ignoreBody(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == verifyPath {
			checks.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	}))
}

// operations serves administrators, probes and Prometheus.
func (h *Handler) operations() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", h.health)
	m.HandleFunc("GET /readyz", h.ready)
	m.Handle("GET /metrics", h.Metrics.Handler())
	m.HandleFunc("GET /openapi.json", h.openAPI())
	m.HandleFunc("GET /admin/operators/{operator_id}/sessions", h.api(noStore(h.admin(h.listSessions))))
	m.HandleFunc("DELETE /admin/operators/{operator_id}/sessions", h.api(noStore(h.admin(h.revokeSessions))))
	m.HandleFunc("/debug/pprof/", h.api(noStore(h.admin(profile(pprof.Index)))))
	m.HandleFunc("/debug/pprof/profile", h.api(noStore(h.admin(profile(pprof.Profile)))))
	m.HandleFunc("/debug/pprof/symbol", h.api(noStore(h.admin(profile(pprof.Symbol)))))
	m.HandleFunc("/debug/pprof/trace", h.api(noStore(h.admin(profile(pprof.Trace)))))
	m.HandleFunc("/", h.api(h.notFound))
	return h.observe(listener{route: muxRoute, fail: h.failJSON, logged: h.AccessLog == AccessAll})(limits(h.failJSON)(m))
}

func verifyRoute(*http.Request) string { return verifyPath }

func chiRoute(r *http.Request) string { return named(chi.RouteContext(r.Context()).RoutePattern()) }

// muxRoute returns the path of the pattern that matched. The method is a label of its own.
func muxRoute(r *http.Request) string {
	path := r.Pattern[strings.IndexByte(r.Pattern, ' ')+1:]
	return named(strings.TrimSuffix(path, "/"))
}

// named returns a route as a metric's label: "other" for requests that matched no route.
func named(pattern string) string {
	if pattern == "" || pattern == "/*" {
		return "other"
	}
	return pattern
}

func noContent(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) notFound(http.ResponseWriter, *http.Request) error { return errNotFound }

// methodNotAllowed sets Allow to the methods of the route. chi does so only in its own response.
func (h *Handler) methodNotAllowed(w http.ResponseWriter, r *http.Request) error {
	routes := chi.RouteContext(r.Context()).Routes
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
			w.Header().Add("Allow", method)
		}
	}
	if w.Header().Get("Allow") == "" {
		return errNotFound
	}
	return errMethod
}
