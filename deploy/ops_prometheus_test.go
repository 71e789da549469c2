package deploy_test

import (
	"encoding/json"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.yaml.in/yaml/v3"

	"koubei-landing/internal/metrics"
)

func TestAlertRules(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "rules", "prometheus/koubei-landing.rules.yml"},
		{"check", "config", "prometheus/scrape.yml"},
		{"test", "rules", "prometheus/koubei-landing.rules.test.yml"},
	} {
		promtool, err := exec.LookPath("promtool")
		if err != nil {
			t.Fatal("promtool is not installed: install Debian's package prometheus")
		}
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Expr        string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(slurp(t, "prometheus/koubei-landing.rules.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	tests, troubleshooting := slurp(t, "prometheus/koubei-landing.rules.test.yml"), slurp(t, "../docs/troubleshooting.md")
	for _, r := range rules.Groups[0].Rules {
		wantSeries(t, r.Alert, r.Expr)
		if !regexp.MustCompile(`alertname: ` + r.Alert + `\n +exp_alerts`).MatchString(tests) {
			t.Errorf("no test has %s fire", r.Alert)
		}
		if !strings.Contains(troubleshooting, "`"+r.Alert+"`") {
			t.Errorf("docs/troubleshooting.md says nothing of %s", r.Alert)
		}
		if r.Annotations["action"] == "" {
			t.Errorf("%s doesn't say what to do", r.Alert)
		}
	}
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range files {
		var d struct {
			Title  string
			Panels []struct {
				ID      int
				Title   string
				GridPos struct{ X, Y, W, H int }
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal([]byte(slurp(t, file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 {
				t.Errorf("%s: the panel %q has a used id, is too wide or shows nothing", file, p.Title)
			}
			ids[p.ID] = true
			for _, target := range p.Targets {
				wantSeries(t, p.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
			}
		}
	}
}

// wantSeries fails when an expression names a series or a label that the service doesn't have.
func wantSeries(t *testing.T, where, expr string) {
	t.Helper()
	known := series(t)
	bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, `""`)
	for _, m := range regexp.MustCompile(`([a-z_][a-z0-9_:]*)\{([^}]*)\}`).FindAllStringSubmatch(bare, -1) {
		labels, ok := known[m[1]]
		if !ok {
			t.Errorf("%s: there is no series %s", where, m[1])
			continue
		}
		for _, label := range regexp.MustCompile(`([a-z_]+)(?:=|!)`).FindAllStringSubmatch(m[2], -1) {
			if label[1] != "job" && !labels[label[1]] {
				t.Errorf("%s: %s has no label %s", where, m[1], label[1])
			}
		}
	}
	if !strings.Contains(bare, "{") {
		t.Errorf("%s: %q names no series of a job", where, expr)
	}
}

// series are the names of what /metrics tells, each with its labels.
func series(t *testing.T) map[string]map[string]bool {
	t.Helper()
	m := metrics.New()
	m.Landing("landed")
	m.Attempt("success", time.Second, true)
	m.SessionStarted("MER")
	m.SessionsEnded(metrics.Revoked, 1)
	m.Verified("allowed")
	m.CertificateExpiry("app", time.Now())
	m.Request("/", "GET", 200, time.Second)
	m.WatchPool(func() *redis.PoolStats { return &redis.PoolStats{} })
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	known := map[string]map[string]bool{"up": {"instance": true}}
	for _, line := range regexp.MustCompile(`(?m)^([a-z][a-zA-Z0-9_]*)(?:\{(.*)\})? `).FindAllStringSubmatch(w.Body.String(), -1) {
		known[line[1]] = map[string]bool{"instance": true}
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(line[2], -1) {
			known[line[1]][label[1]] = true
		}
	}
	return known
}
