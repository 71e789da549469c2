package web

import (
	"strings"

	"golang.org/x/text/language"
)

// A Lang is one of the languages that the pages speak. The zero value is Simplified Chinese.
type Lang int

// The languages.
const (
	Chinese Lang = iota
	English
)

// langs lists every language, in the order of the constants above.
var langs = [...]struct{ tag, file string }{
	Chinese: {"zh-CN", "zh"},
	English: {"en", "en"},
}

// The first tag is what the matcher answers when in doubt. Traditional Chinese is named because the matcher
// thinks English closer to it than Simplified Chinese, and its readers do not.
var matcher = language.NewMatcher([]language.Tag{language.SimplifiedChinese, language.English, language.TraditionalChinese})

// Tag is the language as the lang attribute and the Content-Language header name it.
func (l Lang) Tag() string { return langs[l].tag }

// maxAcceptLanguage bounds what is parsed of an Accept-Language header. Browsers send less than 100 bytes.
const maxAcceptLanguage = 512

// Negotiate picks the language for an Accept-Language header: Chinese when the header is missing,
// malformed, or names neither language. It reads the first languages of a very long header.
func Negotiate(acceptLanguage string) Lang {
	if len(acceptLanguage) > maxAcceptLanguage {
		acceptLanguage = acceptLanguage[:max(strings.LastIndexByte(acceptLanguage[:maxAcceptLanguage], ','), 0)]
	}
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(tags) == 0 {
		return Chinese
	}
	_, i, confidence := matcher.Match(tags...)
	if confidence == language.No || i != int(English) {
		return Chinese
	}
	return English
}
