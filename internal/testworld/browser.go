package testworld

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Browser is an HTTP client that behaves like a browser: it keeps cookies and sends the headers of a navigation. It does not
// follow redirects.
type Browser struct {
	t      testing.TB
	log    *Log
	Client *http.Client
	Header http.Header // sent with every request
}

// Answer is a response whose body was read.
type Answer struct {
	*http.Response
	Body string
}

// Browser returns a new browser without cookies.
func (w *World) Browser() *Browser { return NewBrowser(w.T, w.Log) }

// NewBrowser returns a new browser outside of a world. The log must not contain the cookies that it receives.
func NewBrowser(t testing.TB, log *Log) *Browser {
	b := &Browser{t: t, log: log, Header: http.Header{
		"Accept":          {"text/html,application/xhtml+xml,*/*;q=0.8"},
		"User-Agent":      {"Mozilla/5.0 (test)"},
		"Sec-Fetch-Mode":  {"navigate"},
		"Sec-Fetch-Dest":  {"document"},
		"Accept-Language": {"zh-CN"},
	}}
	b.Client = &http.Client{Jar: must(cookiejar.New(nil)), Transport: &http.Transport{}, Timeout: 60 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(b.Client.CloseIdleConnections)
	return b
}

// Program returns a client that is not a browser. It keeps cookies and accepts JSON.
func (w *World) Program() *Browser {
	b := w.Browser()
	b.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"curl/8"}}
	return b
}

// Do sends a request and returns the response. It fails the test if there is none.
func (b *Browser) Do(r *http.Request) Answer {
	b.t.Helper()
	a, err := b.Try(r)
	if err != nil {
		b.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return a
}

// Try sends a request and returns the response.
func (b *Browser) Try(r *http.Request) (Answer, error) {
	for name, values := range b.Header {
		if _, ok := r.Header[name]; !ok {
			r.Header[name] = values
		}
	}
	res, err := b.Client.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, err
	}
	for _, c := range res.Cookies() {
		b.log.KeepOut(c.Value)
	}
	assertion := res.Header.Get("X-Koubei-Assertion")
	b.log.KeepOut(assertion[strings.LastIndexByte(assertion, '.')+1:]) // only the signature: nobody accepts the rest alone
	return Answer{res, string(body)}, nil
}

// Get navigates to an address.
func (b *Browser) Get(address string) Answer {
	b.t.Helper()
	return b.Do(&http.Request{Method: http.MethodGet, URL: must(url.Parse(address)), Header: http.Header{}})
}

// Post sends a form, as a page of the same origin does.
func (b *Browser) Post(address string, form url.Values) Answer {
	b.t.Helper()
	r := must(http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.Do(r)
}

// Land opens a landing's link. It follows the redirect of the arrival hop and no other.
func (b *Browser) Land(link string) Answer {
	b.t.Helper()
	a := b.Get(link)
	if hop := a.Hop(); hop != nil {
		return b.Get(hop.String())
	}
	return a
}

// Cookie returns the value of a cookie for an address, or an empty string.
func (b *Browser) Cookie(address, name string) string {
	for _, c := range b.Client.Jar.Cookies(must(url.Parse(address))) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// SetCookie puts a cookie into the jar.
func (b *Browser) SetCookie(address string, c *http.Cookie) {
	b.Client.Jar.SetCookies(must(url.Parse(address)), []*http.Cookie{c})
}

// Identity is the response of /session.
type Identity struct {
	AppID           string  `json:"app_id"`
	OperatorID      string  `json:"operator_id"`
	OperatorType    string  `json:"operator_type"`
	PartnerID       *string `json:"partner_id"`
	ShopIDs         string  `json:"shop_ids"`
	AuthenticatedAt string  `json:"authenticated_at"`
	ExpiresAt       string  `json:"expires_at"`
	Partners        []struct {
		PartnerID    string `json:"partner_id"`
		OperatorType string `json:"operator_type"`
	} `json:"partners"`
}

// Session requests /session from a replica. The query may select a partner.
func (b *Browser) Session(s *Service, query string) (Answer, Identity) {
	b.t.Helper()
	a := b.Get(s.Public + "/session" + query)
	var id Identity
	if a.StatusCode == http.StatusOK {
		check(b.t, json.Unmarshal([]byte(a.Body), &id))
	}
	return a, id
}

// Problem returns the code member of problem+json, or an empty string for other content.
func (a Answer) Problem() string {
	var p struct{ Code string }
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json") {
		_ = json.Unmarshal([]byte(a.Body), &p)
	}
	return p.Code
}

// Hop returns where the redirect of the arrival hop leads, or nil for another response.
func (a Answer) Hop() *url.URL {
	next, err := a.Location()
	if err != nil || a.StatusCode != http.StatusSeeOther || !next.Query().Has("arrived") {
		return nil
	}
	return next
}

// SetsCookie returns the value of a cookie that the response sets, or an empty string if it sets none or deletes it. The
// prefix is of the cookie's name, or the whole name with an equals sign.
func (a Answer) SetsCookie(prefix string) string {
	for _, c := range a.Cookies() {
		if strings.HasPrefix(c.Name+"=", prefix) && c.MaxAge >= 0 {
			return c.Value
		}
	}
	return ""
}
