// Package web contains the pages that users see: templates, texts in Chinese and English, the stylesheet and the script.
//
// The users are merchants, service providers and their staff, who clicked an application at Koubei. Most of them see these
// pages only if something went wrong. So each page says what happened and what to do next, does not mention internals, and
// works without the script.
//
// Pages contain no inline script, style or event attribute, and load nothing from another host. They are sent with a
// Content-Security-Policy that forbids both, because a page's address may contain a code.
package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed templates/*.html text/*.json static/*
var files embed.FS

// Pages renders pages and serves static files. It is safe for concurrent use.
type Pages struct {
	texts     [len(langs)]texts
	templates [len(langs)]map[string]*template.Template
	assets    map[string]Asset  // by address
	addresses map[string]string // by file name
}

// New reads everything that is embedded, for public routes under base: "" or a path such as "/koubei", without a slash at
// its end. It fails for a broken template, for a missing text, and if the languages differ in their keys or verbs.
func New(base string) (*Pages, error) {
	p := &Pages{}
	var err error
	if p.texts, err = readTexts(); err != nil {
		return nil, err
	}
	if p.assets, p.addresses, err = readAssets(base); err != nil {
		return nil, err
	}
	if err := everyTemplateIsAPage(); err != nil {
		return nil, err
	}
	for l := range langs {
		lang := Lang(l)
		p.templates[lang] = make(map[string]*template.Template)
		for page, blank := range blanks {
			tmpl, err := template.New("base.html").Funcs(p.funcs(base, lang)).
				ParseFS(files, "templates/base.html", "templates/"+page+".html")
			if err == nil {
				err = checkTexts(tmpl, p.texts[lang])
			}
			if err == nil {
				p.templates[lang][page] = tmpl
				err = p.Render(io.Discard, lang, page, blank)
			}
			if err != nil {
				return nil, fmt.Errorf("web: page %s in %s: %w", page, lang.Tag(), err)
			}
		}
	}
	return p, nil
}

// everyTemplateIsAPage fails for a template that Render could not find.
func everyTemplateIsAPage() error {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return err
	}
	for _, name := range names {
		page := strings.TrimSuffix(path.Base(name), ".html")
		if _, ok := blanks[page]; !ok && page != "base" {
			return fmt.Errorf("web: %s is no page: add it to blanks in pages.go", name)
		}
	}
	return nil
}

// Render writes a complete page, or writes nothing and returns an error.
func (p *Pages) Render(w io.Writer, lang Lang, page string, data any) error {
	tmpl, ok := p.templates[lang][page]
	if !ok {
		return fmt.Errorf("web: no page %q", page)
	}
	var buf bytes.Buffer
	if err := tmpl.Execute(&buf, data); err != nil {
		return err
	}
	_, err := buf.WriteTo(w)
	return err
}

// Text returns the text of a key, formatted with args. For an unknown key, which is a programming error, it returns the key.
func (p *Pages) Text(lang Lang, key string, args ...any) string {
	return p.texts[lang].format(key, args...)
}

// funcs returns the functions of the templates.
func (p *Pages) funcs(base string, lang Lang) template.FuncMap {
	words := p.texts[lang]
	return template.FuncMap{
		"t":    words.format,
		"lang": lang.Tag,
		"path": func(route string) string { return base + route },
		"asset": func(name string) (string, error) {
			address, ok := p.addresses[name]
			if !ok {
				return "", fmt.Errorf("no static file %q", name)
			}
			return address, nil
		},
		"when":         func(t time.Time) template.HTML { return when(words, t) },
		"operatorType": func(name string) string { return operatorType(words, name) },
		"problem":      func(page ErrorPage, part string) string { return problem(words, page, part) },
	}
}

// koubeiTime is the time zone of Koubei's users, GMT+8. The fixed offset needs no time zone table.
var koubeiTime = time.FixedZone("GMT+8", 8*60*60)

// when returns a time in words, without the zone, which the page names once. It omits the year, because a session ends
// within a day.
func when(words texts, t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	t = t.In(koubeiTime)
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.Format(time.RFC3339),
		template.HTMLEscapeString(t.Format(words.format("time.layout")))))
}

// operatorType returns an operator type in words. It returns an unknown type unchanged.
func operatorType(words texts, name string) string {
	if name == "" {
		return words.format("type.none")
	}
	if text, ok := words["type."+name]; ok && name == strings.ToUpper(name) {
		return text
	}
	return words.format("type.other", name)
}

// problem returns one of an error's three texts. An error without its own texts gets those of its status.
func problem(words texts, page ErrorPage, part string) string {
	if text, ok := words["error."+page.Code+"."+part]; ok {
		return text
	}
	if page.Status >= http.StatusBadRequest && page.Status < http.StatusInternalServerError {
		return words.format("error.bad_request." + part)
	}
	return words.format("error.internal." + part)
}
