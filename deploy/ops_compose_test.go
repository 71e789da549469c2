package deploy_test

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"koubei-landing/internal/testworld"
)

// TestComposeAcceptsTheFile lets compose itself read the file: the engine's plugin if there is one, otherwise Debian's
// docker-compose.
func TestComposeAcceptsTheFile(t *testing.T) {
	t.Parallel()
	command := []string{"docker", "compose"}
	if exec.Command("docker", "compose", "version").Run() != nil {
		command = []string{"docker-compose"}
	}
	if out, err := exec.Command(command[0], append(command[1:], "-f", "compose.yaml", "config", "--quiet")...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v (Debian's package docker-compose will do)\n%s", strings.Join(command, " "), err, out)
	}
}

func TestComposeFile(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	for _, name := range []string{"server-1", "server-2"} {
		s := c.Services[name]
		for variable := range s.Environment {
			wantSetting(t, variable)
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not confined", name)
		}
		if len(s.Ports) > 0 {
			t.Errorf("%s publishes %v: browsers must not reach its internal listener", name, s.Ports)
		}
		grace := wantDuration(t, s.Environment["SHUTDOWN_DELAY"]) + wantDuration(t, s.Environment["SHUTDOWN_TIMEOUT"])
		if wantDuration(t, s.StopGracePeriod) <= grace {
			t.Errorf("%s is killed after %s, but may take %s", name, s.StopGracePeriod, grace)
		}
	}
	for name, s := range c.Services {
		for on := range s.DependsOn {
			if _, ok := c.Services[on]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, on)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s on all addresses", name, port)
			}
		}
		if s.Build.Target != "" && !strings.Contains(slurp(t, "../Dockerfile"), " AS "+s.Build.Target+"\n") {
			t.Errorf("%s is built from %s, which is no stage of the Dockerfile", name, s.Build.Target)
		}
	}
	if !c.Networks["inside"].Internal {
		t.Error("the network inside is not internal")
	}
}

// TestComposedProcesses runs the processes of the file without an engine.
func TestComposedProcesses(t *testing.T) {
	t.Parallel()
	c := newComposed(t)
	g := c.guest()
	if _, next, err := g.ask(http.MethodGet, c.front+"/shop", http.StatusSeeOther); err != nil || next != c.front+"/koubei/signin" {
		t.Errorf("a stranger: sent to %q, %v", next, err)
	}
	if err := g.land(testworld.Provider); err != nil {
		t.Fatal(err)
	}
	if body, _, err := g.ask(http.MethodGet, c.front+"/koubei/", http.StatusOK); err != nil || !strings.Contains(body, testworld.Provider.OperatorID) {
		t.Errorf("the identity page: %v, %.300s", err, body)
	}
	if _, _, err := g.ask(http.MethodPost, c.front+"/koubei/logout", http.StatusSeeOther); err != nil {
		t.Error(err)
	}
	if _, _, err := g.ask(http.MethodGet, c.front+"/shop", http.StatusSeeOther); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/_koubei/verify", "/koubei/auth/verify", "/koubei/metrics"} {
		if _, _, err := g.ask(http.MethodGet, c.front+path, http.StatusNotFound); err != nil {
			t.Error(err)
		}
	}
	if log := c.nginx.log(t); strings.Contains(log, "code=") {
		t.Error("nginx's log holds a code")
	}
}
