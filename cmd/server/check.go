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

	"koubei-landing/internal/app"
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
	config, err := c.load(w)
	wrong, ok := errors.AsType[problems](err)
	if err != nil && !ok {
		return err
	}
	if wrong != nil {
		config = c.usable(w, wrong)
	}
	findings := slices.Concat(settingsFindings(wrong), app.Check(w.ctx, config))
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

// alipayWhole begins the problem that no single variable has: package alipay found that they don't go together. The check
// of the keys says so itself, one by one.
const alipayWhole = "ALIPAY_* "

// usable returns the settings of the gateway, of Redis and of how browsers come, each unless something is wrong with it.
func (c *checkCmd) usable(w *world, wrong problems) app.Config {
	var config app.Config
	p := &parser{settings: c.settings}
	p.secrets(w.getenv, &p.problems) // all said in wrong
	if !concerns(wrong, "ALIPAY_") {
		config.Alipay = p.alipay()
	}
	if !concerns(wrong, "REDIS_") {
		config.Redis = p.redis()
	}
	if !concerns(wrong, "PUBLIC_", "CALLBACK_RATE", "TRUSTED_PROXIES") {
		p.clients(&config)
	}
	return config
}

func concerns(wrong problems, prefixes ...string) bool {
	return slices.ContainsFunc(wrong, func(text string) bool {
		return !strings.HasPrefix(text, alipayWhole) &&
			slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
	})
}

func settingsFindings(wrong problems) []app.Finding {
	var findings []app.Finding
	for _, text := range wrong {
		if !strings.HasPrefix(text, alipayWhole) {
			findings = append(findings, app.Finding{Check: "settings", Level: app.Failure, Detail: text})
		}
	}
	if len(findings) == 0 {
		findings = append(findings, app.Finding{Check: "settings", Level: app.OK, Detail: "each can be read"})
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
