package handler

import (
	"net/http"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
)

// decide carries out the answer to the question of the operator switch.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request) error {
	decision, place := r.PostForm["decision"], r.PostForm.Get("landing")
	if len(decision) != 1 || decision[0] != "yes" && decision[0] != "no" {
		return errBadRequest
	}
	returnTo := ""
	if to := r.PostForm.Get("return_to"); to != "" {
		address, err := h.returnTo([]string{to})
		if err != nil {
			return err
		}
		returnTo = address
	}
	if !session.Token(place).WellFormed() { // a hash has a token's form
		return landing.ErrSwitchExpired
	}
	arrivals := h.renewArrivals(w, r)
	a, _ := h.arrival(r, arriving{}, arrivals)
	out, err := h.Landing.Decide(r.Context(), landing.Decision{
		Landing: place, Sessions: r.PostForm.Get("session"), Yes: decision[0] == "yes", Arrival: a,
	})
	if err != nil {
		return err
	}
	if out.Result != landing.Kept {
		return h.enter(w, r, out, returnTo)
	}
	h.logLanding(w, r, out)
	goTo(w, h.keptHome(out))
	return nil
}

// keptHome returns the address after a "no": the home of the operator whose session is kept, or the sign-in page if nobody
// is signed in.
func (h *Handler) keptHome(out landing.Outcome) string {
	if out.Session.OperatorID == "" {
		return h.base + "/signin"
	}
	return h.Targets.HomeOf(out.Session, out.Entry)
}
