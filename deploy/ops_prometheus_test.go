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

	"koubei-landing/internal/buildinfo"
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
	tests, troubleshooting := slurp(t, "prometheus/koubei-landing.rules.test.yml"), slurp(t, "../docs/troubleshooting.md")
	for _, r := range readRules(t, "prometheus/koubei-landing.rules.yml") {
		wantSeries(t, r.Alert, r.Expr)
		if !regexp.MustCompile(`alertname: ` + r.Alert + `\n +exp_alerts`).MatchString(tests) {
			t.Errorf("no test has %s fire", r.Alert)
		}
		if !regexp.MustCompile(`alertname: ` + r.Alert + `\}`).MatchString(tests) {
			t.Errorf("no test has %s stay silent", r.Alert)
		}
		if !strings.Contains(troubleshooting, "`"+r.Alert+"`") {
			t.Errorf("docs/troubleshooting.md says nothing of %s", r.Alert)
		}
		if r.Annotations["action"] == "" {
			t.Errorf("%s doesn't say what to do", r.Alert)
		}
	}
}

// rule is an alert.
type rule struct {
	Alert, Expr string
	Annotations map[string]string
}

func readRules(t *testing.T, file string) []rule {
	t.Helper()
	var rules struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal([]byte(slurp(t, file)), &rules); err != nil || len(rules.Groups) != 1 {
		t.Fatalf("%s: %d groups, %v", file, len(rules.Groups), err)
	}
	return rules.Groups[0].Rules
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

// wantSeries fails if an expression contains a series or a label that the service does not export.
func wantSeries(t *testing.T, where, expr string) {
	t.Helper()
	known := series(t)
	bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, `""`)
	named := 0
	for _, m := range regexp.MustCompile(`([a-z]+_[a-z0-9_]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(bare, -1) {
		labels, ok := known[m[1]]
		if !ok {
			if !isWord(m[1]) {
				t.Errorf("%s: there is no series %s", where, m[1])
			}
			continue
		}
		named++
		for _, label := range regexp.MustCompile(`([a-z_]+)(?:=|!)`).FindAllStringSubmatch(m[2], -1) {
			if label[1] != "job" && !labels[label[1]] {
				t.Errorf("%s: %s has no label %s", where, m[1], label[1])
			}
		}
	}
	if named == 0 {
		t.Errorf("%s: %q names no series", where, expr)
	}
}

// isWord reports whether a word with an underscore is a keyword of PromQL or a label.
func isWord(word string) bool { return word == "histogram_quantile" || word == "operator_type" }

// TestRulesDoNotNameJobs: the rules work with any job name. They select the service's generic metrics by koubei_build_info.
func TestRulesDoNotNameJobs(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"prometheus/koubei-landing.rules.yml", "grafana/koubei-landing.json"} {
		if m := regexp.MustCompile(`job[=!~]+\\?"[a-z-]+`).FindString(slurp(t, file)); m != "" {
			t.Errorf("%s names a job: %s", file, m)
		}
	}
	for _, r := range readRules(t, "prometheus/koubei-landing.rules.yml") {
		generic := strings.Count(r.Expr, "http_request_") + strings.Count(r.Expr, "redis_pool_")
		if generic != strings.Count(r.Expr, "koubei_build_info") && generic > 0 {
			t.Errorf("%s: a generic metric without koubei_build_info", r.Alert)
		}
	}
}

var monitoring = filepath.Join("kubernetes", "monitoring")

// TestPrometheusRule: the Prometheus operator gets the same rules.
func TestPrometheusRule(t *testing.T) {
	t.Parallel()
	file := filepath.Join(monitoring, "prometheusrule.yaml")
	_, groups, _ := strings.Cut(slurp(t, "prometheus/koubei-landing.rules.yml"), "groups:\n")
	head, _, ok := strings.Cut(slurp(t, file), "spec:\n")
	if !ok {
		t.Fatalf("%s has no spec", file)
	}
	want := head + "spec:\n  groups:\n" + regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(groups, "  $1")
	if *update {
		write(t, file, want)
	}
	if slurp(t, file) != want {
		t.Errorf("%s has other rules; run: go test ./deploy -run TestPrometheusRule -update", file)
	}
	var rule struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Spec       any
	}
	if err := yaml.Unmarshal([]byte(want), &rule); err != nil || rule.APIVersion != "monitoring.coreos.com/v1" || rule.Kind != "PrometheusRule" {
		t.Errorf("got %s %s, %v", rule.APIVersion, rule.Kind, err)
	}
}

// TestPodMonitor: the Prometheus operator finds the Deployment's pods and their port.
func TestPodMonitor(t *testing.T) {
	t.Parallel()
	var m struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Spec       struct {
			Selector  selector
			Endpoints []struct{ Port, Path string } `yaml:"podMetricsEndpoints"`
		}
	}
	if err := yaml.Unmarshal([]byte(slurp(t, filepath.Join(monitoring, "podmonitor.yaml"))), &m); err != nil {
		t.Fatal(err)
	}
	if m.APIVersion != "monitoring.coreos.com/v1" || m.Kind != "PodMonitor" || len(m.Spec.Endpoints) != 1 || m.Spec.Endpoints[0].Path != "/metrics" {
		t.Errorf("got %+v", m)
	}
	pod := the[deployment](t, strictly(t, "deployment.yaml", []byte(slurp(t, "kubernetes/deployment.yaml"))), "").Spec.Template
	for name, value := range m.Spec.Selector.MatchLabels {
		if pod.Metadata.Labels[name] != value {
			t.Errorf("the pods have no label %s: %s", name, value)
		}
	}
	ports := map[string]bool{}
	for _, p := range pod.Spec.Containers[0].Ports {
		ports[p.Name] = true
	}
	if !ports[m.Spec.Endpoints[0].Port] {
		t.Errorf("the container has no port %s", m.Spec.Endpoints[0].Port)
	}
	out, err := exec.Command("kubectl", "kustomize", monitoring).Output()
	if n := strings.Count(string(out), "apiVersion:"); err != nil || n != 2 {
		t.Errorf("kubectl kustomize: got %d objects, %v, want 2", n, err)
	}
}

// series returns the names of the series in /metrics, each with its labels.
func series(t *testing.T) map[string]map[string]bool {
	t.Helper()
	m := metrics.New()
	m.Landing("landed")
	m.Attempt("success", time.Second)
	m.Retry()
	m.SessionStarted("MER")
	m.SessionsEnded(metrics.Revoked, 1)
	m.Verified("allowed")
	m.CertificateExpiry("app", time.Now())
	m.Request("/", "GET", 200, time.Second)
	m.Ready("redis", true)
	m.Build(buildinfo.Info{})
	m.WatchLog(func() uint64 { return 0 })
	m.WatchPool(func() *redis.PoolStats { return &redis.PoolStats{} })
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	known := map[string]map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^([a-z][a-zA-Z0-9_]*)(?:\{(.*)\})? `).FindAllStringSubmatch(w.Body.String(), -1) {
		known[line[1]] = map[string]bool{"instance": true}
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(line[2], -1) {
			known[line[1]][label[1]] = true
		}
	}
	return known
}
