// Command errors is a tool for go vet -vettool: it finds errors that are compared or asserted without errors.Is and
// errors.As, which miss wrapped errors. A line that must compare says why, behind //nolint:errorlint.
package main

import (
	"os"
	"strings"

	"github.com/polyfloyd/go-errorlint/errorlint"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	analyzer := errorlint.NewAnalyzer()
	check := analyzer.Run
	analyzer.Run = func(pass *analysis.Pass) (any, error) {
		report := pass.Report
		pass.Report = func(d analysis.Diagnostic) {
			if at := pass.Fset.Position(d.Pos); !strings.Contains(line(at.Filename, at.Line), "//nolint:errorlint") {
				report(d)
			}
		}
		return check(pass)
	}
	unitchecker.Main(analyzer)
}

// line returns a line of a file, counted from one; empty for a file that cannot be read.
func line(file string, n int) string {
	text, _ := os.ReadFile(file)
	lines := strings.Split(string(text), "\n")
	return lines[min(n, len(lines))-1]
}
