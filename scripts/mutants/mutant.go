package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutant is one fault: text that is inserted before and after a piece of a file. Only insertions, so that several fit into
// one copy, and without line breaks, so that lines keep their numbers.
type mutant struct {
	id             int
	file, function string
	line           int
	start, end     int // offsets in the file
	operator       string
	before, after  string // as it is and as the mutant has it, for people
	prefix, suffix string // in prefix, %d stands for the id
	killer         string // the package and the test that failed
	equivalent     bool
}

// String identifies a mutant without its line. The second and later ones of the same kind in a function have a number.
func (m *mutant) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %s: %s: %s → %s", filepath.Base(m.file), m.function, m.operator, m.before, m.after))
}

// helpers are added to each package that has mutants.
const helpers = `package %s

import (
	"os"
	"strconv"
	"sync"
)

var mutantSelected, _ = strconv.Atoi(os.Getenv("MUTANT"))
var mutantFile = os.Getenv("MUTANTS_REACHED")
var mutantsReached sync.Map

func mutantIs(n int) bool {
	if mutantFile != "" {
		if _, again := mutantsReached.LoadOrStore(n, true); !again {
			if f, err := os.OpenFile(mutantFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				f.WriteString(strconv.Itoa(n) + "\n")
				f.Close()
			}
		}
	}
	return n == mutantSelected
}

func mutantZero[T any](n int, v T) T {
	if mutantIs(n) {
		v = *new(T)
	}
	return v
}

func mutantPick[T any](n int, mutated, v T) T {
	if mutantIs(n) {
		return mutated
	}
	return v
}
`

var swaps = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR, token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LAND: token.LOR, token.LOR: token.LAND, token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
}

// freesOnly matches statements that no test can miss: they end a timer or a context, or the program.
var freesOnly = regexp.MustCompile(`^panic\(|^defer (cancel|stop|\w+\.Stop)\(\)$`)

// find returns all mutants of a package.
func find(dir string) ([]*mutant, error) {
	var all []*mutant
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		found, err := findIn(file)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func findIn(file string) (all []*mutant, err error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, src, 0)
	if err != nil {
		return nil, err
	}
	text := func(n ast.Node) string { return string(src[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset]) }
	function := ""
	add := func(n ast.Node, operator, after, prefix, suffix string) {
		start, end := set.Position(n.Pos()), set.Position(n.End())
		all = append(all, &mutant{file: file, function: function, line: start.Line, start: start.Offset, end: end.Offset,
			operator: operator, before: strings.Join(strings.Fields(text(n)), " "), after: after, prefix: prefix, suffix: suffix})
	}
	condition := func(n ast.Expr) {
		if n != nil {
			add(n, "never", "false", "!mutantIs(%d) && (", ")")
			add(n, "always", "true", "mutantIs(%d) || (", ")")
		}
	}
	statements := func(list []ast.Stmt) {
		for _, s := range list {
			switch s := s.(type) {
			case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt:
				if !freesOnly.MatchString(text(s)) {
					add(s, "skip", "", "if !mutantIs(%d) { ", " }")
				}
			case *ast.AssignStmt:
				if s.Tok != token.DEFINE {
					add(s, "skip", "", "if !mutantIs(%d) { ", " }")
				}
			case *ast.BranchStmt:
				if s.Tok == token.CONTINUE && s.Label == nil {
					add(s, "break", "break", "if mutantIs(%d) { break }; ", "")
				}
			}
		}
	}
	visit := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			function = n.Name.Name
		case *ast.GenDecl:
			return n.Tok == token.VAR
		case *ast.BlockStmt:
			statements(n.List)
		case *ast.CommClause:
			statements(n.Body)
		case *ast.CaseClause:
			statements(n.Body)
		case *ast.SwitchStmt:
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					if n.Tag == nil {
						condition(e)
					}
				}
			}
		case *ast.IfStmt:
			condition(n.Cond)
		case *ast.ForStmt:
			if n.Cond != nil {
				add(n.Cond, "never", "false", "!mutantIs(%d) && (", ")")
			}
		case *ast.ReturnStmt:
			for _, e := range n.Results {
				_, call := e.(*ast.CallExpr)
				_, literal := e.(*ast.BasicLit)
				composite, _ := e.(*ast.CompositeLit)
				literal = literal || composite != nil && len(composite.Elts) == 0
				if name := text(e); name != "nil" && name != "true" && name != "false" && !literal && !(call && len(n.Results) == 1) {
					add(e, "zero", "zero value", "mutantZero(%d, ", ")")
				}
			}
		case *ast.Ident:
			if n.Name == "true" || n.Name == "false" {
				add(n, "flip", map[string]string{"true": "false", "false": "true"}[n.Name], "(mutantIs(%d) != ", ")")
			}
		case *ast.UnaryExpr:
			if n.Op == token.NOT {
				add(n, "not", text(n.X), "(mutantIs(%d) != ", ")")
			}
		case *ast.BinaryExpr:
			other, ok := swaps[n.Op]
			after := fmt.Sprintf("%s %s %s", text(n.X), other, text(n.Y))
			switch {
			case !ok || strings.Contains(after, "\n"):
			case slices.Contains([]token.Token{token.ADD, token.SUB, token.MUL, token.QUO}, n.Op):
				add(n, "swap", after, "mutantPick(%d, "+escape(after)+", ", ")")
			default:
				add(n, "swap", after, "(mutantIs(%[1]d) && ("+escape(after)+") || !mutantIs(%[1]d) && (", "))")
			}
		}
		return true
	}
	ast.Inspect(parsed, visit)
	seen := map[string]int{}
	for _, m := range all {
		same := m.String()
		if seen[same]++; seen[same] > 1 {
			m.after += fmt.Sprintf(" (%d)", seen[same])
		}
	}
	return all, nil
}

