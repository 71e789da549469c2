package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/redis/go-redis/v9/logging"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/setting"
)

type checkCmd struct {
	settings
	JSON bool `name:"json" help:"Print the findings as a JSON array of check, level (ok, skipped, warning, failure), detail and cure."`
}

// errCheck says that something is wrong; what, is printed already.
var errCheck = errors.New("check: something is wrong")

// Run prints what is right and wrong, each problem with its cure. Wrong settings don't keep it from looking at what the
// others describe.
func (c *checkCmd) Run(w *world) error {
	logging.Disable() // go-redis's own words on stderr would say again what the findings say
	r := c.parse(w)
	findings := slices.Concat(settingsFindings(r), app.Check(w.ctx, usable(r.config, r.problems)))
	if err := c.print(w.stdout, findings); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f app.Finding) bool { return f.Level == app.Failure }) {
		return errCheck
	}
	return nil
}

func (c *checkCmd) print(w io.Writer, findings []app.Finding) error {
	if !c.JSON {
		return printFindings(w, findings)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(findings)
}

// usable returns the settings without the groups that have a problem: they are not tried.
func usable(c app.Config, wrong setting.Problems) app.Config {
	if concerns(wrong, "ALIPAY_") {
		c.Alipay = alipay.Config{}
	}
	if concerns(wrong, "REDIS_") {
		c.Redis = app.Redis{}
	}
	if concerns(wrong, "PUBLIC_", "CALLBACK_RATE", "TRUSTED_PROXIES") {
		c.Web = handler.Config{}
	}
	return c
}

func concerns(wrong setting.Problems, prefixes ...string) bool {
	for _, p := range wrong {
		for _, name := range p.Settings {
			if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
				return true
			}
		}
	}
	return false
}

func settingsFindings(r parsed) []app.Finding {
	var findings []app.Finding
	add := func(level app.Level, p setting.Problem) {
		findings = append(findings, app.Finding{Check: "settings", Level: level, Detail: strings.Join(p.Settings, ", ") + " " + p.Problem, Cure: p.Fix})
	}
	for _, p := range r.problems {
		add(app.Failure, p)
	}
	if len(findings) == 0 {
		findings = append(findings, app.Finding{Check: "settings", Level: app.OK, Detail: "each can be read"})
	}
	for _, p := range r.warnings {
		add(app.Warning, p)
	}
	return findings
}

// printFindings writes a line for each finding, and one for its cure below.
func printFindings(w io.Writer, findings []app.Finding) error {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-8s %-*s  %s\n", f.Level, width, f.Check, oneLine(f.Detail))
		if f.Cure != "" {
			fmt.Fprintf(&b, "%-8s %-*s  → %s\n", "", width, "", oneLine(f.Cure))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine keeps what a gateway or a file said from breaking lines, or from moving the terminal's cursor.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
