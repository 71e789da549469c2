package handler

import (
	"net/http"
	"strings"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
)

// remember adds the operator that landed to the browser's memory, and the operators that it replaced. Those may have landed
// in another tab whose response has not arrived yet.
func (h *Handler) remember(w http.ResponseWriter, r *http.Request, out landing.Outcome) {
	visits := []session.KnownOperator{{OperatorID: out.Session.OperatorID, At: h.Now()}}
	for _, s := range out.Replaced {
		visits = append(visits, session.KnownOperator{OperatorID: s.OperatorID, At: s.Newest().AuthenticatedAt})
	}
	if c := h.Memory.Remember(r, visits...); c != nil {
		http.SetCookie(w, c)
	}
}

// forget clears the memory of the browser. It ends no session.
func (h *Handler) forget(w http.ResponseWriter, r *http.Request) error {
	for _, c := range h.Memory.Forget() {
		http.SetCookie(w, c)
	}
	if prefersJSON(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	goTo(w, h.base+"/")
	return nil
}

// shownDigits is how many characters of a remembered operator id a page shows. Everyone who opens a link in this browser
// can see the page.
const shownDigits = 4

// masked returns an operator id with all but its last four characters hidden.
func masked(id string) string {
	const hidden = "••••"
	if len(id) <= shownDigits {
		return hidden
	}
	return hidden + strings.ToValidUTF8(id[len(id)-shownDigits:], "")
}
