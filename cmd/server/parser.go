package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"koubei-landing/internal/handler"
	"koubei-landing/internal/pemfile"
	"koubei-landing/internal/setting"
)

// parser turns texts into values and collects their problems. A problem never holds a value of eight characters or more,
// because the value may be a secret in the wrong place.
type parser struct {
	problems setting.Problems
	warnings []setting.Problem

	unreadable map[string]bool // settings with a problem that hides all others
}

func (p *parser) add(name, problem, fix string) { p.addTogether(problem, fix, name) }

// addTogether adds a problem that concerns several settings.
func (p *parser) addTogether(problem, fix string, names ...string) {
	for _, name := range names {
		if p.unreadable[name] {
			return
		}
	}
	p.problems = append(p.problems, setting.Problem{Settings: names, Problem: problem, Fix: fix})
}

// addUnreadable adds a problem after which the setting's other problems mean nothing.
func (p *parser) addUnreadable(problem, fix string, names ...string) {
	p.addTogether(problem, fix, names...)
	if p.unreadable == nil {
		p.unreadable = map[string]bool{}
	}
	for _, name := range names {
		p.unreadable[name] = true
	}
}

func (p *parser) warn(problem, fix string, names ...string) {
	p.warnings = append(p.warnings, setting.Problem{Settings: names, Problem: problem, Fix: fix})
}

// invalid adds a value that can't be used.
func (p *parser) invalid(name, value, fix string) { p.add(name, "is "+shown(value), fix) }

// addError adds an error of an inner package: the setting.Problem values in it, or else its text as a problem of the
// names.
func (p *parser) addError(err error, names ...string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			p.addError(e, names...)
		}
		return
	}
	if problem, ok := errors.AsType[setting.Problem](err); ok {
		p.addTogether(problem.Problem, problem.Fix, problem.Settings...)
		return
	}
	if e, ok := errors.AsType[*pemfile.Error](err); ok {
		p.addTogether("can't be used: "+e.Error(), cmp.Or(e.Fix, "give a whole PEM file of the right kind"), names...)
		return
	}
	p.addTogether(err.Error(), "", names...)
}

// maxShown is the length of the longest value that a problem may show.
const maxShown = 7

// shown returns a short value quoted, and for a longer one, which may be a secret, a word.
func shown(value string) string {
	if len(value) > maxShown {
		return "not valid"
	}
	return strconv.Quote(value)
}

// reason returns why a file can't be read, without its name, which may be a secret.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// file returns the PEM file that a setting names. It adds a problem and returns false if the file can't be read. The path
// of a file that can be read is not a secret.
func (p *parser) file(name, path string) (pemfile.File, bool) {
	raw, err := readFile(path)
	if err != nil {
		p.add(name, fmt.Sprintf("can't be read: %v", reason(err)), "give the path of a file")
	}
	return pemfile.File{Name: path, Data: raw}, err == nil
}

// quotes are the characters that people put around a value.
const quotes = "\"'`‘’“”「」＂＇"

// quoted adds a problem if a value stands in quotes, which docker --env-file and systemd's credentials keep.
func (p *parser) quoted(name, value string) bool {
	first, n := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	if len(value) <= n || !strings.ContainsRune(quotes, first) || !strings.ContainsRune(quotes, last) {
		return false
	}
	p.addUnreadable("is in quotes, which are part of the value here", "remove the quotes", name)
	return true
}

// fullWidth adds a problem if a list or an address has full-width punctuation, which a Chinese input method writes.
func (p *parser) fullWidth(name, value string) bool {
	i := strings.IndexFunc(value, isFullWidth)
	if i < 0 {
		return false
	}
	r, _ := utf8.DecodeRuneInString(value[i:])
	p.addUnreadable(fmt.Sprintf("has full-width punctuation (%c)", r), "write it in half width, with the input method off", name)
	return true
}

// isFullWidth reports whether r is punctuation of Chinese text or the full-width form of ASCII punctuation.
func isFullWidth(r rune) bool {
	chinese := r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef || r >= 0x2018 && r <= 0x201f
	return chinese && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

func (p *parser) oneOf(name, value string, allowed ...string) string {
	if !slices.Contains(allowed, value) {
		p.invalid(name, value, "use "+strings.Join(allowed, " or "))
	}
	return value
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
