// Command style runs two of revive's rules on the named Go files: exported names have a comment that begins with the name,
// and nothing redefines a built-in name. It uses revive's packages, because revive's command needs a module that the Go
// module proxy does not have.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mgechev/revive/lint"
	"github.com/mgechev/revive/rule"
)

func main() {
	files := map[string][]string{} // by folder
	for _, file := range os.Args[1:] {
		files[filepath.Dir(file)] = append(files[filepath.Dir(file)], file)
	}
	var packages [][]string
	for _, names := range files {
		packages = append(packages, names)
	}
	exported := &rule.ExportedRule{}
	if err := exported.Configure(nil); err != nil {
		exit(err)
	}
	linter := lint.New(os.ReadFile, 0)
	failures, err := linter.Lint(packages, []lint.Rule{exported, &rule.RedefinesBuiltinIDRule{}}, lint.Config{Confidence: 0.8})
	if err != nil {
		exit(err)
	}
	failed := false
	for f := range failures {
		failed = true
		fmt.Fprintf(os.Stderr, "%s:%d: %s\n", f.Position.Start.Filename, f.Position.Start.Line, f.Failure)
	}
	if failed {
		os.Exit(1)
	}
}

func exit(err error) {
	fmt.Fprintln(os.Stderr, "style:", err)
	os.Exit(2)
}
