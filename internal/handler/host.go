package handler

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// browsers is how browsers read a host name that is not ASCII: UTS 46 without the transitional mapping, hyphens and
// underscores anywhere. Source: the URL standard, section 3.3, "domain to ASCII".
var browsers = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.CheckHyphens(false), idna.StrictDomainName(false))

// ASCIIHost returns a host name in lower case and, if it is written in Unicode, in punycode. It fails if a Unicode name
// can't be a host.
func ASCIIHost(host string) (string, error) {
	if strings.IndexFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) < 0 {
		return strings.ToLower(host), nil
	}
	return browsers.ToASCII(host)
}
