package handler

import (
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// identityHeaders carry the identity to the application behind a proxy. Every 200 has all of them, empty where there is no
// value: where one is missing, some proxies pass on the client's own.
var identityHeaders = [...]string{
	"X-Koubei-App-Id", "X-Koubei-Operator-Id", "X-Koubei-Operator-Type", "X-Koubei-Partner-Id", "X-Koubei-Shop-Ids",
	"X-Koubei-Session-Expires", "X-Koubei-Assertion", "X-Koubei-Auth-Code",
}

// headerSelect is the request header that selects a partner.
const headerSelect = "X-Koubei-Select-Partner"

const (
	maxShopsHeader = 2 << 10 // bytes of X-Koubei-Shop-Ids
	overflow       = "overflow"
)

// verify tells a proxy whether a request is allowed, and who sends it.
func (h *Handler) verify(w http.ResponseWriter, r *http.Request) error {
	s, e, err := h.allowed(r)
	if err != nil {
		h.Metrics.Verified(verifyResult(err))
		if errors.Is(err, session.ErrNone) && r.URL.Query().Get("redirect") == "1" && isNavigation(r) {
			setNoStore(w)
			requestID(w) // for its header: the proxy hands this response to the browser
			goTo(w, strings.TrimSuffix(h.PublicURL.String(), "/")+"/signin")
			return nil
		}
		return err
	}
	asserted, err := h.assertion(r, s, e)
	if err != nil {
		h.Metrics.Verified(verifyResult(err))
		return err
	}
	h.Metrics.Verified("allowed")
	// One slice for all values, and no header besides the eight: a ninth would double what net/http spends on them, because
	// Go's small map holds eight.
	values := []string{
		s.AppID, s.OperatorID, string(e.OperatorType), e.PartnerID, shopsHeader(e.ShopIDs), e.Expiry, asserted, h.forwarded(w, e),
	}
	header := w.Header()
	for i, name := range identityHeaders {
		header[name] = values[i : i+1 : i+1]
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// forwarded returns the code for the application behind the proxy, if FORWARD_AUTH_CODE is set.
func (h *Handler) forwarded(w http.ResponseWriter, e session.Entry) string {
	if !h.ForwardCode {
		return ""
	}
	code, err := h.Sessions.Code(e)
	if err != nil {
		// Sealed with a key that is gone. The identity is valid all the same.
		annotate(w, slog.LevelWarn, slog.String("forward_code", err.Error()))
		return ""
	}
	return code
}

// shopsHeader returns the shops as a header can carry them, overflow where it cannot.
func shopsHeader(shops string) string {
	if len(shops) > maxShopsHeader || strings.ContainsFunc(shops, func(r rune) bool { return r < ' ' || r > '~' }) {
		return overflow
	}
	return shops
}

// allowed returns the session and the entry that a request may use.
func (h *Handler) allowed(r *http.Request) (session.Session, session.Entry, error) {
	types, err := typesOf(r.URL.RawQuery)
	if err != nil {
		return session.Session{}, session.Entry{}, err
	}
	selectors, err := partnersOf(r.URL.RawQuery)
	if err != nil {
		return session.Session{}, session.Entry{}, err
	}
	s, err := h.Sessions.Choose(r.Context(), h.Cookies.Tokens(r))
	if err != nil {
		return session.Session{}, session.Entry{}, err
	}
	e, err := entryFor(s, append(selectors, r.Header.Values(headerSelect)...))
	if err == nil && !admits(types, e.OperatorType) {
		err = errForbiddenType
	}
	return s, e, err
}

// admits reports whether a check allows a type: one of those that it names or, where it names none, of the documented
// five.
func admits(types []operator.Type, t operator.Type) bool {
	if types == nil {
		return t.Known()
	}
	return slices.Contains(types, t)
}

// typeName is the form of an operator type. Koubei may add types to the documented ones.
var typeName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,31}$`)

// typesOf returns the operator types that a check names, nil where it names none. It fails with errForbiddenType.
func typesOf(rawQuery string) ([]operator.Type, error) {
	values, err := valuesOf(rawQuery, "type")
	if err != nil {
		return nil, errForbiddenType
	}
	if len(values) == 0 {
		return nil, nil
	}
	if len(values) > 1 {
		return nil, errForbiddenType
	}
	var types []operator.Type
	for name := range strings.SplitSeq(values[0], ",") {
		if !typeName.MatchString(name) {
			return nil, errForbiddenType
		}
		types = append(types, operator.Type(name))
	}
	return types, nil
}

// partnersOf returns the partners that a query selects. It fails with errUnknownPartner.
func partnersOf(rawQuery string) ([]string, error) {
	values, err := valuesOf(rawQuery, "partner_id")
	if err != nil {
		return nil, errUnknownPartner
	}
	return values, nil
}

// entryFor returns the entry that the selectors agree on, and the newest without selectors. An empty selector selects the
// entry without a partner, never the newest. It fails with errUnknownPartner.
func entryFor(s session.Session, selectors []string) (session.Entry, error) {
	if len(selectors) == 0 {
		return s.Newest(), nil
	}
	for _, id := range selectors[1:] {
		if id != selectors[0] {
			return session.Entry{}, errUnknownPartner
		}
	}
	e, ok := s.Partner(selectors[0])
	if !ok {
		return session.Entry{}, errUnknownPartner
	}
	return e, nil
}

// verifyResult returns the metric's label for a refusal.
func verifyResult(err error) string {
	switch problemFor(err).status {
	case http.StatusUnauthorized:
		return "no_session"
	case http.StatusForbidden:
		return "forbidden"
	}
	return "unavailable"
}