func escape(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// writeCopies writes each file that has mutants with all of them, and the overlay that puts the copies in place.
func writeCopies(mutants []*mutant, dir, overlay string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	replace := map[string]string{}
	byFile := map[string][]*mutant{}
	for _, m := range mutants {
		byFile[m.file] = append(byFile[m.file], m)
	}
	for file, mutants := range byFile {
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		replace[filepath.Join(root, file)] = path
		if err := os.WriteFile(path, insert(src, mutants), 0o600); err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, src, parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		helper := filepath.Join(filepath.Dir(file), "mutant_helpers.go")
		path = filepath.Join(dir, strings.ReplaceAll(helper, "/", "-"))
		replace[filepath.Join(root, helper)] = path
		if err := os.WriteFile(path, fmt.Appendf(nil, helpers, parsed.Name.Name), 0o600); err != nil {
			return err
		}
	}
	encoded, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(overlay, encoded, 0o600)
}

// insert returns a file with all its mutants. Where several begin or end at one place, they are nested.
func insert(src []byte, mutants []*mutant) []byte {
	type edit struct {
		at, order, other, id int
		text                 string
	}
	var edits []edit
	for _, m := range mutants {
		edits = append(edits,
			edit{m.start, 1, -m.end, m.id, fmt.Sprintf(m.prefix, m.id)},
			edit{m.end, 0, -m.start, -m.id, m.suffix})
	}
	slices.SortFunc(edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order), cmp.Compare(a.other, b.other), cmp.Compare(a.id, b.id))
	})
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(src[at:e.at])
		out.WriteString(e.text)
		at = e.at
	}
	out.Write(src[at:])
	return out.Bytes()
}

// readEquivalents reads the mutants that no test can notice: one per line as printed, with the reason in a line before.
func readEquivalents(file string) (map[string]bool, error) {
	known := map[string]bool{}
	text, err := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			known[line] = true
		}
	}
	return known, err
}
