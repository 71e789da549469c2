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

// What an ISV writes: a page that asks the landing service who is operating, once on its back end and once in the
// browser. Nothing here knows the service but by HTTP.

// shopPath is the ISV's page for one merchant.
const shopPath = "/shop"

//go:embed isv
var isvFiles embed.FS

var isvPages = template.Must(template.ParseFS(isvFiles, "isv/*.html"))

// front is the ISV's host: its own pages, and the service under a path of it. In production nginx does this.
func front(public, internal string) http.Handler {
	i := &isv{internal: internal, client: &http.Client{Timeout: 5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	service, err := url.Parse(public)
	if err != nil {
		panic(err) // the address of our own listener
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
	m.Handle("GET /assets/{file}", http.StripPrefix("/assets/", http.FileServerFS(assets)))
	return m
}

type isv struct {
	internal string // the service's internal listener
	client   *http.Client
}

// home leads to whatever merchant the operator landed for last.
func (i *isv) home(w http.ResponseWriter, r *http.Request) {
	goTo(w, shopPath)
}

// shop is the page for the merchant that its address names.
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

// identity is what the service tells about an operator.
type identity struct {
	OperatorID, OperatorType, PartnerID, ShopIDs, Expires string
}

// ask takes a visitor's cookies to the service and returns who that is. In production a proxy does it before the
// request arrives here, and the answer is in the request's headers.
func (i *isv) ask(ctx context.Context, cookies string, query url.Values) (identity, int, error) {
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

// page is what the template writes; without Who it says that the visitor can't be shown one.
type page struct {
	Who    *identity
	Status int
	Lang   string
	Words  map[string]string

	// SessionURL is where the browser asks for the same; the rest is where the links lead.
	SessionURL, IdentityURL, LogoutURL, ShopURL string
}

// Role and Merchant are in the ISV's own words.
func (p page) Role() string     { return or(p.Words["role."+p.Who.OperatorType], p.Who.OperatorType) }
func (p page) Merchant() string { return or(p.Words["merchant."+p.Who.PartnerID], p.Who.PartnerID) }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// Shops are the shops' ids, so that lines break between them.
func (p page) Shops() []string { return strings.Split(p.Who.ShopIDs, ",") }

// Heading and What say why there is no Who.
func (p page) Heading() string { return p.Words[strconv.Itoa(p.Status)+".heading"] }
func (p page) What() string    { return p.Words[strconv.Itoa(p.Status)+".what"] }

// Until is when the session ends, as people read it.
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

// language is the visitor's first one, if we speak it.
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
