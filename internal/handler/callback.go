package handler

import (
	"fmt"
	"net/http"
	"net/url"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/web"
)

// arriving is the content of a landing's address.
type arriving struct {
	code     string
	codeHash string
	returnTo string // empty for the home address
}

// callback handles Koubei's redirect. It checks the request first, so that the service sends only codes of valid requests to
// the gateway. If several parts of a request are invalid, the order of these checks decides which error it gets.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request) error {
	if isSpeculative(r) {
		// Not 204: a browser would reuse that for the real click.
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	}
	arrivals := h.renewArrivals(w, r)
	in, err := h.parseArriving(r)
	if err != nil {
		return err
	}
	if hop, err := h.checkArrival(r, arrivals); err != nil || hop {
		if hop {
			h.hop(w, r)
		}
		return err
	}
	a, fresh := h.arrival(r, in, arrivals)
	out, err := h.Landing.Land(r.Context(), a)
	h.setPending(w, r, in, out, fresh)
	if err != nil {
		return err
	}
	if out.Result == landing.Asked {
		return h.ask(w, r, out, in.returnTo)
	}
	return h.enter(w, r, out, in.returnTo)
}

// enter gives the browser the session of a landing and redirects it. It fails if the result is not a landing's: then nobody
// is signed in.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, out landing.Outcome, returnTo string) error {
	if out.Result != landing.Landed && out.Result != landing.Replayed {
		return fmt.Errorf("handler: result %q does not sign anyone in", out.Result)
	}
	h.logLanding(w, r, out)
	h.setSession(w, out)
	h.remember(w, r, out)
	goTo(w, h.destination(out, returnTo))
	return nil
}

// parseArriving reads a landing from its request. It fails with the errors of a malformed landing.
func (h *Handler) parseArriving(r *http.Request) (arriving, error) {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return arriving{}, errNotNavigation
	}
	q := landingQuery(r.URL.RawQuery)
	code, err := codeOf(q)
	if err != nil {
		return arriving{}, err
	}
	if !only(q, "app_id", h.AppID) || !only(q, "auth_type", operator.AuthType) {
		return arriving{}, errWrongApp
	}
	returnTo, err := h.returnTo(q["return_to"])
	return arriving{code, operator.HashCode(h.AppID, code), returnTo}, err
}

// codeOf returns the code. Koubei documents the parameter as code, and sends it as auth_code. It fails with errNotLanding and
// errInvalidCode.
func codeOf(q url.Values) (string, error) {
	codes := append(append([]string(nil), q["code"]...), q["auth_code"]...)
	if len(codes) == 0 && (q.Has("app_auth_code") || q.Has("error")) {
		return "", errNotLanding
	}
	if len(codes) == 0 || len(q["code"]) > 1 || len(q["auth_code"]) > 1 || codes[0] != codes[len(codes)-1] {
		return "", errInvalidCode
	}
	if !operator.IsCode(codes[0]) {
		return "", errInvalidCode
	}
	return codes[0], nil
}

// only reports whether a parameter is absent, or present once with this value.
func only(q url.Values, name, want string) bool {
	values := q[name]
	return len(values) == 0 || len(values) == 1 && values[0] == want
}

// returnTo returns the address of the parameter return_to; empty without one. It fails with errInvalidReturnTo.
func (h *Handler) returnTo(values []string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errInvalidReturnTo
	}
	address, err := h.Targets.Parse(values[0])
	if err != nil {
		return "", errInvalidReturnTo
	}
	return address, nil
}

// arrival returns the request as package landing needs it. A browser without an arrival cookie may need a new one, to which
// the service binds what waits for the browser's next request.
func (h *Handler) arrival(r *http.Request, in arriving, arrivals []session.ArrivalCookie) (a landing.Arrival, fresh *session.ArrivalCookie) {
	a = landing.Arrival{
		Code:    in.code,
		Tokens:  h.Cookies.Tokens(r),
		Pending: h.Cookies.PendingOf(r, in.codeHash),
		Known:   h.Memory.Operators(r),
		Client:  h.client(r),
	}
	if len(arrivals) == 0 {
		one := h.Cookies.NewArrival(h.Now())
		arrivals, fresh = []session.ArrivalCookie{one}, &one
	}
	for _, c := range arrivals {
		a.Browsers = append(a.Browsers, c.Value)
	}
	return a, fresh
}

// setPending sets the cookie with the grant that could not be saved in Redis, or deletes it if it is no longer needed. A
// browser without an arrival gets the fresh one if the grant waits for it: in its cookie, or for an answer to a question.
func (h *Handler) setPending(w http.ResponseWriter, r *http.Request, in arriving, out landing.Outcome, fresh *session.ArrivalCookie) {
	if fresh != nil && (out.Pending != "" || out.Result == landing.Asked) {
		http.SetCookie(w, h.Cookies.SetArrival(*fresh))
	}
	if out.Pending != "" {
		http.SetCookie(w, h.Cookies.Pending(in.codeHash, out.Pending))
		return
	}
	if out.Result != "" && len(h.Cookies.PendingOf(r, in.codeHash)) > 0 {
		for _, c := range h.Cookies.EndPending(in.codeHash) {
			http.SetCookie(w, c)
		}
	}
}

func (h *Handler) setSession(w http.ResponseWriter, out landing.Outcome) {
	http.SetCookie(w, h.Cookies.Session(out.Token, out.Session.Ends().Sub(h.Now())))
}

// destination returns the address to which a browser goes after landing. It never contains the code.
func (h *Handler) destination(out landing.Outcome, returnTo string) string {
	if returnTo != "" {
		return returnTo
	}
	return h.Targets.HomeOf(out.Session, out.Entry)
}

// ask shows the question whether to sign the arriving operator in: instead of the live session or, if none is live, in a
// browser that remembers only other operators.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, out landing.Outcome, returnTo string) error {
	if prefersJSON(r) {
		return errOperatorDiffers
	}
	h.logLanding(w, r, out)
	q := out.Question
	page := web.SwitchPage{
		Common: h.common(w),
		Action: h.CallbackPath + "/switch",
		Fields: []web.Field{
			{Name: "landing", Value: q.Landing},
			{Name: "session", Value: q.Sessions},
			{Name: "return_to", Value: returnTo},
		},
		Arriving: web.Party{OperatorID: q.Arriving.ID, OperatorType: string(q.Arriving.Type), PartnerID: q.PartnerID},
	}
	if q.Sessions == "" {
		page.LastKnown = masked(q.LastKnown)
	} else {
		current := q.Current.Newest()
		page.Current = web.Party{OperatorID: q.Current.OperatorID, OperatorType: string(current.OperatorType), PartnerID: current.PartnerID}
	}
	return h.writePage(w, r, http.StatusOK, web.PageSwitch, page)
}
