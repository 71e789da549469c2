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

var update = flag.Bool("update", false, "write the tables of faults in docs/koubeisim.md and docs/zh/koubeisim.md")

// faultGroups are the tables of faults. Each begins with one fault and ends before the next table's.
var faultGroups = []struct {
	first  koubeisim.Fault
	en, zh string
}{
	{koubeisim.Drop, "Network: nothing arrives, or something else than was sent. The code is spent if the row says so.",
		"网络故障：响应没有到达，或与发送的内容不同。注明已消耗时，授权码才会消耗。"},
	{koubeisim.Busy, "Refusals of the gateway. The code is not spent, except by `spend-then-busy`.",
		"网关拒绝。除 `spend-then-busy` 之外，授权码不会消耗。"},
	{koubeisim.WrongKey, "Forged responses. The code is spent, except by `unsigned-expired`.",
		"伪造的响应。除 `unsigned-expired` 之外，授权码已消耗。"},
	{koubeisim.Malformed, "Signed responses that do not match the documentation. The code is spent.",
		"签名正确但内容与文档不符的响应。授权码已消耗。"},
	{koubeisim.GBK, "Correct responses with an unusual spelling. The code is spent.",
		"写法少见的正确响应。授权码已消耗。"},
}

// TestFaultsAreDocumented compares the tables in both languages with the faults.
func TestFaultsAreDocumented(t *testing.T) {
	t.Parallel()
	var en, zh strings.Builder
	groups := faultGroups
	for _, f := range koubeisim.Faults() {
		if len(groups) > 0 && groups[0].first == f {
			fmt.Fprintf(&en, "\n%s\n\n| fault | what it does |\n| --- | --- |\n", groups[0].en)
			fmt.Fprintf(&zh, "\n%s\n\n| 故障 | 效果 |\n| --- | --- |\n", groups[0].zh)
			groups = groups[1:]
		}
		fmt.Fprintf(&en, "| `%s` | %s |\n", f, f.About())
		fmt.Fprintf(&zh, "| `%s` | %s |\n", f, f.AboutZH())
	}
	if len(groups) > 0 {
		t.Fatalf("no fault begins the table %q", groups[0].en)
	}
	for name, tables := range map[string]string{page: en.String(), "../docs/zh/koubeisim.md": zh.String()} {
		compareTables(t, name, tables)
	}
}

// compareTables compares the generated part of a page, or writes it.
func compareTables(t *testing.T, name, tables string) {
	t.Helper()
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- The tables are generated: go test ./koubeisim -run TestFaultsAreDocumented -update -->\n", "\n<!-- end of the generated tables -->"
	before, rest, ok1 := strings.Cut(string(doc), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the tables", name)
	}
	want := before + begin + tables + end + after
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(doc) {
		t.Errorf("the tables in %s are out of date: run go test ./koubeisim -run TestFaultsAreDocumented -update", name)
	}
}

// TestImportWithReplace compiles and runs the page's Go test in a module that imports this package with a replace directive.
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
