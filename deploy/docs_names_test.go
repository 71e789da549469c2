package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// noSettings are names in capitals that the pages mention and that are no settings of a program here, nor words of the
// protocol that the code knows.
var noSettings = []string{"NAME_FILE", "HTTPS_PROXY", "NO_PROXY", "NO_COLOR", "SOURCE_DATE_EPOCH", "SESION_LIFETIME", "X_Koubei_Operator_Id",
	"MER_OPERATOR", "M_STAFF", "S_STAFF"} // types that other Koubei interfaces use

// examplePaths are paths of the applications in the examples.
var examplePaths = []string{"/", "//", "/shop", "/orders", "/merchant", "/merchant/..%2fx", "/frame"}

// TestDocsNamesExist compares the settings, headers, metrics and routes that stand in code font on any page with the program.
func TestDocsNamesExist(t *testing.T) {
	t.Parallel()
	code := sources(t)
	checked := map[string]int{}
	for _, page := range pages(t) {
		if strings.Contains(page, "/testdata/") {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(fenced.ReplaceAllString(slurp(t, "../"+page), ""), -1) {
			kind, ok := nameExists(t, code, m[1])
			checked[kind]++
			if !ok {
				t.Errorf("%s: `%s` is no %s", page, m[1], kind)
			}
		}
	}
	for kind, least := range map[string]int{"setting": 100, "header": 30, "metric": 30, "route": 60} {
		if checked[kind] < least {
			t.Errorf("got %d names of the kind %s, want %d or more", checked[kind], kind, least)
		}
	}
}

var (
	settingName = regexp.MustCompile(`^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=.*)?$`)
	headerName  = regexp.MustCompile(`^(X-Koubei-[\w-]+|X-Request-Id)(?::.*)?$`)
	metricName  = regexp.MustCompile(`^((?:koubei|http|redis)_\w+)(?:\{.*)?$`)
	routeName   = regexp.MustCompile(`^(?:[A-Z]+ )?(?:\{?PUBLIC_URL\}?)?(/[^?\s]*)(?:\?.*)?$`)
)

// nameExists returns what a name in code font seems to be, and whether the program has it. The kind is empty for all else.
func nameExists(t *testing.T, code, name string) (kind string, ok bool) {
	t.Helper()
	quoted := func(s string) bool { return strings.Contains(code, `"`+s+`"`) }
	if m := settingName.FindStringSubmatch(name); m != nil {
		settings := settingNames(t)
		_, isSetting := settings[m[1]]
		file := settings[strings.TrimSuffix(m[1], "_FILE")] && strings.HasSuffix(m[1], "_FILE")
		return "setting", isSetting || file || slices.Contains(noSettings, m[1]) || strings.HasPrefix(m[1], "OTEL_") ||
			strings.HasPrefix(m[1], "KOUBEISIM_") || quoted(m[1])
	}
	if m := headerName.FindStringSubmatch(name); m != nil {
		return "header", quoted(m[1])
	}
	if m := metricName.FindStringSubmatch(name); m != nil {
		return "metric", quoted(m[1])
	}
	if m := routeName.FindStringSubmatch(name); m != nil {
		route := m[1]
		if slices.Contains(examplePaths, route) || regexp.MustCompile(`^/(etc|run|usr|var|tmp)/`).MatchString(route) {
			return "", true
		}
		if prefix, ok := strings.CutSuffix(route, "*"); ok {
			return "route", strings.Contains(code, prefix)
		}
		whole := func(s string) bool { return strings.Contains(code, s+`"`) }
		return "route", whole(route) || whole(strings.TrimPrefix(route, "/koubei")) || whole(strings.TrimPrefix(route, "/koubei/callback"))
	}
	return "", true
}

// sources returns the text of all Go files but the tests.
func sources(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, dir := range []string{"cmd", "internal", "koubeiauth", "koubeisim"} {
		if err := fs.WalkDir(os.DirFS(".."), dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				text.WriteString(slurp(t, filepath.Join("..", path)))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

// TestGlossary: every term has a Chinese term and a meaning, no term is defined twice, and every name in the last column
// exists.
func TestGlossary(t *testing.T) {
	t.Parallel()
	code, identifiers, terms := sources(t), declared(t), map[string]bool{}
	troubleshooting := slurp(t, "../docs/troubleshooting.md")
	for _, line := range regexp.MustCompile(`(?m)^\| .*$`).FindAllString(slurp(t, "../docs/glossary.md"), -1) {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if cells[0] == "term" || strings.HasPrefix(cells[0], "---") {
			continue
		}
		if len(cells) < 3 || !regexp.MustCompile(`\p{Han}`).MatchString(cells[1]) || !strings.HasSuffix(cells[2], ".") {
			t.Errorf("%q lacks a Chinese term, or a meaning that is a sentence", line)
			continue
		}
		if terms[cells[0]] {
			t.Errorf("%s is defined twice", cells[0])
		}
		terms[cells[0]] = true
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(strings.Join(cells[3:], ""), -1) {
			kind, ok := nameExists(t, code, m[1])
			switch {
			case kind == "" && strings.Contains(m[1], "."):
				ok = identifiers[m[1]]
			case kind == "":
				ok = strings.Contains(troubleshooting, "| `"+m[1]+"`")
			}
			if !ok {
				t.Errorf("%s: there is no %s", cells[0], m[1])
			}
		}
	}
	if len(terms) < 80 {
		t.Errorf("got %d terms, want 80 or more", len(terms))
	}
}

// declared returns the names that the packages declare: package.Name, package.Type.Method and package.Type.Field.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	dirs, err := filepath.Glob("../internal/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(dirs, "../koubeiauth", "../koubeisim") {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, d := range f.Decls {
				for _, name := range declaredBy(d) {
					names[f.Name.Name+"."+name] = true
				}
			}
		}
	}
	return names
}

func declaredBy(d ast.Decl) (names []string) {
	if f, ok := d.(*ast.FuncDecl); ok {
		if f.Recv == nil {
			return []string{f.Name.Name}
		}
		receiver := f.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		if t, ok := receiver.(*ast.Ident); ok {
			names = append(names, t.Name+"."+f.Name.Name)
		}
		return names
	}
	for _, spec := range d.(*ast.GenDecl).Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range s.Names {
				names = append(names, name.Name)
			}
		case *ast.TypeSpec:
			names = append(names, s.Name.Name)
			if fields, ok := s.Type.(*ast.StructType); ok {
				for _, field := range fields.Fields.List {
					for _, name := range field.Names {
						names = append(names, s.Name.Name+"."+name.Name)
					}
				}
			}
		}
	}
	return names
}

// TestDocsNameLogLines: the service writes the log lines that docs/operations.md lists.
func TestDocsNameLogLines(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(slurp(t, "../docs/operations.md"), "| line | when | attributes |\n| --- | --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	code, lines := sources(t), 0
	for row := range strings.Lines(table) {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			lines++
			if !strings.Contains(code, `"`+m[1]+`"`) {
				t.Errorf("the service writes no line %q", m[1])
			}
		}
	}
	if lines < 6 {
		t.Errorf("got %d lines, want 6 or more", lines)
	}
}
