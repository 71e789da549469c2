package handler

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"koubei-landing/internal/metrics"
	"koubei-landing/internal/session"
)

// admin requires the admin token. Without one in the settings it fails with errNotFound.
func (h *Handler) admin(f handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if h.AdminToken == "" {
			return errNotFound
		}
		shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !sameSecret(shown, h.AdminToken) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="koubei-landing"`)
			return errUnauthorized
		}
		return f(w, r)
	}
}

// sameSecret compares in a time that depends on neither the length nor the place of the first difference.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// sessionBody is a session as administrators see it. Its id is the token's hash: it signs nobody in.
type sessionBody struct {
	ID         string      `json:"id"`
	AppID      string      `json:"app_id"`
	OperatorID string      `json:"operator_id"`
	LastReadAt string      `json:"last_read_at"`
	ExpiresAt  string      `json:"expires_at"`
	Entries    []entryBody `json:"entries"`
}

type entryBody struct {
	PartnerID       *string `json:"partner_id"`
	OperatorType    string  `json:"operator_type"`
	AuthenticatedAt string  `json:"authenticated_at"`
	ExpiresAt       string  `json:"expires_at"`
}

// listSessions returns an operator's live sessions.
func (h *Handler) listSessions(w http.ResponseWriter, r *http.Request) error {
	sessions, err := h.Sessions.List(r.Context(), r.PathValue("operator_id"))
	if err != nil {
		return err
	}
	body := []sessionBody{}
	for _, s := range sessions {
		body = append(body, adminBody(s))
	}
	writeJSON(w, http.StatusOK, map[string]any{"sessions": body})
	return nil
}

func adminBody(s session.Session) sessionBody {
	body := sessionBody{ID: s.Hash(), AppID: s.AppID, OperatorID: s.OperatorID, LastReadAt: rfc3339(s.LastRead), ExpiresAt: rfc3339(s.Ends())}
	for _, e := range s.Entries {
		entry := entryBody{nil, string(e.OperatorType), rfc3339(e.AuthenticatedAt), rfc3339(e.ExpiresAt)}
		if e.PartnerID != "" {
			entry.PartnerID = &e.PartnerID
		}
		body.Entries = append(body.Entries, entry)
	}
	return body
}

// revokeSessions ends all sessions of an operator.
func (h *Handler) revokeSessions(w http.ResponseWriter, r *http.Request) error {
	n, err := h.Sessions.Revoke(r.Context(), r.PathValue("operator_id"))
	h.Metrics.SessionsEnded(metrics.Revoked, n)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]int{"revoked": n})
	return nil
}

// profile adapts one of Go's profile handlers.
func profile(serve http.HandlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		serve(w, r)
		return nil
	}
}
