package alipay

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Charset names the encoding of requests and responses. It is sent and signed as spelled; case does not matter.
type Charset string

// The documented charsets. The gateway is known to accept only the first two.
const (
	UTF8    Charset = "utf-8"
	GBK     Charset = "gbk"
	GB2312  Charset = "gb2312"
	GB18030 Charset = "gb18030"
)

// known reports whether cs is one of the four.
func (cs Charset) known() bool {
	switch Charset(strings.ToLower(string(cs))) {
	case UTF8, GBK, GB2312, GB18030:
		return true
	}
	return false
}

func (cs Charset) isUTF8() bool { return strings.EqualFold(string(cs), string(UTF8)) }

// encode returns s in the charset. It fails if s is not UTF-8 or has a character that the charset lacks.
func (cs Charset) encode(s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("the text is not UTF-8")
	}
	if cs.isUTF8() {
		return []byte(s), nil
	}
	var enc encoding.Encoding = simplifiedchinese.GBK // a superset of GB2312
	if strings.EqualFold(string(cs), string(GB18030)) {
		enc = simplifiedchinese.GB18030
	}
	b, err := enc.NewEncoder().Bytes([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("the text has a character that %s lacks", cs)
	}
	return b, nil
}

// decoded is a text as received and in UTF-8, with a mapping between both. Signatures cover raw. JSON must be scanned in
// text, because the second byte of a GBK character may look like a backslash or a brace.
type decoded struct {
	raw  []byte
	text []byte // the same slice as raw if that is UTF-8
	gb   bool
}

// decode decodes raw strictly, first in the charset that contentType declares, or in the requested one if it declares none;
// then as UTF-8; then as GBK, because the gateway has been seen to respond in GBK whatever was requested and declared
// (smartwalle/alipay#257). The declared charset comes first because some GBK texts happen to be valid UTF-8.
func decode(raw []byte, contentType string, requested Charset) (decoded, error) {
	first := requested
	if _, params, err := mime.ParseMediaType(contentType); err == nil && Charset(params["charset"]).known() {
		first = Charset(params["charset"])
	}
	if !first.isUTF8() {
		if d, ok := decodeGB(raw); ok {
			return d, nil
		}
	}
	if utf8.Valid(raw) {
		return decoded{raw: raw, text: raw}, nil
	}
	if d, ok := decodeGB(raw); ok {
		return d, nil
	}
	if raw[skipSpace(raw, 0)] == '{' { // raw is not only white space: that is UTF-8
		return decoded{}, untrusted("the body is neither UTF-8 nor GBK")
	}
	return decoded{}, unavailable(OutcomeNotGateway, "the body is not JSON")
}

// decodeGB decodes raw as GB18030, a superset of GBK and GB2312. The decoder accepts some bytes that are no characters, so
// sizeGB checks them first. It replaces what it cannot decode by U+FFFD, so a text that holds U+FFFD is refused.
func decodeGB(raw []byte) (decoded, bool) {
	for i := 0; i < len(raw); {
		n := sizeGB(raw[i:])
		if n == 0 {
			return decoded{}, false
		}
		i += n
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(raw)
	if err != nil || bytes.ContainsRune(text, utf8.RuneError) {
		return decoded{}, false
	}
	return decoded{raw: raw, text: text, gb: true}, true
}

// slice returns the part of d in s, which is a range of d.text.
func (d decoded) slice(s span) decoded {
	text := d.text[s.start:s.end]
	if !d.gb {
		return decoded{raw: text, text: text}
	}
	start := skipGB(d.raw, 0, utf8.RuneCount(d.text[:s.start]))
	end := skipGB(d.raw, start, utf8.RuneCount(text))
	return decoded{raw: d.raw[start:end], text: text, gb: true}
}

// withoutSlashEscapes returns d with every \/ replaced by /, and false when there is none.
func (d decoded) withoutSlashEscapes() (decoded, bool) {
	if !bytes.Contains(d.text, []byte(`\/`)) {
		return d, false
	}
	text := bytes.ReplaceAll(d.text, []byte(`\/`), []byte(`/`))
	if !d.gb {
		return decoded{raw: text, text: text}, true
	}
	return decoded{raw: unescapeGB(d.raw), text: text, gb: true}, true
}

// skipGB returns the index n characters after i in raw, which must be valid GB18030.
func skipGB(raw []byte, i, n int) int {
	for ; n > 0; n-- {
		i += sizeGB(raw[i:])
	}
	return i
}

// sizeGB returns the length in bytes of the first GB18030 character of b, or 0 if b does not begin with one.
func sizeGB(b []byte) int {
	switch {
	case b[0] <= 0x80: // 0x80 is the euro sign of code page 936
		return 1
	case b[0] == 0xff || len(b) < 2:
		return 0
	case b[1] >= 0x40 && b[1] <= 0xfe && b[1] != 0x7f:
		return 2
	case len(b) >= 4 && digit(b[1]) && b[2] >= 0x81 && b[2] <= 0xfe && digit(b[3]):
		return 4
	}
	return 0
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// unescapeGB replaces \/ by / if the backslash is a character of its own and not half of one.
func unescapeGB(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		n := sizeGB(raw)
		if !bytes.HasPrefix(raw, []byte(`\/`)) {
			out = append(out, raw[:n]...)
		}
		raw = raw[n:]
	}
	return out
}
