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

const settingsNote = `Every setting is an environment variable and, unless it is secret, a flag of the same name; the flag wins. ` +
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

// parsed is the settings as values.
type parsed struct {
	config   app.Config // what is wrong is left zero or at its default
	problems setting.Problems
	warnings []setting.Problem
	inForce  []setting.InForce
}

// load returns the parsed settings. It fails with setting.Problems, which hold everything that is
// wrong.
func (s settings) load(w *world) (app.Config, error) {
	r := s.parse(w)
	if err := r.problems.Err(); err != nil {
		return app.Config{}, err
	}
	return r.config, nil
}

// parse returns the settings as values, everything that is wrong with them, and where each value comes from.
func (s settings) parse(w *world) parsed {
	p := &parser{}
	inForce := s.read(p, w.env)
	c := app.Config{
		Web:        s.Web.parse(p),
		Landing:    s.Landing.parse(p),
		Alipay:     s.Alipay.parse(p),
		Operations: s.Operations.parse(p),
		Log:        s.Log.parse(p, w.stderr),
		LogDropped: w.stderr.Dropped,
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
	p.checkTracing(w.env.get)
	for i := range inForce {
		inForce[i] = complete(inForce[i], c, p.problems)
	}
	return parsed{config: c, problems: p.problems, warnings: append(p.warnings, w.env.misspelled()...), inForce: inForce}
}

// read replaces the text of every setting by its value without white space around it, or by its default, and returns
// where each comes from. A secret is read from its variable or its file.
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

// complete adds the defaults that follow from other settings, and removes what must not be shown: secrets, and values
// that have a problem, which may be secrets in the wrong place.
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
