package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/setting"
)

// webSettings are the settings of the pages and the routes.
type webSettings struct {
	PublicURL       string `name:"public-url" default:"http://localhost:8080" help:"How browsers reach the service. https makes cookies Secure and sends HSTS. It may have a path. Every public route except CALLBACK_PATH is then below that path."`
	CallbackPath    string `default:"/koubei/callback" help:"The path that is registered at Koubei. It must not be another route of the service."`
	HomeURL         string `name:"home-url" default:"/" help:"Where a browser goes after landing: a path, or an address whose origin is PUBLIC_URL's or in RETURN_TO_ORIGINS. The service replaces {partner_id}, {operator_id} and {operator_type} in the query, or in the path after a fixed first segment."`
	HomeURLs        string `name:"home-urls" help:"The same per operator type: PROVIDER=/p/{partner_id},MER=/m"`
	ReturnToOrigins string `help:"Origins, besides PUBLIC_URL's, that return_to and home addresses may have, separated by commas."`
	EntryURL        string `name:"entry-url" help:"The page at Koubei that leads to the service. Every page that says 'enter again from Koubei' links to it."`
	CorsOrigins     string `name:"cors-origins" help:"Exact origins of the same site whose pages may read /session with credentials and sign out, separated by commas."`
	FrameAncestors  string `help:"Origins that may show the pages in an iframe, separated by commas. Needs SESSION_COOKIE_SAMESITE=none."`
	ArrivalCheck    string `default:"auto" help:"auto or off. With auto, a browser must show that it keeps cookies before the service spends its code."`
	ForwardAuthCode string `default:"false" help:"Let /auth/verify pass the code to the application behind the proxy."`
	AdminToken      string `kong:"-" secret:"ADMIN_TOKEN" help:"Bearer token of /admin/* and /debug/pprof/*, at least 32 characters. Without it these routes answer 404."`
	TrustedProxies  string `help:"CIDRs of the proxies whose X-Forwarded-For the service trusts, separated by commas."`
	MaxRequests     string `default:"1000" help:"How many requests the public listener processes at the same time. It answers further requests with 503."`
	AccessLog       string `default:"public" help:"Which requests the log has a line for, besides landings: all; public (those of the public listener, and failed ones); off (failed ones)."`
}

func (s webSettings) parse(p *parser) handler.Config {
	c := handler.Config{
		EntryURL:       s.entryURL(p),
		CORSOrigins:    p.origins("CORS_ORIGINS", s.CorsOrigins),
		FrameAncestors: p.origins("FRAME_ANCESTORS", s.FrameAncestors),
		ArrivalCheck:   oneOf(p, "ARRIVAL_CHECK", s.ArrivalCheck, "auto", "off") == "auto",
		ForwardCode:    p.boolean("FORWARD_AUTH_CODE", s.ForwardAuthCode),
		AdminToken:     s.adminToken(p),
		TrustedProxies: p.prefixes("TRUSTED_PROXIES", s.TrustedProxies),
		MaxRequests:    p.number("MAX_REQUESTS", s.MaxRequests, 1, 1_000_000),
		AccessLog:      oneOf(p, "ACCESS_LOG", s.AccessLog, handler.AccessAll, handler.AccessPublic, handler.AccessOff),
	}
	c.PublicURL = s.publicURL(p)
	c.CallbackPath = s.callbackPath(p, c.PublicURL)
	c.ReturnToOrigins = p.origins("RETURN_TO_ORIGINS", s.ReturnToOrigins)
	s.homes(p, &c.Targets)
	return c
}

