package alipay

import (
	"cmp"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
)

const (
	redacted = "[redacted]"

	maxText    = 512 // bytes of one text from the gateway in an Error
	maxTraceID = 64
)

// signedNames are the parameters that a string to sign may begin with. The sub_msg of isv.invalid-signature quotes the
// gateway's string to sign, which holds the code.
var signedNames = []string{
	"alipay_root_cert_sn=", "app_auth_token=", "app_cert_sn=", "app_id=", "biz_content=", "charset=", "encrypt_type=", "sign=",
}

// secrets are texts that no error may hold, in every spelling in which a response may quote them, the longest first.
type secrets []string

// newSecrets returns the values plain, escaped for JSON, URLs and HTML, and escaped once more: the string to sign holds
// JSON, and the gateway quotes it as HTML. For real codes, which are letters and digits, all of them are equal.
func newSecrets(values ...string) secrets {
	spellings := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	for range 2 {
		for _, v := range slices.Clone(spellings) {
			spellings = append(append(spellings, url.QueryEscape(v), html.EscapeString(v)), jsonSpellings(v)...)
		}
		sorted := slices.SortedFunc(slices.Values(spellings), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
		spellings = slices.Compact(sorted)
	}
	return spellings
}

// jsonSpellings returns v as it stands in a JSON string: with <, > and & plain, and with them escaped.
func jsonSpellings(v string) []string {
	spellings := make([]string, 0, 2)
	for _, escapeHTML := range []bool{false, true} {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		if enc.Encode(v) == nil { // always, with a string
			spellings = append(spellings, b.String()[1:b.Len()-len("\"\n")])
		}
	}
	return spellings
}

// strip removes the secrets, a quoted string to sign with everything after it, and control characters from text, and
// shortens it.
func (s secrets) strip(text string) string {
	for _, name := range signedNames {
		if before, _, ok := strings.Cut(text, name); ok {
			text = before + "[string to sign removed]"
		}
	}
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	text = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, text)
	return shorten(text, maxText)
}

// clean strips every text of e.
func (s secrets) clean(e *Error) {
	for _, text := range []*string{&e.Code, &e.Msg, &e.SubCode, &e.SubMsg, &e.TraceID, &e.detail} {
		*text = s.strip(*text)
	}
}

func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// traceIDOf returns the first visible ASCII characters of the header.
func traceIDOf(header string) string {
	var b strings.Builder
	for i := 0; i < len(header) && b.Len() < maxTraceID; i++ {
		if header[i] > ' ' && header[i] <= '~' {
			b.WriteByte(header[i])
		}
	}
	return b.String()
}
