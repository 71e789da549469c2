package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"koubei-landing/internal/app"
	"koubei-landing/internal/setting"
)

// findingsPrinter prints the findings of server check: with signs on a terminal, with words elsewhere.
type findingsPrinter struct {
	out    io.Writer
	signs  map[app.Level]string
	indent int    // columns of a sign and the space behind it
	fix    string // the prefix of a fix
}

// colors of the signs, as ANSI escape sequences.
var colors = map[app.Level]string{app.OK: "32", app.Warning: "33", app.Failure: "31", app.Skipped: "2"}

func newFindingsPrinter(inv *invocation) *findingsPrinter {
	r := &findingsPrinter{out: inv.stdout, indent: 9, fix: "fix: ", signs: map[app.Level]string{}}
	for level := range colors {
		r.signs[level] = fmt.Sprintf("%-8s", level)
	}
	if !isTerminal(inv.stdout) {
		return r
	}
	r.indent, r.fix = 2, "→ "
	r.signs = map[app.Level]string{app.OK: "✓", app.Warning: "!", app.Failure: "✗", app.Skipped: "-"}
	if inv.env.get("NO_COLOR") == "" && inv.env.get("TERM") != "dumb" {
		for level, sign := range r.signs {
			r.signs[level] = "\x1b[" + colors[level] + "m" + sign + "\x1b[0m"
		}
	}
	return r
}

// isTerminal reports whether w is a character device. Nobody reads the only other one that is common, /dev/null.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// print writes the problems, then the passed checks group by group, then the settings.
func (r *findingsPrinter) print(findings []app.Finding, inForce []setting.InForce) error {
	var b strings.Builder
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	failures, warnings := ofLevel(findings, app.Failure), ofLevel(findings, app.Warning)
	r.section(&b, "Problems", append(failures, warnings...), width)
	rest := slices.DeleteFunc(slices.Clone(findings), isProblem)
	for len(rest) > 0 {
		group := rest[0].Group
		r.section(&b, strings.ToUpper(group[:1])+group[1:], ofGroup(rest, group), width)
		rest = slices.DeleteFunc(rest, func(f app.Finding) bool { return f.Group == group })
	}
	writeSettings(&b, inForce)
	fmt.Fprintf(&b, "\nfailures: %d, warnings: %d\n", len(failures), len(warnings))
	_, err := io.WriteString(r.out, b.String())
	return err
}

func (r *findingsPrinter) section(b *strings.Builder, title string, findings []app.Finding, width int) {
	if len(findings) == 0 {
		return
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintln(b, title)
	for _, f := range findings {
		text := strings.Join(f.Settings, ", ")
		if text != "" {
			text += " "
		}
		fmt.Fprintf(b, "%s %-*s  %s\n", r.signs[f.Level], width, f.Check, oneLine(text+f.Detail))
		if f.Fix != "" {
			fmt.Fprintf(b, "%*s  %s%s\n", r.indent+width, "", r.fix, oneLine(f.Fix))
		}
	}
}

// writeSettings lists every setting with its value and its source.
func writeSettings(b *strings.Builder, inForce []setting.InForce) {
	name, value := 0, 0
	for _, s := range inForce {
		name, value = max(name, len(s.Name)), max(value, len([]rune(shownValue(s))))
	}
	b.WriteString("\nSettings in effect\n")
	for _, s := range inForce {
		source := string(s.Source)
		if s.Source == setting.Unset {
			source = ""
		}
		line := fmt.Sprintf("%-*s  %-*s  %s", name, s.Name, value, oneLine(shownValue(s)), source)
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
}

func shownValue(s setting.InForce) string {
	switch {
	case !s.Set():
		return "not set"
	case s.Invalid:
		return "has a problem"
	case s.Secret:
		return "set"
	}
	return s.Value
}

func isProblem(f app.Finding) bool { return f.Level == app.Failure || f.Level == app.Warning }

func ofLevel(findings []app.Finding, level app.Level) []app.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f app.Finding) bool { return f.Level != level })
}

func ofGroup(findings []app.Finding, group string) []app.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f app.Finding) bool { return f.Group != group })
}

// oneLine keeps text of the gateway or of a file from breaking lines, or from moving the terminal's cursor.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
