package deploy_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSystemdUnit lets systemd itself read the unit and rate its exposure.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	text := slurp(t, "systemd/koubei-landing.service")
	unit := filepath.Join(t.TempDir(), "koubei-landing.service")
	// systemd requires that the program exists.
	write(t, unit, strings.ReplaceAll(text, "/usr/local/bin/koubei-landing", "/bin/true"))
	for _, args := range [][]string{{"verify", "--man=no", unit}, {"security", "--offline=true", "--no-pager", "--threshold=15", unit}} {
		if out, err := exec.Command(find(t, "systemd-analyze"), args...).CombinedOutput(); err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
	values := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(?:Environment=)?([A-Za-z_]+)=(.*)$`).FindAllStringSubmatch(text, -1) {
		values[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(text, -1) {
		for assignment := range strings.FieldsSeq(m[1]) {
			name, value, _ := strings.Cut(assignment, "=")
			wantSetting(t, name)
			values[name] = value
			if credential, ok := strings.CutPrefix(value, "%d/"); ok && !strings.Contains(text, "\nLoadCredential="+credential+":") {
				t.Errorf("%s names the credential %s, which is not loaded", name, credential)
			}
		}
	}
	may := wantDuration(t, values["SHUTDOWN_DELAY"]) + wantDuration(t, values["SHUTDOWN_TIMEOUT"])
	if stop := wantDuration(t, values["TimeoutStopSec"]); stop < may+5*time.Second {
		t.Errorf("killed after %s, but may take %s", stop, may)
	}
}
