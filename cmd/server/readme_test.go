package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the settings' table into README.md")

const (
	readme   = "../../README.md"
	tableTop = "<!-- settings: written by go test ./cmd/server -run TestReadmeSettings -update -->\n"
	tableEnd = "<!-- /settings -->\n"
)

// The README's table of settings is the struct's.
func TestReadmeSettings(t *testing.T) {
	raw, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), tableTop)
	got, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("README.md lacks the marks of its table: %q and %q", tableTop, tableEnd)
	}
	want := settingsTable()
	if *update {
		if err := os.WriteFile(readme, []byte(before+tableTop+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("README.md's table of settings is out of date: go test ./cmd/server -run TestReadmeSettings -update\ngot\n%s\nwant\n%s", got, want)
	}
}

// row is one setting.
type row struct{ variable, preset, meaning string }

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, r := range settingsRows() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.variable, r.preset, strings.ReplaceAll(r.meaning, "|", `\|`))
	}
	return b.String()
}

func settingsRows() []row {
	var rows []row
	for f := range new(settings).fields() {
		r := row{variable: "`" + variable(flagName(f)) + "`", meaning: f.Tag.Get("help")}
		if name, ok := f.Tag.Lookup("secret"); ok {
			r.variable = "`" + name + "` °"
		}
		if preset := f.Tag.Get("default"); preset != "" {
			r.preset = "`" + preset + "`"
		}
		if meaning, ok := strings.CutSuffix(r.meaning, " Required."); ok {
			r.preset, r.meaning = "required", meaning
		}
		rows = append(rows, r)
	}
	return append(rows, row{"`OTEL_*`", "off", otelNote})
}

// flagName is the flag of a field: its name tag, or its name in kebab case.
func flagName(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range f.Name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// What the table calls a flag must be one, and every flag must be in the table.
func TestReadmeNamesTheFlags(t *testing.T) {
	var c cli
	parser, err := kong.New(&c, kong.Writers(io.Discard, io.Discard), kong.Resolvers(environment(func(string) string { return "" })))
	if err != nil {
		t.Fatal(err)
	}
	var flags, named []string
	for _, command := range parser.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, f := range command.Flags {
			flags = append(flags, "`"+variable(f.Name)+"`")
		}
	}
	for _, r := range settingsRows() {
		if !strings.HasSuffix(r.variable, "°") && r.variable != "`OTEL_*`" {
			named = append(named, r.variable)
		}
	}
	slices.Sort(flags)
	slices.Sort(named)
	if !slices.Equal(flags, named) {
		t.Errorf("got flags %q, the table has %q", flags, named)
	}
}
