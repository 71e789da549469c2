package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"koubei-landing/internal/handler"
)

func oneOf[T ~string](p *parser, name, value string, allowed ...T) T {
	if !slices.Contains(allowed, T(value)) {
		var words []string
		for _, a := range allowed {
			words = append(words, string(a))
		}
		p.invalid(name, value, "use "+strings.Join(words, " or "))
	}
	return T(value)
}

func (p *parser) boolean(name, value string) bool {
	b, err := strconv.ParseBool(value)
	if err != nil {
		p.invalid(name, value, "use true or false")
	}
	return b
}

func (p *parser) number(name, value string, least, most int) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		p.invalid(name, value, fmt.Sprintf("use a whole number from %d to %d", least, most))
		return least
	}
	return n
}

func (p *parser) duration(name, value string, least, most time.Duration) time.Duration {
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > most {
		p.invalid(name, value, fmt.Sprintf("use a duration from %s to %s, such as 90s or 2h", least, most))
		return most
	}
	return d
}

// maxSocketPath is the longest path of a Unix socket on every system: macOS allows 103 bytes, Linux 107.
const maxSocketPath = 103

// listen returns an address to listen on: host:port, or unix: and an absolute path.
func (p *parser) listen(name, value string) string {
	if p.fullWidth(name, value) {
		return value
	}
	if path, ok := strings.CutPrefix(value, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || len(path) > maxSocketPath {
			p.invalid(name, value, fmt.Sprintf("use unix: and an absolute path of at most %d bytes", maxSocketPath))
		}
		return value
	}
	host, port, err := net.SplitHostPort(value)
	if err == nil {
		host, err = handler.ASCIIHost(host)
	}
	if err != nil || port == "" || !isPort(port) {
		p.invalid(name, value, "use host:port, :port or unix:/path")
		return value
	}
	return net.JoinHostPort(host, port)
}

// isPort reports whether a URL may have this port. An empty one is the scheme's default.
func isPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil
}

// url returns an http or https address, with its host as browsers send it. It adds a problem and returns nil if the value
// is none, or has a user or a password.
func (p *parser) url(name, value, fix string) *url.URL {
	if p.fullWidth(name, value) {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || handler.Origin(u) == "" || u.User != nil || !isPort(u.Port()) {
		p.addUnreadable("is "+shown(value), fix, name)
		return nil
	}
	return withASCIIHost(u)
}

// withASCIIHost returns an address that handler.Origin accepts with its scheme and host as browsers send them.
func withASCIIHost(u *url.URL) *url.URL {
	same := *u
	same.Scheme = strings.ToLower(u.Scheme)
	same.Host = strings.ToLower(u.Host)
	if host, err := handler.ASCIIHost(u.Hostname()); err == nil && !strings.Contains(host, ":") {
		same.Host = host
		if u.Port() != "" {
			same.Host += ":" + u.Port()
		}
	}
	return &same
}

// list returns the items of a comma-separated list.
func (p *parser) list(name, value string) []string {
	if p.fullWidth(name, value) {
		return nil
	}
	var items []string
	for item := range strings.SplitSeq(value, ",") {
		if item = clean(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// invalidItem adds an item of a list that can't be used, by its number from 1.
func (p *parser) invalidItem(name string, number int, item, fix string) {
	problem := fmt.Sprintf("has an item that is not valid, number %d", number)
	if len(item) <= maxShown {
		problem += ", " + strconv.Quote(item)
	}
	p.add(name, problem, fix)
}

func (p *parser) prefixes(name, value string) []netip.Prefix {
	var prefixes []netip.Prefix
	for i, item := range p.list(name, value) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			p.invalidItem(name, i+1, item, "use CIDRs, such as 10.0.0.0/8, or 10.1.2.3/32 for one address")
			continue
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes
}

// origins returns origins as browsers send them.
func (p *parser) origins(name, value string) []string {
	var origins []string
	for i, item := range p.list(name, value) {
		u, err := url.Parse(item)
		if err != nil || handler.Origin(u) == "" || u.User != nil || !isPort(u.Port()) || strings.Trim(u.Path, "/") != "" ||
			u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Host, "*") {
			p.invalidItem(name, i+1, item, "use exact origins, such as https://shop.example")
			continue
		}
		origins = append(origins, handler.Origin(u))
	}
	return origins
}
