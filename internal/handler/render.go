package handler

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"koubei-landing/web"
)

// writePage renders into a buffer, so that a failure can still become an error page.
func (h *Handler) writePage(w http.ResponseWriter, r *http.Request, status int, page string, data any) error {
	var buf bytes.Buffer
	lang := web.Negotiate(r.Header.Get("Accept-Language"))
	if err := h.pages.Render(&buf, lang, page, data); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", lang.Tag())
	header.Add("Vary", "Accept, Accept-Language")
	if hasForm(data) {
		// With no-referrer a browser sends "Origin: null" with the form, and the service would refuse it.
		header.Set("Referrer-Policy", "strict-origin")
	}
	w.WriteHeader(status)
	_, _ = buf.WriteTo(w)
	return nil
}

func hasForm(data any) bool {
	switch page := data.(type) {
	case web.IdentityPage:
		return page.SignedIn || page.ForgetURL != ""
	case web.SwitchPage:
		return true
	case web.ErrorPage:
		return page.LogoutURL != ""
	}
	return false
}

// problemBody is application/problem+json (RFC 9457).
type problemBody struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Page      string `json:"page,omitempty"`
}

// problemLang returns the language of problem+json: English for programs that request none.
func problemLang(r *http.Request) web.Lang {
	requested, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ";")
	if requested = strings.TrimSpace(requested); requested == "" || requested == "*" {
		return web.English
	}
	return web.Negotiate(r.Header.Get("Accept-Language"))
}

func (h *Handler) writeProblem(w http.ResponseWriter, r *http.Request, p problem, page string) {
	lang := problemLang(r)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Language", lang.Tag())
	w.Header().Add("Vary", "Accept, Accept-Language")
	writeJSON(w, p.status, problemBody{
		Type:      "about:blank",
		Title:     h.pages.Text(lang, "error."+p.code+".title"),
		Status:    p.status,
		Detail:    h.pages.Text(lang, "error."+p.code+".what") + " " + h.pages.Text(lang, "error."+p.code+".do"),
		Code:      p.code,
		RequestID: requestID(w),
		Page:      page,
	})
}

// writeJSON writes a value of this package's types. These always encode.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = buf.WriteTo(w)
}

func setRetryAfter(w http.ResponseWriter, after time.Duration) {
	if after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(after/time.Second)))
	}
}

// goTo redirects a browser to an address that Targets has rebuilt, or to one of the service's own.
func goTo(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

func setNoStore(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }
