package handler

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"koubei-landing/web"
)

// writePage renders into a buffer, so that a failure can still become an answer of its own.
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
		// With no-referrer a browser sends "Origin: null" with the form, and we would refuse it.
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

func (h *Handler) writeProblem(w http.ResponseWriter, r *http.Request, p problem, page string) {
	lang := web.Negotiate(r.Header.Get("Accept-Language"))
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

// writeJSON writes a value of our own types; those always encode.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
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

// goTo sends a browser on. The address is one that Targets has rebuilt, or our own.
func goTo(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

func setNoStore(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }
