package handler

import (
	"net/http"
	"strings"
)

// policy holds the headers that restrict what a browser does with the pages.
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

// headers sends the policy with every response.
func (p policy) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", p.csp)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		if p.hsts != "" {
			header.Set("Strict-Transport-Security", p.hsts)
		}
		next.ServeHTTP(w, r)
	})
}
