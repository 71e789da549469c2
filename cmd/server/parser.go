package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"koubei-landing/internal/handler"
	"koubei-landing/internal/setting"
)

// parser turns texts into values and collects what is wrong with them. Its problems never hold a value of eight
// characters or more: it may be a secret that was put into the wrong place.
type parser struct{ problems setting.Problems }

func (p *parser) add(name, problem, fix string) {
	p.problems = append(p.problems, setting.Bad(name, problem, fix))
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
		p.problems = append(p.problems, problem)
		return
	}
	p.problems = append(p.problems, setting.Problem{Settings: names, Problem: err.Error()})
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

// file returns the content of the file that a setting names. It adds a problem and returns nil if it can't be read.
func (p *parser) file(name, path string) []byte {
	raw, err := os.ReadFile(path)
	if err != nil {
		p.add(name, fmt.Sprintf("can't be read: %v", reason(err)), "give the path of a file")
		return nil
	}
	return raw
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
	if path, ok := strings.CutPrefix(value, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || len(path) > maxSocketPath {
			p.invalid(name, value, fmt.Sprintf("use unix: and an absolute path of at most %d bytes", maxSocketPath))
		}
		return value
	}
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		p.invalid(name, value, "use host:port, :port or unix:/path")
	}
	return value
}

// list returns the items of a comma-separated list.
func list(value string) []string {
	var items []string
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
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
	for i, item := range list(value) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			p.invalidItem(name, i+1, item, "use CIDRs, such as 10.0.0.0/8")
			continue
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes
}

// origins returns origins as browsers write them.
func (p *parser) origins(name, value string) []string {
	var origins []string
	for i, item := range list(value) {
		u, err := url.Parse(item)
		if err != nil || handler.Origin(u) == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
			u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Host, "*") {
			p.invalidItem(name, i+1, item, "use exact origins, such as https://shop.example")
			continue
		}
		origins = append(origins, handler.Origin(u))
	}
	return origins
}