func (s webSettings) publicURL(p *parser) *url.URL {
	const fix = "use the address at which browsers reach the service, such as https://isv.example or https://isv.example/koubei"
	u := p.url("PUBLIC_URL", s.PublicURL, fix)
	if u == nil {
		return &url.URL{Scheme: "http", Host: "localhost"}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if u.RawQuery != "" || u.Fragment != "" || !isRoute(u.Path) {
		p.invalid("PUBLIC_URL", s.PublicURL, fix)
	}
	return u
}

// routePath matches a path that the router matches literally, with a slash at its end.
var routePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*/$`)

// isRoute reports whether the router and all proxies match a path literally.
func isRoute(path string) bool {
	path += "/"
	return routePath.MatchString(path) && !strings.Contains(path, "/./") && !strings.Contains(path, "/../")
}

func (s webSettings) callbackPath(p *parser, public *url.URL) string {
	path := s.CallbackPath
	if p.fullWidth("CALLBACK_PATH", path) {
		return path
	}
	if path == "/" || !isRoute(path) {
		p.invalid("CALLBACK_PATH", path, "use a path such as /koubei/callback, of letters, digits and ._~-")
		return path
	}
	if route := handler.Collision(public.Path, path); route != "" {
		names := []string{"CALLBACK_PATH"}
		if public.Path != "" {
			names = append(names, "PUBLIC_URL")
		}
		p.addProblem("has the service's own route "+route, "use another path, such as /koubei/callback", names...)
	}
	return path
}

func (s webSettings) entryURL(p *parser) string {
	if s.EntryURL == "" {
		return ""
	}
	if u := p.url("ENTRY_URL", s.EntryURL, "use the https:// address of the page at Koubei that leads here"); u != nil {
		return u.String()
	}
	return ""
}

// homes sets the home addresses. t must allow them.
func (s webSettings) homes(p *parser, t *handler.Targets) {
	if !p.fullWidth("HOME_URL", s.HomeURL) {
		var err error
		if t.Home, err = t.ParseHome(withASCIIOrigin(s.HomeURL)); err != nil {
			p.addError(err)
		}
	}
	t.Homes = handler.TypedHomes{}
	for i, item := range p.list("HOME_URLS", s.HomeURLs) {
		name, address, _ := strings.Cut(item, "=")
		typ := operator.Type(clean(name))
		if !typ.Known() {
			p.invalidItem("HOME_URLS", i+1, name, "use operator types, such as PROVIDER=/p/{partner_id},MER=/m")
			continue
		}
		home, err := t.ParseHome(withASCIIOrigin(clean(address)))
		if err != nil {
			problem, _ := errors.AsType[setting.Problem](err)
			p.add("HOME_URLS", fmt.Sprintf("is not valid: the address of %s %s", typ, problem.Problem), problem.Fix)
		}
		t.Homes[typ] = home
	}
}

// withASCIIOrigin returns a home address with its host as browsers send it. It returns anything else unchanged.
func withASCIIOrigin(home string) string {
	scheme, rest, ok := strings.Cut(home, "://")
	if !ok {
		return home
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	u, err := url.Parse(scheme + "://" + rest[:end])
	if err != nil || u.User != nil || handler.Origin(u) == "" {
		return home
	}
	return withASCIIHost(u).String() + rest[end:]
}

// minAdminToken is the length of the shortest token that cannot be guessed.
const minAdminToken = 32

func (s webSettings) adminToken(p *parser) string {
	const fix = "use at least 32 characters, made by: openssl rand -hex 32"
	switch {
	case s.AdminToken == "":
	case len(s.AdminToken) < minAdminToken:
		p.add("ADMIN_TOKEN", fmt.Sprintf("has %d characters", len(s.AdminToken)), fix)
	case strings.ContainsFunc(s.AdminToken, func(r rune) bool { return r <= ' ' || r > '~' }):
		p.add("ADMIN_TOKEN", "has white space or characters that no request header can hold", fix)
	}
	return s.AdminToken
}

// checkFrames adds a problem if the pages may be framed but browsers do not send the session cookie in a frame.
func (p *parser) checkFrames(c app.Config) {
	if len(c.Web.FrameAncestors) > 0 && c.Session.Cookie.SameSite != http.SameSiteNoneMode {
		p.addProblem("conflict: browsers do not send a lax cookie in an iframe",
			"set SESSION_COOKIE_SAMESITE=none, or remove FRAME_ANCESTORS", "FRAME_ANCESTORS", "SESSION_COOKIE_SAMESITE")
	}
}
