package handler

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/setting"
)

// Targets are the addresses that a landing may redirect to. They are rebuilt from parsed parts and written to Location
// directly: http.Redirect cleans "/./\evil.example" into an address that leads a browser to another host.
type Targets struct {
	PublicURL       *url.URL
	CallbackPath    string   // no target: a browser that goes back there would spend another code
	ReturnToOrigins []string // origins, besides PublicURL's, that are allowed
	Home            Home
	Homes           TypedHomes // takes precedence over Home
}

// TypedHomes are home addresses by operator type.
type TypedHomes map[operator.Type]Home

// maxTarget is the longest address that Parse accepts.
const maxTarget = 2048

var errTarget = errors.New("address not allowed")

// Parse returns an address as it may be written to Location. It fails when the address leads to an origin that is neither
// the service's own nor allowed, leads back to the callback, or can be read in more than one way.
func (t Targets) Parse(raw string) (string, error) {
	if raw == "" || len(raw) > maxTarget || strings.ContainsFunc(raw, misread) {
		return "", errTarget
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil {
		return "", errTarget
	}
	switch {
	case u.Scheme == "" && u.Host == "":
		if !strings.HasPrefix(u.Path, "/") {
			return "", errTarget
		}
	case !t.allows(u):
		return "", errTarget
	}
	if !plainPath(u) || t.isCallback(u) {
		return "", errTarget
	}
	rebuilt := rebuild(u)
	if len(rebuilt) > maxTarget { // escaping makes it longer, and the switch form sends it back
		return "", errTarget
	}
	return rebuilt, nil
}

// misread reports characters that browsers remove or replace before they parse an address.
func misread(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '\\' || r == '\u2028' || r == '\u2029' || r == 0xfffd
}

func (t Targets) allows(u *url.URL) bool {
	origin := Origin(u)
	return origin != "" && (origin == Origin(t.PublicURL) || slices.Contains(t.ReturnToOrigins, origin))
}

// plainPath reports whether every parser agrees on a path. An empty first segment starts a host's name for some, and dot
// segments are resolved by some.
func plainPath(u *url.URL) bool {
	if strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, "\\") {
		return false
	}
	return !slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." })
}

func (t Targets) isCallback(u *url.URL) bool {
	p := path.Clean("/" + u.Path)
	return (u.Host == "" || Origin(u) == Origin(t.PublicURL)) && (p == t.CallbackPath || strings.HasPrefix(p, t.CallbackPath+"/"))
}

// rebuild returns an address from its parsed parts, with everything escaped that needs it.
func rebuild(u *url.URL) string {
	var b strings.Builder
	b.WriteString(Origin(u))
	b.WriteString((&url.URL{Path: u.Path, RawPath: u.RawPath}).EscapedPath())
	if u.RawQuery != "" || u.ForceQuery {
		b.WriteString("?" + escapeRest(u.RawQuery))
	}
	if u.Fragment != "" {
		b.WriteString("#" + escapeRest(u.EscapedFragment()))
	}
	return b.String()
}

// escapeRest escapes the characters that must not be in a header or a query. It leaves escapes as they are.
func escapeRest(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\^`+"`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Origin returns the origin of an http or https address as browsers send it: the host in ASCII, without a default port.
// It returns an empty string for any other address.
func Origin(u *url.URL) string {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return ""
	}
	host, err := ASCIIHost(u.Hostname())
	if err != nil {
		return ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	if port == "" || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		return u.Scheme + "://" + host
	}
	return u.Scheme + "://" + host + ":" + port
}

// HomeOf returns the home address for an entry of a session.
func (t Targets) HomeOf(s session.Session, e session.Entry) string {
	home, ok := t.Homes[e.OperatorType]
	if !ok {
		home = t.Home
	}
	return home.fill(e.PartnerID, s.OperatorID, string(e.OperatorType))
}

// Home is the template of a home address.
type Home struct{ template string }

// The placeholders of a home address.
var placeholders = []string{"{partner_id}", "{operator_id}", "{operator_type}"}

// ParseHome returns a home address. It fails with a setting.Problem of HOME_URL, which does not show the address, if t would not
// allow the address, or if a placeholder stands before the end of the first path segment and not in the query.
func (t Targets) ParseHome(raw string) (Home, error) {
	const filler = "0"
	plain := raw
	for _, p := range placeholders {
		plain = strings.ReplaceAll(plain, p, filler)
	}
	if strings.ContainsAny(plain, "{}") {
		return Home{}, badHome("has an unknown placeholder; there are " + strings.Join(placeholders, ", "))
	}
	clean, err := t.Parse(plain)
	if err != nil {
		return Home{}, badHome("is neither a path nor an address of an allowed origin")
	}
	if clean != plain {
		return Home{}, badHome("has characters that must be percent-encoded")
	}
	if at := strings.IndexByte(raw, '{'); at >= 0 && !fixedBefore(raw[:at]) {
		return Home{}, badHome("has a placeholder before its first fixed segment ends")
	}
	return Home{raw}, nil
}

func badHome(problem string) setting.Problem {
	return setting.Bad("HOME_URL", problem, "use a path such as /shop?partner_id={partner_id}, or an address whose origin is PUBLIC_URL's or in RETURN_TO_ORIGINS")
}

// fixedBefore reports whether the text before a placeholder contains a whole first segment, or the start of a query.
func fixedBefore(s string) bool {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		_, s, ok = strings.Cut(rest, "/")
		if !ok {
			return strings.Contains(rest, "?")
		}
		s = "/" + s
	}
	first, _, ok := strings.Cut(strings.TrimPrefix(s, "/"), "/")
	return strings.Contains(s, "?") || ok && first != ""
}

func (home Home) fill(partnerID, operatorID, operatorType string) string {
	return strings.NewReplacer(
		"{partner_id}", escapeSegment(partnerID),
		"{operator_id}", escapeSegment(operatorID),
		"{operator_type}", escapeSegment(operatorType),
	).Replace(home.template)
}

// escapeSegment escapes a value for one segment of a path or one value of a query. Dots alone would be a dot segment.
func escapeSegment(s string) string {
	if strings.Trim(s, ".") == "" {
		return ""
	}
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
