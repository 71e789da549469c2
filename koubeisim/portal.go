package koubeisim

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
)

//go:embed portal
var portalFiles embed.FS

var portalPages = template.Must(template.ParseFS(portalFiles, "portal/*.html"))

const shownCalls = 12

func (k *Koubei) showPortal(w http.ResponseWriter, r *http.Request) {
	c, err := k.readChoice(r.URL.Query())
	if err != nil {
		http.Error(w, "koubeisim: "+err.Error(), http.StatusBadRequest)
		return
	}
	render(w, "portal.html", k.portalView(c, languageOf(c, r)))
}

// enter is the click in Koubei: a fresh code, and off to the ISV with it.
func (k *Koubei) enter(w http.ResponseWriter, r *http.Request) {
	target, ok := k.admit(w, r)
	if !ok {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

// frame shows the ISV the way the merchant centre does on a desk.
func (k *Koubei) frame(w http.ResponseWriter, r *http.Request) {
	target, ok := k.admit(w, r)
	if !ok {
		return
	}
	lang := languageOf(choice{lang: r.URL.Query().Get("lang")}, r)
	render(w, "frame.html", struct {
		Words   map[string]string
		Target  template.URL
		Lang    string
		LangTag string
	}{words(lang), template.URL(target), lang, langTags[lang]})
}

// admit issues the code that was asked for, queues the faults, and says where to go.
func (k *Koubei) admit(w http.ResponseWriter, r *http.Request) (target string, ok bool) {
	c, err := k.readChoice(r.URL.Query())
	p, known := PersonNamed(r.URL.Query().Get("as"))
	switch {
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNoContent) // looking is not entering
		return "", false
	case err == nil && !known:
		err = fmt.Errorf("as %q: nobody of that name", r.URL.Query().Get("as"))
	case err == nil && k.registered() == "":
		err = fmt.Errorf("no landing URL is registered (see --landing-url)")
	}
	if err != nil {
		http.Error(w, "koubeisim: "+err.Error(), http.StatusBadRequest)
		return "", false
	}
	k.Next(c.queue()...)
	return k.LandingURL(k.IssueIn(c.state, p), c.spelling), true
}

func (k *Koubei) clearQueue(w http.ResponseWriter, r *http.Request) {
	k.ClearFaults()
	back(w, r)
}

func (k *Koubei) releaseHeld(w http.ResponseWriter, r *http.Request) {
	k.Release()
	back(w, r)
}

// back returns to the page with the choice that its form carried along.
func back(w http.ResponseWriter, r *http.Request) {
	location := "/"
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

func stylesheet(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, portalFiles, "portal/portal.css")
}

// pagePolicy lets a page load nothing from elsewhere, but show the ISV in a frame, wherever that sends it.
const pagePolicy = "default-src 'none'; style-src 'self'; img-src data:; frame-src http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func render(w http.ResponseWriter, name string, view any) {
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
	w.Write(body.Bytes())
}

// newest turns a list of calls around and cuts it.
func newest(calls []Call) []Call {
	calls = calls[max(0, len(calls)-shownCalls):]
	slices.Reverse(calls)
	return calls
}
