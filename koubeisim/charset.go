package koubeisim

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// charset is a charset of requests and responses.
type charset struct {
	name  string
	codec encoding.Encoding
}

var (
	utf8Charset = charset{"UTF-8", unicode.UTF8}
	gbkCharset  = charset{"GBK", simplifiedchinese.GBK}

	// charsets holds the documented names. GB2312 is read as its superset GBK, as everybody does.
	charsets = map[string]charset{
		"utf-8": utf8Charset, "gbk": gbkCharset, "gb2312": {"GB2312", simplifiedchinese.GBK}, "gb18030": {"GB18030", simplifiedchinese.GB18030},
	}
)

// charsetNamed accepts the documented names in any case.
func charsetNamed(name string) (charset, bool) {
	c, ok := charsets[strings.ToLower(name)]
	return c, ok
}

// decode fails unless raw is text in the charset.
func (c charset) decode(raw string) (string, error) {
	text, err := c.codec.NewDecoder().String(raw)
	if err != nil || strings.ContainsRune(text, utf8.RuneError) {
		return "", errors.New("not text in " + c.name)
	}
	return text, nil
}

// has reports whether the charset can encode r. The JSON writer escapes what it cannot.
func (c charset) has(r rune) bool {
	if c.codec == unicode.UTF8 || r < utf8.RuneSelf {
		return true
	}
	_, err := c.codec.NewEncoder().String(string(r))
	return err == nil
}

// encode encodes text that holds only what the charset has.
func (c charset) encode(text string) []byte { return []byte(must(c.codec.NewEncoder().String(text))) }
