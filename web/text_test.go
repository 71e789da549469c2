package web_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"koubei-landing/web"
)

func readTexts(t *testing.T, lang string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("text/" + lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	var key string
	for n := 0; ; n++ {
		token, err := dec.Token()
		if err == io.EOF {
			return words
		}
		if err != nil {
			t.Fatalf("%s: %v", lang, err)
		}
		text, ok := token.(string)
		if !ok {
			continue // the braces; anything else would not have decoded in New
		}
		if n%2 == 1 {
			if _, twice := words[text]; twice {
				t.Errorf("%s: %s twice", lang, text)
			}
			key = text
		}
		words[key] = text
	}
}

func TestTexts(t *testing.T) {
	p := pages(t, "")
	zh, en := readTexts(t, "zh"), readTexts(t, "en")
	verb := regexp.MustCompile(`%[a-z]|\{\w+\}`)
	for key, text := range zh {
		other, ok := en[key]
		if !ok {
			t.Errorf("en lacks %s", key)
		}
		if strings.TrimSpace(text) == "" || strings.TrimSpace(other) == "" {
			t.Errorf("%s is empty", key)
		}
		got, want := verb.FindAllString(other, -1), verb.FindAllString(text, -1)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: en has %q, zh has %q", key, got, want)
		}
		if regexp.MustCompile(`\p{Han}`).MatchString(other) {
			t.Errorf("en speaks Chinese: %s", other)
		}
		if regexp.MustCompile(`[,;!?]|\.$`).MatchString(text) {
			t.Errorf("zh has Western punctuation: %s", text)
		}
	}
	for key := range en {
		if _, ok := zh[key]; !ok {
			t.Errorf("zh lacks %s", key)
		}
	}
	for _, code := range codes(t) {
		for _, part := range []string{"title", "what", "do"} {
			if key := "error." + code + "." + part; zh[key] == "" {
				t.Errorf("no text %s", key)
			}
		}
	}
	if got, want := p.Text(web.Chinese, "type.other", "X"), "未知类型（X）"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := p.Text(web.English, "no.such"); got != "no.such" {
		t.Errorf("unknown key: got %q", got)
	}
}

// Unused texts would become outdated.
func TestEveryTextIsUsed(t *testing.T) {
	var sources strings.Builder
	for _, pattern := range []string{"templates/*.html", "web.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(raw)
		}
	}
	for key := range readTexts(t, "zh") {
		part := strings.Split(key, ".")
		if len(part) == 3 && part[0] == "error" {
			continue // handler compares these with its table of errors
		}
		if part[0] == "type" && part[1] == strings.ToUpper(part[1]) {
			continue
		}
		if !strings.Contains(sources.String(), `"`+key+`"`) {
			t.Errorf("%s is not used", key)
		}
	}
}
