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

// AskerOptions configures an Asker. Only URL is required.
type AskerOptions struct {
	// URL is the service's internal listener, such as http://127.0.0.1:9090. An attacker who controls this address can sign in as
	// anybody.
	URL string

	Access

	// Refuse responds to requests that may not pass. The default is the bare status.
	Refuse RefuseFunc

	// Timeout is the timeout of one request to the service. The default is 2 s.
	Timeout time.Duration

	// Client sends the requests. The default keeps connections open and uses no proxy. Redirects are never followed.
	Client *http.Client
}

// Asker gets the operator of a request from the service, by the request's cookies. It is for applications without a proxy
// that does this. Browsers must reach them under the host of the session cookie. An Asker is safe for concurrent use.
type Asker struct {
	options AskerOptions
	verify  string
}

// NewAsker returns an Asker. It does not contact the service. It fails if URL is not an address.
func NewAsker(o AskerOptions) (*Asker, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" {
		return nil, errors.New("koubeiauth: URL is not the address of the internal listener")
	}
	o.Timeout = or(o.Timeout, 2*time.Second)
	if o.Client == nil {
		// Cookies go to the service only, not to a proxy from the environment.
		o.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}}
	}
	o.Client = withoutRedirects(o.Client)
	return &Asker{options: o, verify: strings.TrimSuffix(o.URL, "/") + "/auth/verify"}, nil
}

// With returns an Asker with other rules of access, for other routes. It shares the connections.
func (a *Asker) With(access Access) *Asker {
	other := *a
	other.options.Access = access
	return &other
}

// Middleware passes requests on to next if their cookies belong to an operator who may pass.
func (a *Asker) Middleware(next http.Handler) http.Handler {
	return guard(a.Identify, a.options.Refuse, next)
}

// Identify returns the operator of a request if the operator may pass. It sends only the request's cookies to the service.
// It fails with [ErrUnauthenticated], [ErrForbidden] or [ErrUnavailable].
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
	response, err := a.options.Client.Do(question)
	if err != nil {
		return Operator{}, unavailable(err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 8<<10) // so that the connection can be used again
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return Operator{}, unauthenticated("the service returned 401")
	case http.StatusForbidden:
		return Operator{}, forbidden("the service returned 403")
	default:
		return Operator{}, unavailable(fmt.Errorf("the service returned %s", response.Status))
	}
	o, err := operatorIn(response.Header)
	if err != nil {
		return Operator{}, unavailable(err)
	}
	return o, a.options.check(r, o)
}

// query returns the query of the request to the service, which contains the rules of access.
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

// operatorIn returns the operator in the headers of a response.
func operatorIn(h http.Header) (Operator, error) {
	until, err := time.Parse(time.RFC3339, h.Get("X-Koubei-Session-Expires"))
	if err != nil || h.Get("X-Koubei-Operator-Id") == "" || h.Get("X-Koubei-Operator-Type") == "" {
		return Operator{}, errors.New("a response without an operator: is URL the internal listener?")
	}
	return Operator{
		ID: h.Get("X-Koubei-Operator-Id"), Type: Type(h.Get("X-Koubei-Operator-Type")), PartnerID: h.Get("X-Koubei-Partner-Id"),
		ShopIDs: h.Get("X-Koubei-Shop-Ids"), AppID: h.Get("X-Koubei-App-Id"), Until: until, AuthCode: Code(h.Get("X-Koubei-Auth-Code")),
	}, nil
}
