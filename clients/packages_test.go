package clients_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestKoubeiauth tests a separate module, which ./... at the root does not include.
func TestKoubeiauth(t *testing.T) {
	t.Parallel()
	// The race detector needs cgo. Without -trimpath, the compiled standard library is that of this module's other tests.
	env := []string{"CGO_ENABLED=1", "GOFLAGS=-buildvcs=false"}
	if _, err := run(".", "", env, "go", "test", "-C", "../koubeiauth", "-race", "-count=1", "-timeout=90s", "./..."); err != nil {
		t.Error(err)
	}
}

// TestNodePackage packs the Node client, installs the package elsewhere, and compiles a program with its types.
func TestNodePackage(t *testing.T) {
	t.Parallel()
	if err := nodeModules(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := run("node", "", nil, "npm", "pack", "--json", "--pack-destination", dir)
	if err != nil {
		t.Fatal(err)
	}
	var packed []struct {
		Filename string
		Files    []struct{ Path string }
	}
	if err := json.Unmarshal([]byte(out), &packed); err != nil || len(packed) != 1 {
		t.Fatalf("npm pack: %v\n%s", err, out)
	}
	var files []string
	for _, f := range packed[0].Files {
		files = append(files, f.Path)
	}
	if want := []string{"LICENSE", "README.md", "koubei.d.mts", "koubei.mjs", "package.json"}; !slices.Equal(files, want) {
		t.Errorf("the package has %q, want %q", files, want)
	}
	app := filepath.Join(dir, "app")
	if err := os.CopyFS(filepath.Join(app, "node_modules"), os.DirFS("node/node_modules")); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(app, "node_modules", "koubei-landing-client")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := run(dir, "", nil, "tar", "-xzf", packed[0].Filename, "-C", own, "--strip-components=1"); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("node/types.test.mts")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(app, "program.mts"), program, 0o600); err != nil {
		t.Fatal(err)
	}
	compile := []string{"node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--module", "nodenext", "program.mts"}
	if out, err := run(app, "", nil, "node", compile...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(app, "", nil, "node", "-e", "import('koubei-landing-client').then((m) => console.log(typeof m.koubeiVerifier))"); err != nil || strings.TrimSpace(out) != "function" {
		t.Errorf("importing the package: got %q, %v", out, err)
	}
}

// TestLicenses: each file that an ISV copies into its own program names Apache-2.0.
func TestLicenses(t *testing.T) {
	t.Parallel()
	license, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../koubeiauth/LICENSE", "node/LICENSE", "python/LICENSE"} {
		if text, err := os.ReadFile(file); err != nil || !bytes.Equal(text, license) {
			t.Errorf("%s is not the repository's LICENSE: %v", file, err)
		}
	}
	for _, file := range []string{"node/package.json", "node/koubei.mjs", "python/pyproject.toml", "python/koubei.py", "java/KoubeiVerifier.java", "php/koubei.php", "browser/koubei.js", "../koubeiauth/README.md"} {
		if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte("Apache-2.0")) {
			t.Errorf("%s does not say Apache-2.0: %v", file, err)
		}
	}
}
