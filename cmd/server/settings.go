package main

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"reflect"
	"strings"
	"time"

	"koubei-landing/internal/app"
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
	Web        webSettings       `embed:""`
	Landing    landingSettings   `embed:""`
	Alipay     alipaySettings    `embed:""`
	Redis      redisSettings     `embed:""`
	Session    sessionSettings   `embed:""`
	Assertions assertionSettings `embed:""`
	Operations operationSettings `embed:""`
	Log        logSettings       `embed:""`
}

// load returns the parsed settings. It fails with setting.Problems, which hold everything that is wrong.
func (s settings) load(w *world) (app.Config, error) {
	c, problems := s.parse(w)
	if err := problems.Err(); err != nil {
		return app.Config{}, err
	}
	return c, nil
}

// parse returns the settings as values, and everything that is wrong with them. What is wrong has a zero value or its
// text's default in Config.
func (s settings) parse(w *world) (app.Config, setting.Problems) {
	p := &parser{}
	p.problems = append(p.problems, s.readSecrets(w.getenv)...)
	c := app.Config{
		Web:        s.Web.parse(p),
		Landing:    s.Landing.parse(p),
		Alipay:     s.Alipay.parse(p),
		Operations: s.Operations.parse(p),
		Log:        s.Log.parse(p, w.stderr),
		Now:        time.Now,
	}
	c.Redis = s.Redis.parse(p, c.Alipay.AppID)
	c.Session = s.Session.parse(p, c.Web.PublicURL, c.Alipay.PrivateKey)
	c.Assertions = s.Assertions.parse(p, c.Web.PublicURL)
	p.checkFrames(c)
	return c, p.problems
}

// fields returns every setting's field and its value, group by group.
func (s *settings) fields() iter.Seq2[reflect.StructField, reflect.Value] {
	return func(yield func(reflect.StructField, reflect.Value) bool) {
		for _, group := range reflect.ValueOf(s).Elem().Fields() {
			for f, v := range group.Fields() {
				if !yield(f, v) {
					return
				}
			}
		}
	}
}

// Help is kong's detailed help of each command that takes settings: it lists the secrets, which have no flag.
func (s settings) Help() string {
	var b strings.Builder
	b.WriteString("Secret settings have no flag. Each is a variable, or NAME_FILE, a path to read it from.\n")
	for f := range s.fields() {
		if name, ok := f.Tag.Lookup("secret"); ok {
			fmt.Fprintf(&b, "\n    %s\n        %s\n", name, f.Tag.Get("help"))
		}
	}
	fmt.Fprintf(&b, "\n    OTEL_*\n        %s\n", otelNote)
	return b.String()
}

// readSecrets fills the fields that have no flag, from NAME or from the file that NAME_FILE names.
func (s *settings) readSecrets(getenv func(string) string) setting.Problems {
	var problems setting.Problems
	for f, v := range s.fields() {
		name, ok := f.Tag.Lookup("secret")
		if !ok {
			continue
		}
		text, err := secret(getenv, name)
		if p, bad := errors.AsType[setting.Problem](err); bad {
			problems = append(problems, p)
		}
		v.SetString(text)
	}
	return problems
}

// secret returns the value of NAME or of the file that NAME_FILE names. It fails with a setting.Problem.
func secret(getenv func(string) string, name string) (string, error) {
	value, file := getenv(name), getenv(name+"_FILE")
	switch {
	case value != "" && file != "":
		return "", setting.Bad(name, fmt.Sprintf("is set, and %s_FILE too", name), "keep one of them")
	case file == "":
		return value, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", setting.Bad(name, fmt.Sprintf("can't be read from %s_FILE: %v", name, reason(err)), "give the path of a file that holds the secret")
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", setting.Bad(name, fmt.Sprintf("is empty in the file that %s_FILE names", name), "write the secret into the file")
	}
	return text, nil
}
