package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/buildinfo"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

const (
	written = "<!-- Written by: go test ./internal/metrics -run TestMetricsDocs -update -->\n"
	end     = "<!-- End of the written part. -->\n"
)

// TestMetricsDocs compares docs/metrics.md with the definitions.
func TestMetricsDocs(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "metrics.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), written)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines %q and %q", file, written, end)
	}
	want := before + written + table() + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Errorf("docs/metrics.md is out of date; run: go test ./internal/metrics -run TestMetricsDocs -update")
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning | what to do |\n| --- | --- | --- | --- | --- |\n")
	for _, d := range definitions {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", d.name, d.kind, d.labelText(), d.meaning, d.action)
	}
	return b.String()
}

func (d definition) labelText() string {
	var all []string
	for _, l := range d.labels {
		text := l.other
		if text == "" {
			text = "`" + strings.Join(l.values, "`, `") + "`"
		}
		all = append(all, fmt.Sprintf("`%s`: %s", l.name, text))
	}
	return strings.Join(all, "<br>")
}

// TestEveryMetricIsDefined compares the exported metrics with docs/metrics.md.
func TestEveryMetricIsDefined(t *testing.T) {
	m := New()
	m.Landing("landed")
	m.Attempt("success", 0)
	m.CertificateExpiry("app", time.Now())
	m.Request("/", "GET", 200, 0)
	m.Ready("redis", true)
	m.Build(buildinfo.Info{})
	m.WatchLog(func() uint64 { return 0 })
	m.WatchPool(func() *redis.PoolStats { return &redis.PoolStats{} })
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]bool{}
	for _, f := range families {
		if name := f.GetName(); !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			exported[name] = true
		}
	}
	for _, d := range definitions {
		if !exported[d.name] {
			t.Errorf("%s is not exported: New must register it, and this test must set it if it has labels", d.name)
		}
		delete(exported, d.name)
	}
	for name := range exported {
		t.Errorf("%s is exported, but definitions lacks it", name)
	}
}
