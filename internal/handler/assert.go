package handler

import (
	"errors"
	"net/http"

	"koubei-landing/internal/assertion"
	"koubei-landing/internal/session"
)

// assertion returns the assertion of an entry for the audience that the request names. It is empty without keys. It fails
// with errForbiddenAudience.
func (h *Handler) assertion(r *http.Request, s session.Session, e session.Entry) (string, error) {
	if h.Assertions == nil {
		return "", nil
	}
	audiences, err := valuesOf(r.URL.RawQuery, "audience")
	if err != nil || len(audiences) > 1 || len(audiences) == 1 && audiences[0] == "" {
		return "", errForbiddenAudience
	}
	audience := ""
	if len(audiences) == 1 {
		audience = audiences[0]
	}
	text, err := h.Assertions.For(assertion.Subject{
		Session: s.Hash(), Entry: e.Version(), AppID: s.AppID, OperatorID: s.OperatorID, OperatorType: string(e.OperatorType),
		PartnerID: e.PartnerID, ShopIDs: shopsHeader(e.ShopIDs), Ends: e.ExpiresAt,
	}, audience)
	if errors.Is(err, assertion.ErrAudience) {
		return "", errForbiddenAudience
	}
	return text, err
}

// jwks publishes the keys that verify assertions.
func (h *Handler) jwks(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	keys := []byte(`{"keys":[]}`)
	if h.Assertions != nil {
		keys = h.Assertions.JWKS()
	}
	_, _ = w.Write(keys)
	return nil
}
