package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// commandsBy returns the blocks of docs/operations.md that this test runs.
func commandsBy(t *testing.T, test string) []string {
	t.Helper()
	var commands []string
	for _, b := range blocks(t) {
		if b.page == "docs/operations.md" && b.info == "sh by "+test {
			commands = append(commands, b.text)
		}
	}
	if len(commands) == 0 {
		t.Fatalf("docs/operations.md has no commands by %s", test)
	}
	return commands
}

// TestCheckUnderSystemd derives the unit of the page from the service's, and has systemd verify it. No systemd starts it.
func TestCheckUnderSystemd(t *testing.T) {
	t.Parallel()
	derive, _, _ := strings.Cut(commandsBy(t, t.Name())[0], "\n")
	dir := t.TempDir()
	service, check := filepath.Join(dir, "koubei-landing.service"), filepath.Join(dir, "koubei-landing-check.service")
	write(t, service, strings.ReplaceAll(slurp(t, "systemd/koubei-landing.service"), "/usr/local/bin/koubei-landing", "/bin/true"))
	derive = strings.NewReplacer("/etc/systemd/system/koubei-landing.service", service, "/run/systemd/system/koubei-landing-check.service", check).Replace(derive)
	if out, err := exec.Command("bash", "-c", derive).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command(find(t, "systemd-analyze"), "verify", "--man=no", check).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	kept := func(unit string) []string {
		return regexp.MustCompile(`(?m)^(Environment|EnvironmentFile|LoadCredential|DynamicUser|Restrict\w+|IPAddress\w+)=.*$`).FindAllString(slurp(t, unit), -1)
	}
	if unit := slurp(t, check); !strings.Contains(unit, "ExecStart=/bin/true check\n") || strings.Contains(unit, "Restart=") || !slices.Equal(kept(check), kept(service)) {
		t.Errorf("got\n%s\nwant the service's settings and restrictions, and check", unit)
	}
}

// TestCheckInKubernetes makes the page's Job from the manifests. The Job has the Deployment's settings and secrets, and
// runs a command that the program knows. There is no cluster: the test's own kubectl answers get and records other
// commands.
func TestCheckInKubernetes(t *testing.T) {
	t.Parallel()
	commands := commandsBy(t, t.Name())
	if want := "-- /server check\n"; !strings.HasSuffix(commands[0], want) || !strings.Contains(slurp(t, "../Dockerfile"), `ENTRYPOINT ["/server"]`) {
		t.Errorf("got %q, want it to end with %q", commands[0], want)
	}
	dir := t.TempDir()
	var manifest map[string]any
	err := yaml.Unmarshal([]byte(slurp(t, "kubernetes/deployment.yaml")), &manifest)
	if err != nil {
		t.Fatal(err)
	}
	deployment, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "deployment.json"), string(deployment))
	write(t, filepath.Join(dir, "kubectl"), "#!/bin/sh\n[ $1 != get ] || cat "+filepath.Join(dir, "deployment.json")+"\n")
	if err := os.Chmod(filepath.Join(dir, "kubectl"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", commands[1])
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var job struct {
		Kind string
		Spec struct{ Template struct{ Spec podSpec } }
	}
	var from struct {
		Spec struct{ Template struct{ Spec podSpec } }
	}
	for file, v := range map[string]any{"check.json": &job, "deployment.json": &from} {
		if err := json.Unmarshal([]byte(slurp(t, filepath.Join(dir, file))), v); err != nil {
			t.Fatal(err)
		}
	}
	got, want := job.Spec.Template.Spec, from.Spec.Template.Spec
	if job.Kind != "Job" || got.RestartPolicy != "Never" || len(got.Containers) != 1 || !slices.Equal(got.Containers[0].Args, []string{"check"}) ||
		got.Containers[0].LivenessProbe != nil || !reflect.DeepEqual(got.Volumes, want.Volumes) ||
		!reflect.DeepEqual(got.Containers[0].Env, want.Containers[0].Env) || !reflect.DeepEqual(got.Containers[0].EnvFrom, want.Containers[0].EnvFrom) {
		t.Errorf("got %+v, want the Deployment's container with check", job)
	}
}

type podSpec struct {
	RestartPolicy string
	Volumes       []any
	Containers    []struct {
		Args          []string
		Env, EnvFrom  []any
		LivenessProbe any
	}
}
