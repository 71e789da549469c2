package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "koubei-landing/"

// deps returns the packages that a package of this module depends on.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", module+pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	all := strings.Fields(string(out))
	return slices.DeleteFunc(all, func(p string) bool { return p == module+pkg })
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	const (
		koubeisim = module + "koubeisim"
		testworld = module + "internal/testworld"
		miniredis = "github.com/alicebob/miniredis"
		alipay    = module + "internal/alipay"
		session   = module + "internal/session"
		assertion = module + "internal/assertion"
		landing   = module + "internal/landing"
		handler   = module + "internal/handler"
		app       = module + "internal/app"
	)
	for _, row := range []struct {
		pkg   string
		never []string // prefixes
		why   string
	}{
		{"cmd/server", []string{koubeisim, miniredis, testworld}, "a program that can mint operators must not ship"},
		{"internal/app", []string{koubeisim, miniredis, testworld, module + "cmd/"}, "what the server consists of ships with it"},
		{"cmd/koubeisim", []string{alipay, app, handler, testworld}, "the stand-in is written from the protocol"},
		{"koubeisim", []string{module}, "with shared code both would be wrong in the same way, and every test would pass"},
		{"internal/alipay", []string{koubeisim, session, assertion, landing, handler, app}, "the gateway knows operators alone"},
		{"internal/session", []string{alipay, assertion, landing, handler, app}, "the session knows operators and the store alone"},
		{"internal/landing", []string{handler, app, "net/http/httputil"}, "there is no HTTP in the heart"},
		{"internal/handler", []string{app}, "imports point one way"},
		{"internal/store", []string{module}, "the store is a leaf"},
		{"internal/buildinfo", []string{module}, "every program may print its version"},
		{"internal/setting", []string{module}, "settings' problems are values that everybody may return"},
		{"internal/pemfile", []string{koubeisim, alipay, session, assertion, landing, handler, app}, "the reader of PEM knows settings alone"},
		{"internal/assertion", []string{alipay, session, landing, handler, app}, "an assertion knows operators alone"},
		{"internal/readiness", []string{alipay, session, assertion, landing, handler, app}, "the checks are handed in"},
		{"internal/logging", []string{module}, "the log is a leaf"},
		{"internal/metrics", []string{alipay, session, landing, handler, app}, "metrics are handed inward as hooks"},
		{"web", []string{module}, "the pages are a leaf"},
	} {
		t.Run(row.pkg, func(t *testing.T) {
			for _, dep := range deps(t, row.pkg) {
				for _, never := range row.never {
					if strings.HasPrefix(dep, never) {
						t.Errorf("%s reaches %s: %s", row.pkg, dep, row.why)
					}
				}
			}
		})
	}
}

func TestOperatorKnowsTheStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	for _, dep := range deps(t, "internal/operator") {
		if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") || strings.HasPrefix(dep, module) {
			t.Errorf("operator reaches %s", dep)
		}
	}
}

// source is a parsed Go file of this module.
type source struct {
	path string // from the module's root, with slashes
	pkg  string
	file *ast.File
}

// sources returns all Go files except tests.
func sources(t *testing.T) []source {
	t.Helper()
	const root = "../.."
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		all = append(all, source{rel, rel[:max(0, strings.LastIndex(rel, "/"))], f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("got %d files, want the whole module", len(all))
	}
	return all
}

// handler is the HTTP of the whole service. Another importer would bypass the composition root. The programs import it for
// its types of addresses.
func TestHandlerIsPutTogetherInOnePlace(t *testing.T) {
	t.Parallel()
	allowed := []string{"internal/app", "internal/testworld", "cmd/server", "cmd/demo"}
	for _, s := range sources(t) {
		for _, i := range s.file.Imports {
			if i.Path.Value == `"`+module+`internal/handler"` && !slices.Contains(allowed, s.pkg) {
				t.Errorf("%s imports handler; only %s may", s.path, strings.Join(allowed, ", "))
			}
		}
	}
}

func TestOnlyAppOpensRedisAndListeners(t *testing.T) {
	t.Parallel()
	opens := map[string][]string{ // by import path
		"github.com/redis/go-redis/v9": {"NewClient", "NewFailoverClient", "NewFailoverClusterClient", "NewClusterClient", "NewUniversalClient", "NewRing"},
		"net":                          {"Listen", "ListenTCP", "ListenUnix", "ListenConfig"},
		"net/http":                     {"ListenAndServe", "ListenAndServeTLS"},
	}
	allowed := func(pkg string) bool {
		return pkg == "internal/app" || strings.HasPrefix(pkg, "internal/testworld") || strings.HasPrefix(pkg, "bench") ||
			strings.HasPrefix(pkg, "cmd/") && pkg != "cmd/server"
	}
	for _, s := range sources(t) {
		if allowed(s.pkg) {
			continue
		}
		names := map[string]string{} // the name in this file, and the import path
		for _, i := range s.file.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if _, ok := opens[path]; !ok {
				continue
			}
			name := map[string]string{"github.com/redis/go-redis/v9": "redis", "net": "net", "net/http": "http"}[path]
			if i.Name != nil {
				name = i.Name.Name
			}
			names[name] = path
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(opens[names[x.Name]], sel.Sel.Name) {
				t.Errorf("%s calls %s.%s: only internal/app opens Redis and listeners", s.path, x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}
