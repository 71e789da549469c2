package main

import (
	"fmt"
	"iter"
	"reflect"
	"strings"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/buildinfo"
	"koubei-landing/internal/setting"
)

const settingsNote = `Every setting is an environment variable and, unless it is secret, a flag of the same name; the flag takes precedence. ` +
	`A secret may be given as NAME_FILE instead, a path to read it from.`

// otelNote describes the variables that OpenTelemetry reads itself, for the help and the table of settings.
const otelNote = "The standard variables of OpenTelemetry. Tracing starts when an OTLP endpoint is set (OTEL_EXPORTER_OTLP_ENDPOINT). The protocol is http/protobuf."

// settings is the table of all settings. Flags, variables, defaults, help and documentation are made from it. Each group
// has a file of its own with a parse method.
//
// All values are texts here: kong would stop at the first bad value and print it. A field with a secret tag has no flag;
// the tag names the variable.
type settings struct {
	Web        webSettings       `embed:"" group:"Pages and routes"`
	Landing    landingSettings   `embed:"" group:"Landings"`
	Alipay     alipaySettings    `embed:"" group:"Gateway and keys"`
	Redis      redisSettings     `embed:"" group:"Redis"`
	Session    sessionSettings   `embed:"" group:"Sessions"`
	Assertions assertionSettings `embed:"" group:"Assertions"`
	Operations operationSettings `embed:"" group:"Listeners and shutdown"`
	Log        logSettings       `embed:"" group:"Log"`
}

// parsed holds the settings as values.
type parsed struct {
	config   app.Config // a setting with a problem is zero or has its default
	problems setting.Problems
	warnings []setting.Problem
	inForce  []setting.InForce
}

// load returns the parsed settings. It fails with setting.Problems, which list every problem.
func (s settings) load(inv *invocation) (app.Config, error) {
	r := s.parse(inv)
	if err := r.problems.Err(); err != nil {
		return app.Config{}, err
	}
	return r.config, nil
}

// parse returns the settings as values, every problem with them, and the source of each value.
func (s settings) parse(inv *invocation) parsed {
	p := &parser{}
	inForce := s.read(p, inv.env)
	c := app.Config{
		Web:        s.Web.parse(p),
		Landing:    s.Landing.parse(p),
		Alipay:     s.Alipay.parse(p),
		Operations: s.Operations.parse(p),
		Log:        s.Log.parse(p, inv.stderr),
		LogDropped: inv.stderr.Dropped,
		Build:      buildinfo.Of(version),
		Now:        time.Now,
	}
	if p.problems.Concern("ALIPAY_APP_ID") {
		c.Alipay.AppID = ""
	}
	c.Redis = s.Redis.parse(p, c.Alipay.AppID)
	c.Session = s.Session.parse(p, c.Web.PublicURL, c.Alipay.PrivateKey)
	c.Assertions = s.Assertions.parse(p, c.Web.PublicURL)
	p.checkFrames(c)
	p.checkShutdown(c)
	p.checkTracing(inv.env.get)
	for i := range inForce {
		inForce[i] = complete(inForce[i], c, p.problems)
	}
	return parsed{config: c, problems: p.problems, warnings: append(p.warnings, inv.env.misspelled()...), inForce: inForce}
}

// read sets the text of every setting: without white space around it, or the default if it is empty. It returns the source
// of each. It reads a secret from its variable or its file.
func (s *settings) read(p *parser, env *environment) []setting.InForce {
	var all []setting.InForce
	for d, v := range s.fields() {
		text, source := clean(v.String()), setting.Unset
		if d.secret {
			text, source = env.secret(p, d.name)
		} else {
			source = env.source(d.name)
		}
		if p.quoted(d.name, text) {
			text = ""
		}
		if text == "" {
			text, source = d.preset, setting.Default
			if text == "" {
				source = setting.Unset
			}
		}
		v.SetString(text)
		all = append(all, setting.InForce{Name: d.name, Value: text, Secret: d.secret, Source: source})
	}
	return all
}

// complete adds the defaults that other settings determine. It removes what must not be shown: secrets, and values with a
// problem, which may be secrets in the wrong place.
func complete(s setting.InForce, c app.Config, problems setting.Problems) setting.InForce {
	derived := map[string]string{
		"REDIS_KEY_PREFIX":   c.Redis.Prefix,
		"ASSERTION_AUDIENCE": strings.Join(c.Assertions.Audiences, ","),
	}
	if s.Source == setting.Unset && derived[s.Name] != "" {
		s.Value, s.Source = derived[s.Name], setting.Default
	}
	if s.Name == "SEAL_KEYS" && s.Source == setting.Unset && len(c.Session.SealKeys) > 0 {
		s.Source = setting.Default
	}
	s.Invalid = problems.Concern(s.Name)
	if s.Secret || s.Invalid {
		s.Value = ""
	}
	return s
}

// fields returns every setting's description and its value, group by group.
func (s *settings) fields() iter.Seq2[field, reflect.Value] {
	return func(yield func(field, reflect.Value) bool) {
		for group, values := range reflect.ValueOf(s).Elem().Fields() {
			for f, v := range values.Fields() {
				if !yield(describe(group.Tag.Get("group"), f), v) {
					return
				}
			}
		}
	}
}

// Help is kong's detailed help of each command that takes settings: it lists the secrets, which have no flag.
func (settings) Help() string {
	var b strings.Builder
	b.WriteString("Secret settings have no flag. Each is a variable, or NAME_FILE, a path to read it from.\n")
	for _, f := range table {
		if f.secret {
			fmt.Fprintf(&b, "\n    %s\n        %s\n", f.name, f.help)
		}
	}
	fmt.Fprintf(&b, "\n    OTEL_*\n        %s\n", otelNote)
	return b.String()
}
