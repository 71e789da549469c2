package koubeisim_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"koubei-landing/koubeisim"
)

const page = "../docs/koubeisim.md"

var update = flag.Bool("update", false, "write the tables of faults in docs/koubeisim.md")

// faultGroups are the tables of docs/koubeisim.md, each from one fault to the one before the next table.
var faultGroups = []struct {
	first koubeisim.Fault
	title string
}{
	{koubeisim.Drop, "Network: nothing arrives, or something else than was sent. The code is spent if the row says so."},
	{koubeisim.Busy, "Refusals of the gateway. The code is not spent, except by `spend-then-busy`."},
	{koubeisim.WrongKey, "Forged responses. The code is spent, except by `unsigned-expired`."},
	{koubeisim.Malformed, "Signed responses that do not match the documentation. The code is spent."},
	{koubeisim.GBK, "Correct responses with an unusual spelling. The code is spent."},
}

func TestFaultsAreDocumented(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	groups := faultGroups
	for _, f := range koubeisim.Faults() {
		if len(groups) > 0 && groups[0].first == f {
			fmt.Fprintf(&b, "\n%s\n\n| fault | what it does |\n| --- | --- |\n", groups[0].title)
			groups = groups[1:]
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", f, f.About())
	}
	if len(groups) > 0 {
		t.Fatalf("no fault begins the table %q", groups[0].title)
	}
	doc, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- The tables are generated: go test ./koubeisim -run TestFaultsAreDocumented -update -->\n", "\n<!-- end of the generated tables -->"
	before, rest, ok1 := strings.Cut(string(doc), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatal("docs/koubeisim.md has no place for the tables")
	}
	want := before + begin + b.String() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(doc) {
		t.Error("the tables in docs/koubeisim.md are out of date: run go test ./koubeisim -run TestFaultsAreDocumented -update")
	}
}

// The page's Go test compiles and passes in a module of its own that imports this package by a replace.
func TestImportWithReplace(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		found := regexp.MustCompile("(?s)```" + regexp.QuoteMeta(kind) + "\n(.*?)```").FindSubmatch(doc)
		if found == nil {
			t.Fatalf("no block %q in %s", kind, page)
		}
		return string(found[1])
	}
	checkout, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := os.ReadFile("../go.sum") // so that nothing is downloaded
	if err != nil {
		t.Fatal(err)
	}
	write("go.mod", []byte("module isv.example/shop\n\ngo 1.26\n"))
	write("go.sum", sums)
	write("landing_test.go", []byte(block("go")))
	script := strings.ReplaceAll(block("sh by TestImportWithReplace"), "../koubei-landing", checkout)
	if !strings.Contains(script, checkout) {
		t.Fatalf("the commands do not name the checkout: %s", script)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GOFLAGS=") }), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("ok")) {
		t.Errorf("got %v: %s", err, out)
	}
}
