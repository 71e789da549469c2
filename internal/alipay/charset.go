package alipay

import (
	"bytes"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Charset is how text travels. Its spelling is sent, and signed, as it is; case doesn't matter.
type Charset string

// The charsets that the documentation lists. The gateway is known to take only the first two.
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

// encode returns s in the charset. It fails where s is no UTF-8 or has characters that the charset lacks.
func (cs Charset) encode(s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("text is not UTF-8")
	}
	if cs.isUTF8() {
		return []byte(s), nil
	}
	var enc encoding.Encoding = simplifiedchinese.GBK // of which GB2312 is a part
	if strings.EqualFold(string(cs), string(GB18030)) {
		enc = simplifiedchinese.GB18030
	}
	b, err := enc.NewEncoder().Bytes([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("text has a character that %s lacks", cs)
	}
	return b, nil
}

// decoded is a text as received and as UTF-8, with a way from one to the other. Signatures cover raw; JSON can be
// scanned only in text, because a second byte in GBK may look like a backslash or a brace.
type decoded struct {
	raw  []byte
	text []byte // the same slice as raw where that is UTF-8
	gb   bool
}

// decode reads raw strictly: in the charset that contentType declares, or else the one asked for; then as UTF-8; then
// as GBK, because the gateway has been seen to answer in GBK whatever was asked and declared (smartwalle/alipay#257).
// The declared charset goes first: some GBK texts happen to be valid UTF-8.
func decode(raw []byte, contentType string, asked Charset) (decoded, error) {
	first := asked
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
	if i := skipSpace(raw, 0); i < len(raw) && raw[i] == '{' {
		return decoded{}, untrusted("the body is neither UTF-8 nor GBK")
	}
	return decoded{}, unavailable(OutcomeNotGateway, "the body is not JSON")
}

// decodeGB reads raw as GB18030, which holds GBK, which holds GB2312. The decoder takes some bytes that are no
// characters, hence the look of our own; and it replaces what it can't read by U+FFFD, so a text with that in it is refused.
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

// slice returns the part of d that s, a range of d.text, covers.
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

// skipGB returns the place n characters after i in raw, which is valid GB18030.
func skipGB(raw []byte, i, n int) int {
	for ; n > 0; n-- {
		i += sizeGB(raw[i:])
	}
	return i
}

// sizeGB returns the length in bytes of the GB18030 character that b begins with, or 0 where there is none.
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

// unescapeGB replaces \/ by / where the backslash is a character and not half of one.
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
