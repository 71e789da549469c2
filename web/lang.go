package web

import (
	"strings"

	"golang.org/x/text/language"
)

// Lang is a language of the pages. The zero value is Simplified Chinese.
type Lang int

// The languages.
const (
	Chinese Lang = iota
	English
)

// langs lists all languages, in the order of the constants above.
var langs = [...]struct{ tag, file string }{
	Chinese: {"zh-CN", "zh"},
	English: {"en", "en"},
}

// matcher finds the language for an Accept-Language header. Its first tag is the default. Traditional Chinese is listed
// because otherwise the matcher would choose English for it, while its readers prefer Simplified Chinese.
var matcher = language.NewMatcher([]language.Tag{language.SimplifiedChinese, language.English, language.TraditionalChinese})

// Tag returns the language for the lang attribute and the Content-Language header.
func (l Lang) Tag() string { return langs[l].tag }

// maxAcceptLanguage bounds what is parsed of an Accept-Language header. Browsers send less than 100 bytes.
const maxAcceptLanguage = 512

// Negotiate returns the language for an Accept-Language header: Chinese if the header is missing or malformed, or contains
// neither language. It reads only the start of a very long header.
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
