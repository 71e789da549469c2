package koubeisim

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Handler returns everything on one listener: the gateway at /gateway.do, portal and control API around it.
func (k *Koubei) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/gateway.do", k.Gateway())
	mux.Handle("/", k.Portal())
	return mux
}

// Portal returns the portal for browsers and the control API for programs. Everyone who can reach them can sign in as
// anybody, so keep them on loopback or in a test network.
func (k *Koubei) Portal() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", k.showPortal)
	mux.HandleFunc("GET /enter", k.enter)
	mux.HandleFunc("GET /frame", k.frame)
	mux.HandleFunc("POST /faults/clear", func(w http.ResponseWriter, r *http.Request) { k.ClearFaults(); back(w, r) })
	mux.HandleFunc("POST /release", func(w http.ResponseWriter, r *http.Request) { k.Release(); back(w, r) })
	mux.HandleFunc("GET /portal.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, portalFiles, "portal/portal.css")
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /api/app", k.apiApp)
	mux.HandleFunc("POST /api/codes", k.apiIssue)
	mux.HandleFunc("GET /api/faults", k.apiFaults)
	mux.HandleFunc("POST /api/faults", k.apiQueueFaults)
	mux.HandleFunc("DELETE /api/faults", func(w http.ResponseWriter, _ *http.Request) { k.ClearFaults(); w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /api/release", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]int{"released": k.Release()})
	})
	mux.HandleFunc("POST /api/certificate/roll", func(w http.ResponseWriter, _ *http.Request) { k.RollCertificate(); w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /api/calls", k.apiCalls)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		render(w, http.StatusNotFound, "missing.html", simpleView(r, ""))
	})
	return k.guard(mux)
}

// guard prevents other sites from issuing codes through the user's browser. It refuses unknown host names, which an
// attacker's DNS may resolve to this machine, forms of other origins, and links of other sites except to the front page.
func (k *Koubei) guard(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !k.answersTo(r.Host):
			http.Error(w, "koubeisim: unknown host name (see --allow-host)", http.StatusMisdirectedRequest)
		case r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.URL.Path != "/":
			http.Error(w, "koubeisim: not from another site", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// answersTo accepts IP addresses, which no DNS can point elsewhere, localhost, and Options.Hosts.
func (k *Koubei) answersTo(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(k.o.Hosts, host)
}

//go:embed portal
var portalFiles embed.FS

var portalPages = template.Must(template.ParseFS(portalFiles, "portal/*.html"))

func (k *Koubei) showPortal(w http.ResponseWriter, r *http.Request) {
	c, err := k.readChoice(r.URL.Query())
	if err != nil {
		http.Error(w, "koubeisim: "+err.Error(), http.StatusBadRequest)
		return
	}
	render(w, http.StatusOK, "portal.html", k.portalView(c, languageOf(c, r)))
}

// enter issues a code and redirects to the ISV, like a click in Koubei.
func (k *Koubei) enter(w http.ResponseWriter, r *http.Request) {
	if target, ok := k.admit(w, r); ok {
		w.Header().Set("Cache-Control", "no-store")
		seeOther(w, target)
	}
}

// frame shows the ISV in an iframe, as the merchant center does.
func (k *Koubei) frame(w http.ResponseWriter, r *http.Request) {
	if target, ok := k.admit(w, r); ok {
		render(w, http.StatusOK, "frame.html", simpleView(r, target))
	}
}

// simpleView is the content of a page with texts and at most one address.
func simpleView(r *http.Request, target string) any {
	lang := languageOf(choice{lang: r.URL.Query().Get("lang")}, r)
	return struct {
		Words         map[string]string
		Target        template.URL
		Lang, LangTag string
	}{words(lang), template.URL(target), lang, langTags[lang]}
}

// admit issues the requested code, queues the faults, and returns where to go.
func (k *Koubei) admit(w http.ResponseWriter, r *http.Request) (target string, ok bool) {
	c, err := k.readChoice(r.URL.Query())
	p, known := PersonNamed(r.URL.Query().Get("as"))
	switch {
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNoContent) // HEAD issues no code
		return "", false
	case err == nil && !known:
		err = fmt.Errorf("as %q: unknown name", r.URL.Query().Get("as"))
	case err == nil && k.registered() == "":
		err = fmt.Errorf("no landing URL is registered (see --landing-url)")
	}
	if err != nil {
		http.Error(w, "koubeisim: "+err.Error(), http.StatusBadRequest)
		return "", false
	}
	k.Next(slices.Repeat(c.faults, c.times)...)
	return k.LandingURL(k.IssueIn(c.state, p), c.spelling), true
}

// back returns to the page with the choice in the form's address.
func back(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery == "" {
		seeOther(w, "/")
		return
	}
	seeOther(w, "/?"+r.URL.RawQuery)
}

func seeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// pagePolicy lets a page load nothing from elsewhere, but show the ISV in a frame.
const pagePolicy = "default-src 'none'; style-src 'self'; img-src data:; frame-src http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func render(w http.ResponseWriter, status int, name string, view any) {
	var body bytes.Buffer
	if err := portalPages.ExecuteTemplate(&body, name, view); err != nil {
		http.Error(w, "koubeisim: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}
