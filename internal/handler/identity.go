package handler

import (
	"errors"
	"net/http"
	"time"

	"koubei-landing/internal/session"
	"koubei-landing/web"
)

// identityBody is the response of /session. Type, shops and times are those of the chosen entry alone.
type identityBody struct {
	AppID           string        `json:"app_id"`
	OperatorID      string        `json:"operator_id"`
	OperatorType    string        `json:"operator_type"`
	PartnerID       *string       `json:"partner_id"`
	ShopIDs         string        `json:"shop_ids,omitempty"`
	Partners        []partnerBody `json:"partners"`
	AuthenticatedAt string        `json:"authenticated_at"`
	ExpiresAt       string        `json:"expires_at"`
}

type partnerBody struct {
	PartnerID       string `json:"partner_id"`
	OperatorType    string `json:"operator_type"`
	AuthenticatedAt string `json:"authenticated_at"`
	ExpiresAt       string `json:"expires_at"`
}

// session returns the identity, for front ends.
func (h *Handler) session(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Sessions.Choose(r.Context(), h.Cookies.Tokens(r))
	if err != nil {
		return err
	}
	selectors, err := partnersOf(r.URL.RawQuery)
	if err != nil {
		return err
	}
	e, err := entryFor(s, selectors)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, bodyOf(s, e))
	return nil
}

func bodyOf(s session.Session, e session.Entry) identityBody {
	body := identityBody{
		AppID:           s.AppID,
		OperatorID:      s.OperatorID,
		OperatorType:    string(e.OperatorType),
		ShopIDs:         e.ShopIDs,
		Partners:        []partnerBody{},
		AuthenticatedAt: rfc3339(e.AuthenticatedAt),
		ExpiresAt:       e.Expiry,
	}
	if e.PartnerID != "" {
		body.PartnerID = &e.PartnerID
	}
	for _, p := range s.Entries {
		if p.PartnerID != "" {
			body.Partners = append(body.Partners, partnerBody{p.PartnerID, string(p.OperatorType), rfc3339(p.AuthenticatedAt), rfc3339(p.ExpiresAt)})
		}
	}
	return body
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// identity shows the page that says who is signed in.
func (h *Handler) identity(w http.ResponseWriter, r *http.Request) error {
	page := web.IdentityPage{Common: h.common(w), LogoutURL: h.base + "/logout"}
	if h.Memory.Present(r) {
		page.ForgetURL = h.base + "/forget"
	}
	s, err := h.Sessions.Choose(r.Context(), h.Cookies.Tokens(r))
	switch {
	case errors.Is(err, session.ErrNone):
		return h.writePage(w, r, http.StatusOK, web.PageIdentity, page)
	case err != nil:
		return err
	}
	page.SignedIn, page.AppID, page.OperatorID, page.OperatorType = true, s.AppID, s.OperatorID, string(s.Newest().OperatorType)
	for i, e := range s.Entries {
		p := web.Partner{
			ID: e.PartnerID, Type: string(e.OperatorType), HomeURL: h.Targets.HomeOf(s, e),
			Since: e.AuthenticatedAt, Until: e.ExpiresAt, Current: i == 0,
		}
		if e.PartnerID == "" {
			page.NoPartner = &p
		} else {
			page.Partners = append(page.Partners, p)
		}
	}
	return h.writePage(w, r, http.StatusOK, web.PageIdentity, page)
}

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) error {
	return h.writePage(w, r, http.StatusOK, web.PageSignIn, web.SignInPage{Common: h.common(w)})
}

func (h *Handler) signedOut(w http.ResponseWriter, r *http.Request) error {
	return h.writePage(w, r, http.StatusOK, web.PageSignedOut, web.SignedOutPage{Common: h.common(w)})
}
