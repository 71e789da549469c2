package koubeiauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// AskerOptions is what an Asker is made of. Only URL is required.
type AskerOptions struct {
	// URL is the service's internal listener, like http://127.0.0.1:9090. Whoever answers there can sign anybody in.
	URL string

	Access

	// Refuse answers those who are not let in; by default with the bare status.
	Refuse RefuseFunc

	// Timeout bounds one question; 2 s when zero.
	Timeout time.Duration

	// Client asks; by default one of its own that keeps connections and uses no proxy. Redirects are never followed.
	Client *http.Client
}

// Asker asks the service who a request's cookies belong to: for applications that browsers reach without a proxy in
// between that does. Browsers must reach them under the host of the session's cookie. It is safe for concurrent use.
type Asker struct {
	options AskerOptions
	verify  string
}

// NewAsker returns an Asker. Nothing is asked yet.
func NewAsker(o AskerOptions) (*Asker, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" {
		return nil, errors.New("koubeiauth: URL is not the address of the internal listener")
	}
	o.Timeout = or(o.Timeout, 2*time.Second)
	if o.Client == nil {
		// Cookies go to the service and to no proxy that the environment may name.
		o.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}}
	}
	o.Client = unredirected(o.Client, 0)
	return &Asker{options: o, verify: strings.TrimSuffix(o.URL, "/") + "/auth/verify"}, nil
}

// With returns an Asker for other routes: with the same connections, and other rules of access.
func (a *Asker) With(access Access) *Asker {
	other := *a
	other.options.Access = access
	return &other
}

// Middleware lets requests through to next whose cookies belong to somebody who may pass.
func (a *Asker) Middleware(next http.Handler) http.Handler {
	return guard(a.Identify, a.options.Refuse, next)
}

// Identify asks who a request comes from, and whether that one may pass. It fails with [ErrUnauthenticated],
// [ErrForbidden] or [ErrUnavailable]. Of the request, only the cookies are passed on.
func (a *Asker) Identify(r *http.Request) (Operator, error) {
	cookies := r.Header.Values("Cookie")
	if len(cookies) == 0 {
		return Operator{}, unauthenticated("no cookie")
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.options.Timeout)
	defer cancel()
	question, err := http.NewRequestWithContext(ctx, http.MethodGet, a.verify+a.query(r), nil)
	if err != nil {
		return Operator{}, unavailable(err)
	}
	question.Header["Cookie"] = cookies
	answer, err := a.options.Client.Do(question)
	if err != nil {
		return Operator{}, unavailable(err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 8<<10) // so that the connection can be used again
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return Operator{}, unauthenticated("the service says so")
	case http.StatusForbidden:
		return Operator{}, forbidden("the service says so")
	default:
		return Operator{}, unavailable(fmt.Errorf("the service answers %s", answer.Status))
	}
	o, err := told(answer.Header)
	if err != nil {
		return Operator{}, unavailable(err)
	}
	return o, a.options.check(r, o)
}

// query says whom to let in.
func (a *Asker) query(r *http.Request) string {
	q := url.Values{}
	if len(a.options.Types) > 0 {
		var names []string
		for _, t := range a.options.Types {
			names = append(names, string(t))
		}
		q.Set("type", strings.Join(names, ","))
	}
	if a.options.Partner != nil {
		q.Set("partner_id", a.options.Partner(r))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// told is the operator that an answer speaks of.
func told(h http.Header) (Operator, error) {
	until, err := time.Parse(time.RFC3339, h.Get("X-Koubei-Session-Expires"))
	if err != nil || h.Get("X-Koubei-Operator-Id") == "" || h.Get("X-Koubei-Operator-Type") == "" {
		return Operator{}, errors.New("an answer without an operator: is URL the internal listener?")
	}
	return Operator{
		ID: h.Get("X-Koubei-Operator-Id"), Type: Type(h.Get("X-Koubei-Operator-Type")), PartnerID: h.Get("X-Koubei-Partner-Id"),
		ShopIDs: h.Get("X-Koubei-Shop-Ids"), AppID: h.Get("X-Koubei-App-Id"), Until: until, AuthCode: Code(h.Get("X-Koubei-Auth-Code")),
	}, nil
}
