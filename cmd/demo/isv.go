package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// This is what an ISV writes: a page that asks the landing service who is operating, once from its back end and once from
// the browser. It uses the service only over HTTP.

// shopPath is the path of the ISV's page for one merchant.
const shopPath = "/shop"

//go:embed isv
var isvFiles embed.FS

var isvPages = template.Must(template.ParseFS(isvFiles, "isv/*.html"))

// front is the ISV's host: its own pages, and the service under a path. In production nginx does this.
func front(public, internal string) http.Handler {
	i := &isv{internal: internal, client: &http.Client{Timeout: 5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	service, err := url.Parse(public)
	if err != nil {
		panic(err) // it is the address of the demo's own listener
	}
	assets, err := fs.Sub(isvFiles, "isv/assets")
	if err != nil {
		panic(err) // embedded above
	}
	m := http.NewServeMux()
	m.Handle(servicePath+"/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(service)
		r.SetXForwarded()
		r.Out.Host = r.In.Host
	}})
	m.HandleFunc("GET /{$}", i.home)
	m.HandleFunc("GET "+shopPath, i.shop)
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { i.write(w, r, http.StatusNotFound, page{}) })
	m.Handle("GET /assets/{file}", http.StripPrefix("/assets/", http.FileServerFS(assets)))
	return m
}

type isv struct {
	internal string // the service's internal listener
	client   *http.Client
}

// home redirects to the merchant of the latest landing.
func (i *isv) home(w http.ResponseWriter, r *http.Request) {
	goTo(w, shopPath)
}

// shop is the page for the merchant in its address.
func (i *isv) shop(w http.ResponseWriter, r *http.Request) {
	who, status, err := i.ask(r.Context(), r.Header.Get("Cookie"), r.URL.Query())
	switch {
	case err != nil || status == http.StatusServiceUnavailable:
		i.write(w, r, http.StatusServiceUnavailable, page{})
	case status == http.StatusOK:
		i.write(w, r, status, page{Who: &who})
	case status == http.StatusForbidden:
		i.write(w, r, status, page{})
	default:
		goTo(w, servicePath+"/signin")
	}
}

// identity is the service's response about an operator.
type identity struct {
	OperatorID, OperatorType, PartnerID, ShopIDs, Expires string
}

// ask sends a visitor's cookies to the service and returns the operator and the status. In production a proxy does this before
// the request arrives here, and the identity is in the request's headers.
func (i *isv) ask(ctx context.Context, cookies string, query url.Values) (who identity, status int, err error) {
	address := i.internal + "/auth/verify"
	if query.Has("partner_id") {
		address += "?" + url.Values{"partner_id": query["partner_id"]}.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return identity{}, 0, err
	}
	request.Header.Set("Cookie", cookies)
	answer, err := i.client.Do(request)
	if err != nil {
		return identity{}, 0, err
	}
	defer answer.Body.Close()
	h := answer.Header
	return identity{
		OperatorID:   h.Get("X-Koubei-Operator-Id"),
		OperatorType: h.Get("X-Koubei-Operator-Type"),
		PartnerID:    h.Get("X-Koubei-Partner-Id"),
		ShopIDs:      h.Get("X-Koubei-Shop-Ids"),
		Expires:      h.Get("X-Koubei-Session-Expires"),
	}, answer.StatusCode, nil
}

// page is the data of the template. Without Who it says why no operator is shown.
type page struct {
	Who    *identity
	Status int
	Lang   string
	Words  map[string]string

	// SessionURL is where the browser reads the identity. The others are links.
	SessionURL, IdentityURL, LogoutURL, ShopURL string
}

// Role and Merchant return the ISV's own words.
func (p page) Role() string     { return or(p.Words["role."+p.Who.OperatorType], p.Who.OperatorType) }
func (p page) Merchant() string { return or(p.Words["merchant."+p.Who.PartnerID], p.Who.PartnerID) }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// Shops returns the ids of the shops one by one, so that lines can break between them.
func (p page) Shops() []string { return strings.Split(p.Who.ShopIDs, ",") }

// Heading and What say why there is no Who.
func (p page) Heading() string { return p.Words[strconv.Itoa(p.Status)+".heading"] }
func (p page) What() string    { return p.Words[strconv.Itoa(p.Status)+".what"] }

// Until returns when the session ends, in words.
func (p page) Until() string {
	t, err := time.Parse(time.RFC3339, p.Who.Expires)
	if err != nil {
		return p.Who.Expires
	}
	return t.In(time.FixedZone("GMT+8", 8*60*60)).Format("2006-01-02 15:04 GMT+8")
}

func (i *isv) write(w http.ResponseWriter, r *http.Request, status int, p page) {
	p.Status, p.Lang = status, language(r)
	p.Words = isvWords[p.Lang]
	p.SessionURL, p.IdentityURL, p.LogoutURL, p.ShopURL = servicePath+"/session", servicePath+"/", servicePath+"/logout", shopPath
	if r.URL.Query().Has("partner_id") {
		p.SessionURL += "?" + url.Values{"partner_id": r.URL.Query()["partner_id"]}.Encode()
	}
	var body bytes.Buffer
	if err := isvPages.ExecuteTemplate(&body, "shop.html", p); err != nil {
		http.Error(w, fmt.Sprintf("the ISV's page: %v", err), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "strict-origin")
	h.Set("Vary", "Accept-Language")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}

// language returns the visitor's first language that the demo has.
func language(r *http.Request) string {
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Accept-Language")), "en") {
		return "en"
	}
	return "zh"
}

func goTo(w http.ResponseWriter, address string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}
