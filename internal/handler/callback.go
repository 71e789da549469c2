package handler

import (
	"net/http"
	"net/url"

	"koubei-landing/internal/landing"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/web"
)

// arriving is a landing as its address tells it.
type arriving struct {
	code     string
	codeHash string
	returnTo string // empty for the home address
}

// callback is where Koubei's redirect arrives. What can be known from the request alone is judged first: a code is sent
// nowhere until nothing but the code can be wrong.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request) error {
	if isSpeculative(r) {
		// Not 204: a browser would reuse that for the real click.
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	}
	marks := h.renewMarks(w, r)
	in, err := h.parseArriving(r)
	if err != nil {
		return err
	}
	if hop, err := h.checkArrival(r, marks); err != nil || hop {
		if hop {
			h.hop(w, r)
		}
		return err
	}
	a, fresh := h.arrival(r, in, marks)
	out, err := h.Landing.Land(r.Context(), a)
	h.setPending(w, r, in, out, fresh)
	if err != nil {
		return err
	}
	if out.Result == landing.Asked && prefersJSON(r) {
		return errOperatorDiffers
	}
	h.logLanding(w, r, out)
	if out.Result == landing.Asked {
		return h.ask(w, r, out.Question, in.returnTo)
	}
	h.setSession(w, out)
	goTo(w, h.destination(out, in.returnTo))
	return nil
}

func (h *Handler) parseArriving(r *http.Request) (arriving, error) {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return arriving{}, errNotNavigation
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return arriving{}, errInvalidCode
	}
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

// codeOf returns the code. Koubei documents the parameter as code, and sends it as auth_code.
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

// only reports whether a parameter is absent, or there once with this value.
func only(q url.Values, name, want string) bool {
	values := q[name]
	return len(values) == 0 || len(values) == 1 && values[0] == want
}

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

// arrival is the request as package landing sees it. A browser that showed no arrival cookie gets a fresh one in case
// that the grant has to travel in a cookie, which is bound to it.
func (h *Handler) arrival(r *http.Request, in arriving, marks []session.Mark) (a landing.Arrival, fresh *session.Mark) {
	a = landing.Arrival{
		Code:    in.code,
		Tokens:  h.Cookies.Tokens(r),
		Pending: h.Cookies.PendingOf(r, in.codeHash),
		Client:  h.client(r),
	}
	if len(marks) == 0 {
		m := h.Cookies.NewMark(h.Now())
		marks, fresh = []session.Mark{m}, &m
	}
	for _, m := range marks {
		a.Browsers = append(a.Browsers, m.Value)
	}
	return a, fresh
}

// setPending gives the browser the grant that Redis could not keep, or takes it away once it is of no more use.
func (h *Handler) setPending(w http.ResponseWriter, r *http.Request, in arriving, out landing.Outcome, fresh *session.Mark) {
	if out.Pending != "" {
		http.SetCookie(w, h.Cookies.Pending(in.codeHash, out.Pending))
		if fresh != nil {
			http.SetCookie(w, h.Cookies.Keep(*fresh))
		}
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

// destination is where a browser goes after landing: never with the code.
func (h *Handler) destination(out landing.Outcome, returnTo string) string {
	if returnTo != "" {
		return returnTo
	}
	return h.Targets.HomeOf(out.Session, out.Entry)
}

// ask shows the question whether the live session shall be replaced.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, q landing.Question, returnTo string) error {
	current := q.Current.Newest()
	return h.writePage(w, r, http.StatusOK, web.PageSwitch, web.SwitchPage{
		Common: h.common(w),
		Action: h.CallbackPath + "/switch",
		Fields: []web.Field{
			{Name: "landing", Value: q.Landing},
			{Name: "session", Value: q.Sessions},
			{Name: "return_to", Value: returnTo},
		},
		Current:  web.Party{OperatorID: q.Current.OperatorID, OperatorType: string(current.OperatorType), PartnerID: current.PartnerID},
		Arriving: web.Party{OperatorID: q.Arriving.ID, OperatorType: string(q.Arriving.Type), PartnerID: q.PartnerID},
	})
}
