package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write docs/settings.md, docs/zh/settings.md and docs/example.env")

// The generated part of docs/settings.md is between these lines.
const (
	tableTop = "<!-- Written by: go test ./cmd/server -run TestSettingsDocs -update -->\n"
	tableEnd = "<!-- End of the written part. -->\n"
)

// The tables of docs/settings.md and docs/zh/settings.md, and docs/example.env, are made from the table of settings.
func TestSettingsDocs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"settings.md":    withTables(t, "settings.md", settingsRows(), "| variable | default | meaning |"),
		"zh/settings.md": withTables(t, "zh/settings.md", inChinese(t, settingsRows()), "| 变量 | 默认值 | 含义 |"),
		"example.env":    exampleEnv(),
	} {
		if *update {
			if err := os.WriteFile(docPath(name), []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got := readDoc(t, name); got != want {
			t.Errorf("docs/%s is out of date; run: go test ./cmd/server -run TestSettingsDocs -update\ngot\n%s\nwant\n%s", name, got, want)
		}
	}
}

// withTables returns a page with new tables.
func withTables(t *testing.T, name string, rows []row, head string) string {
	t.Helper()
	before, rest, ok := strings.Cut(readDoc(t, name), tableTop)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("docs/%s lacks the lines %q and %q", name, tableTop, tableEnd)
	}
	return before + tableTop + settingsTables(rows, head) + tableEnd + after
}

// inChinese translates the rows.
func inChinese(t *testing.T, rows []row) []row {
	t.Helper()
	for i := range rows {
		r := &rows[i]
		name := strings.Trim(strings.TrimSuffix(r.variable, " °"), "`")
		if meaningsZH[name] == "" || groupsZH[r.group] == "" {
			t.Errorf("%s has no translation in docs_zh_test.go", name)
		}
		r.group, r.meaning = groupsZH[r.group], meaningsZH[name]
		r.preset = map[string]string{"required": "必填", "off": "关闭"}[r.preset] + strings.TrimPrefix(strings.TrimPrefix(r.preset, "required"), "off")
	}
	return rows
}

func docPath(name string) string { return filepath.Join("..", "..", "docs", name) }

func readDoc(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(docPath(name))
	if err != nil && !*update {
		t.Fatal(err)
	}
	return string(raw)
}

// row is a line of the tables.
type row struct{ group, variable, preset, meaning string }

// settingsRows returns all lines. A variable with ° is secret.
func settingsRows() []row {
	var rows []row
	for _, f := range table {
		r := row{group: f.group, variable: "`" + f.name + "`", meaning: f.help}
		if f.secret {
			r.variable += " °"
		}
		if f.preset != "" {
			r.preset = "`" + f.preset + "`"
		}
		if meaning, ok := strings.CutSuffix(r.meaning, " Required."); ok {
			r.preset, r.meaning = "required", meaning
		}
		rows = append(rows, r)
	}
	return append(rows, row{"Tracing", "`OTEL_*`", "off", otelNote})
}

func settingsTables(rows []row, head string) string {
	var b strings.Builder
	group := ""
	for _, r := range rows {
		if r.group != group {
			group = r.group
			fmt.Fprintf(&b, "\n## %s\n\n%s\n| --- | --- | --- |\n", group, head)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.variable, r.preset, strings.ReplaceAll(r.meaning, "|", `\|`))
	}
	return b.String() + "\n"
}

// exampleEnv returns a file for docker --env-file and systemd's EnvironmentFile: one NAME=value per line, without quotes.
// Only the required settings are not comments.
func exampleEnv() string {
	var b strings.Builder
	b.WriteString("# Example settings of koubei-landing. docs/settings.md describes them.\n" +
		"# For docker --env-file and systemd's EnvironmentFile: no quotes around a value, no spaces around the =.\n" +
		"# Lines that begin with # show the default, or nothing where there is none. Written by TestSettingsDocs.\n")
	group := ""
	for _, f := range table {
		if f.group != group {
			group = f.group
			fmt.Fprintf(&b, "\n\n# ---- %s ----\n", group)
		}
		fmt.Fprintf(&b, "\n# %s\n", f.help)
		switch {
		case strings.Contains(f.help, "Required"):
			fmt.Fprintf(&b, "%s=\n", f.name)
		default:
			fmt.Fprintf(&b, "#%s=%s\n", f.name, f.preset)
		}
		if f.secret {
			fmt.Fprintf(&b, "#%s_FILE=\n", f.name)
		}
	}
	return b.String()
}

// docs/example.env is valid once the required settings are filled in, with and without its commented lines.
func TestExampleEnvIsValid(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	for _, everything := range []bool{false, true} {
		var environ []string
		for line := range strings.Lines(readDoc(t, "example.env")) {
			line = strings.TrimSuffix(line, "\n")
			if everything {
				line = strings.TrimPrefix(line, "#")
			}
			name, value, ok := strings.Cut(line, "=")
			if !ok || strings.ContainsAny(name, " #") {
				continue
			}
			if value == "" {
				value = env[name]
			}
			environ = append(environ, name+"="+value)
		}
		w := silent(t, environ)
		var c cli
		parser, err := newParser(&c, w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse([]string{"serve"}); err != nil {
			t.Fatal(err)
		}
		r := c.Serve.parse(w)
		if len(r.problems) > 0 || len(r.warnings) > 0 {
			t.Errorf("with the defaults %v: got %v %v, want no problem", everything, r.problems, r.warnings)
		}
	}
}

// The flags of serve are the settings that are not secret.
func TestFlagsAreTheSettings(t *testing.T) {
	t.Parallel()
	var c cli
	parser, err := newParser(&c, silent(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, command := range parser.Model.Children {
		if command.Name == "serve" {
			got = flagNames(command)
		}
	}
	for _, f := range table {
		if !f.secret {
			want = append(want, f.flag)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got flags %q, want %q", got, want)
	}
}

func flagNames(command *kong.Node) []string {
	var names []string
	for _, f := range command.Flags {
		names = append(names, f.Name)
	}
	return names
}
