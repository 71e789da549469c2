package koubeisim

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// charset is one that the gateway speaks. codec is nil for UTF-8.
type charset struct {
	name  string
	codec encoding.Encoding
}

var (
	utf8Charset = charset{name: "UTF-8"}
	gbkCharset  = charset{"GBK", simplifiedchinese.GBK}
)

// charsetNamed knows the documented names in any case. GB2312 is read as its superset GBK, as everybody does.
func charsetNamed(name string) (charset, bool) {
	switch strings.ToLower(name) {
	case "utf-8":
		return utf8Charset, true
	case "gbk":
		return gbkCharset, true
	case "gb2312":
		return charset{"GB2312", simplifiedchinese.GBK}, true
	case "gb18030":
		return charset{"GB18030", simplifiedchinese.GB18030}, true
	}
	return charset{}, false
}

// decode reads bytes of the charset and refuses what isn't text in it.
func (c charset) decode(raw string) (string, error) {
	text := raw
	if c.codec != nil {
		var err error
		if text, err = c.codec.NewDecoder().String(raw); err != nil {
			return "", err
		}
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
		return "", errors.New("not text in " + c.name)
	}
	return text, nil
}

// has reports whether the charset can spell r; JSON escapes it otherwise.
func (c charset) has(r rune) bool {
	if c.codec == nil || r < utf8.RuneSelf {
		return true
	}
	_, err := c.codec.NewEncoder().String(string(r))
	return err == nil
}

// encode spells text that holds only what the charset has.
func (c charset) encode(text string) []byte {
	if c.codec == nil {
		return []byte(text)
	}
	raw, err := c.codec.NewEncoder().String(text)
	if err != nil {
		panic("koubeisim: encode: " + err.Error()) // the JSON writer escaped what the charset lacks
	}
	return []byte(raw)
}
