package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9/logging"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/setting"
)

type checkCmd struct {
	settings
	JSON bool `name:"json" help:"Print the findings as a JSON array of group, check, level (ok, skipped, warning, failure), settings, detail and fix."`
}

// errCheck says that a check failed. The findings are already printed.
var errCheck = errors.New("check failed")

// Run prints the problems, each with its fix, then the passed checks and every setting in effect. It runs the other checks
// even if some settings have problems.
func (c *checkCmd) Run(inv *invocation) error {
	logging.Disable() // go-redis would repeat the findings on stderr
	r := c.parse(inv)
	findings := slices.Concat(settingsFindings(r), app.Check(inv.ctx, usable(r.config, r.problems)))
	if err := c.print(inv, findings, r.inForce); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f app.Finding) bool { return f.Level == app.Failure }) {
		return errCheck
	}
	return nil
}

func (c *checkCmd) print(inv *invocation, findings []app.Finding, inForce []setting.InForce) error {
	if !c.JSON {
		return newFindingsPrinter(inv).print(findings, inForce)
	}
	e := json.NewEncoder(inv.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(findings)
}

// usable returns the settings without the groups that have a problem. Those are not checked.
func usable(c app.Config, wrong setting.Problems) app.Config {
	if concerns(wrong, "ALIPAY_") {
		c.Alipay = alipay.Config{}
	}
	if concerns(wrong, "REDIS_") || c.Redis.Prefix == "" {
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
		findings = append(findings, app.Finding{Group: "settings", Check: "settings", Level: level, Settings: p.Settings, Detail: p.Problem, Fix: p.Fix})
	}
	for _, p := range r.problems {
		add(app.Failure, p)
	}
	if len(findings) == 0 {
		findings = append(findings, app.Finding{Group: "settings", Check: "settings", Level: app.OK, Detail: "all are valid"})
	}
	for _, p := range r.warnings {
		add(app.Warning, p)
	}
	return findings
}
