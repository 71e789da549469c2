package deploy_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"koubei-landing/koubeisim"
)

const (
	releaseVersion  = "1.2.3"
	releaseRevision = "0123456789abcdef0123456789abcdef01234567"
)

// TestReleaseIsReproducible builds a release twice: from the checkout and, later, from a copy elsewhere, with another time
// zone, home and temporary directory. Every file must have the same bytes. The other tests of releases look at the first one.
func TestReleaseIsReproducible(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	for _, name := range []string{"cmd", "internal", "koubeisim", "web"} {
		if err := os.CopyFS(filepath.Join(source, name), os.DirFS("../"+name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "LICENSE"} {
		write(t, filepath.Join(source, name), slurp(t, "../"+name))
	}
	first, second := filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "elsewhere")
	buildRelease(t, "..", first)
	buildRelease(t, source, second, "TZ=Asia/Shanghai", "TMPDIR="+t.TempDir(), "HOME="+t.TempDir(), "GOFLAGS=-buildvcs=false -mod=mod -trimpath")

	want := []string{"LICENSE", "SHA256SUMS"}
	for _, name := range []string{"koubei-landing-1.2.3", "koubeisim-1.2.3"} {
		want = append(want, name+"-linux-amd64", name+"-linux-amd64.cdx.json", name+".oci.tar")
	}
	if got := contents(t, first); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for _, name := range want {
		if slurp(t, filepath.Join(first, name)) != slurp(t, filepath.Join(second, name)) {
			t.Errorf("%s differs between two builds", name)
		}
	}
	t.Run("checksums", func(t *testing.T) {
		check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
		check.Dir = first
		if out, err := check.CombinedOutput(); err != nil || strings.Count(string(out), ": OK\n") != len(want)-1 {
			t.Errorf("sha256sum: %v\n%s", err, out)
		}
	})
	t.Run("programs", func(t *testing.T) { checkReleasedPrograms(t, first) })
	t.Run("sboms", func(t *testing.T) { checkSBOMs(t, first) })
	for stage, name := range map[string]string{"server": "koubei-landing", "koubeisim": "koubeisim"} {
		t.Run("image of "+name, func(t *testing.T) { checkReleasedImage(t, first, name, stage) })
	}
}

// TestMakeRelease has make print what the documented command runs: the build with the version, the commit, its date and the
// address of the source, then a check of the checksums. A source archive has no commit. TestReleaseIsReproducible runs the same
// build.
func TestMakeRelease(t *testing.T) {
	t.Parallel()
	_, command, _ := strings.Cut(slurp(t, "../docs/operations.md"), "```sh by TestMakeRelease\n")
	command, _, _ = strings.Cut(command, "\n")
	archive := t.TempDir()
	write(t, filepath.Join(archive, "Makefile"), slurp(t, "../Makefile"))
	const ofGit, ofArchive = `-revision=[0-9a-f]{40}(-modified)? -date=[1-9]\d+`, `-revision=unknown -date=0`
	here := ofGit
	if _, err := os.Stat("../.git"); err != nil { // the tests run in a source archive
		here = ofArchive
	}
	for dir, want := range map[string]string{"..": here, archive: ofArchive} {
		words := append(strings.Fields(command), "-n", "-C", dir, "--no-print-directory")
		release := exec.Command(words[0], words[1:]...)
		release.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
		out, err := release.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		whole := `^go run -C scripts/release \. -version=0\.2\.0 ` + want + ` -url=https://git\.isv\.example/koubei-landing
cd dist && sha256sum -c --quiet SHA256SUMS && ls -l
$`
		if !regexp.MustCompile(whole).Match(out) {
			t.Errorf("make runs\n%s, want %s", out, want)
		}
	}
}

// buildRelease builds a release for one platform.
func buildRelease(t *testing.T, source, out string, env ...string) {
	t.Helper()
	source, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	caches, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache, modules, _ := strings.Cut(strings.TrimSpace(string(caches)), "\n")
	release := exec.Command("go", "run", "-C", "../scripts/release", ".", "-source="+source, "-out="+out, "-platforms=linux/amd64",
		"-version="+releaseVersion, "-revision="+releaseRevision, "-date=1700000000", "-url=https://git.isv.example/koubei-landing")
	release.Env = append(append(os.Environ(), env...), "GOCACHE="+cache, "GOMODCACHE="+modules)
	if out, err := release.CombinedOutput(); err != nil {
		t.Fatalf("scripts/release: %v\n%s", err, out)
	}
}

// checkReleasedPrograms checks that the programs are static and name their version and commit.
func checkReleasedPrograms(t *testing.T, dist string) {
	for _, name := range []string{"koubei-landing", "koubeisim"} {
		program := filepath.Join(dist, name+"-1.2.3-linux-amd64")
		f, err := elf.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC }) {
			t.Errorf("%s is not static", name)
		}
		out, err := exec.Command(program, "--version").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), name+" 1.2.3 go1.") {
			t.Errorf("%s --version: %q, %v", name, out, err)
		}
	}

	k, err := koubeisim.New(koubeisim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	serve := exec.Command(filepath.Join(dist, "koubei-landing-1.2.3-linux-amd64"))
	serve.Env = []string{"PUBLIC_LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=127.0.0.1:0", "ALIPAY_APP_ID=" + k.AppID(), "REDIS_URL=redis://127.0.0.1:1",
		"ALIPAY_APP_PRIVATE_KEY=" + k.AppPrivateKey(), "ALIPAY_PUBLIC_KEY=" + k.AlipayPublicKey()}
	log, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(log).ReadString('\n')
	_ = serve.Process.Kill()
	_ = serve.Wait()
	var first struct{ Msg, Version, Revision string }
	if err := errors.Join(err, json.Unmarshal([]byte(line), &first)); err != nil {
		t.Fatal(err)
	}
	if first.Msg != "starting" || first.Version != releaseVersion || first.Revision != releaseRevision {
		t.Errorf("the first log line is %s", line)
	}
}

// checkSBOMs compares what the SBOMs list with what the programs say that they are built of.
func checkSBOMs(t *testing.T, dist string) {
	for _, name := range []string{"koubei-landing", "koubeisim"} {
		program := filepath.Join(dist, name+"-1.2.3-linux-amd64")
		var sbom struct {
			BOMFormat, SpecVersion string
			Metadata               struct {
				Component struct{ Name, Version string }
			}
			Components []struct{ Name, Version string }
		}
		if err := json.Unmarshal([]byte(slurp(t, program+".cdx.json")), &sbom); err != nil {
			t.Fatal(err)
		}
		if sbom.BOMFormat != "CycloneDX" || sbom.SpecVersion < "1.5" || sbom.Metadata.Component.Name != "koubei-landing" || sbom.Metadata.Component.Version != releaseVersion {
			t.Errorf("%s: got %s %s of %v", name, sbom.BOMFormat, sbom.SpecVersion, sbom.Metadata.Component)
		}
		var got, want []string
		for _, c := range sbom.Components {
			if c.Name != "std" {
				got = append(got, c.Name+" "+c.Version)
			}
		}
		out, err := exec.Command("go", "version", "-m", program).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(string(out), -1) {
			want = append(want, m[1]+" "+m[2])
		}
		slices.Sort(got)
		slices.Sort(want)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: the SBOM has %q, the program %q", name, got, want)
		}
	}
}

// archive holds the files of an OCI layout by name.
type archive map[string]string

// imageManifest holds the fields of an OCI index and of an OCI manifest that the test reads.
type imageManifest struct {
	Manifests []struct {
		Digest   string
		Platform struct{ OS, Architecture string }
	}
	Config struct{ Digest string }
	Layers []struct{ Digest string }
}

// imageConfig holds the fields of an OCI image configuration that the test reads.
type imageConfig struct {
	Created, OS, Architecture string
	Config                    struct {
		User, StopSignal string
		Entrypoint, Cmd  []string
		ExposedPorts     map[string]any
		Labels           map[string]string
		Healthcheck      struct{ Test []string }
	}
}

// checkReleasedImage compares an image with the Dockerfile's stage and with the released program.
func checkReleasedImage(t *testing.T, dist, name, stage string) {
	files := archive{}
	untar(t, strings.NewReader(slurp(t, filepath.Join(dist, name+"-1.2.3.oci.tar"))), files)
	image := files.manifest(t)
	var config imageConfig
	files.decode(t, image.Config.Digest, &config)
	if config.Created != "2023-11-14T22:13:20Z" || config.OS != "linux" || config.Architecture != "amd64" {
		t.Errorf("the image is of %s for %s/%s", config.Created, config.OS, config.Architecture)
	}
	checkImageConfig(t, config, stage)
	content := files.content(t, image)
	if content[stage] != slurp(t, filepath.Join(dist, name+"-1.2.3-linux-amd64")) {
		t.Errorf("the image's /%s is not the released program", stage)
	}
	delete(content, stage)
	if stage == "server" {
		checkAuthorities(t, content["etc/ssl/certs/ca-certificates.crt"])
		delete(content, "etc/ssl/certs/ca-certificates.crt")
	}
	if len(content) > 0 {
		t.Errorf("the image has more files: %d", len(content))
	}
}

// blob returns the content with this digest.
func (a archive) blob(t *testing.T, digest string) string {
	t.Helper()
	text, ok := a["blobs/"+strings.Replace(digest, ":", "/", 1)]
	if !ok || fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) != digest {
		t.Fatalf("the archive has no %s", digest)
	}
	return text
}

func (a archive) decode(t *testing.T, digest string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.blob(t, digest)), into); err != nil {
		t.Fatal(err)
	}
}

// manifest returns the manifest of the only image, which is for linux/amd64.
func (a archive) manifest(t *testing.T) (image imageManifest) {
	t.Helper()
	var root, index imageManifest
	if err := json.Unmarshal([]byte(a["index.json"]), &root); err != nil || a["oci-layout"] == "" || len(root.Manifests) != 1 {
		t.Fatalf("no OCI layout: %v, %v", a["index.json"], err)
	}
	a.decode(t, root.Manifests[0].Digest, &index)
	if len(index.Manifests) != 1 || index.Manifests[0].Platform.OS+"/"+index.Manifests[0].Platform.Architecture != "linux/amd64" {
		t.Fatalf("got images %v", index.Manifests)
	}
	a.decode(t, index.Manifests[0].Digest, &image)
	return image
}

// content returns the files of all layers.
func (a archive) content(t *testing.T, image imageManifest) map[string]string {
	t.Helper()
	content := map[string]string{}
	for _, layer := range image.Layers {
		unzipped, err := gzip.NewReader(strings.NewReader(a.blob(t, layer.Digest)))
		if err != nil {
			t.Fatal(err)
		}
		untar(t, unzipped, content)
	}
	return content
}

// checkImageConfig compares the configuration of an image with the Dockerfile's stage.
func checkImageConfig(t *testing.T, config imageConfig, stage string) {
	t.Helper()
	_, own, _ := strings.Cut(slurp(t, "../Dockerfile"), " AS "+stage+"\n")
	own, _, _ = strings.Cut(own, "\nFROM ")
	c := config.Config
	quoted := func(words []string) string {
		text, _ := json.Marshal(words)
		return strings.ReplaceAll(string(text), ",", ", ")
	}
	want := map[string]string{"USER": c.User, "ENTRYPOINT": quoted(c.Entrypoint), "CMD": quoted(c.Cmd), "STOPSIGNAL": c.StopSignal}
	for port := range c.ExposedPorts {
		want["EXPOSE"] = port
	}
	for _, m := range regexp.MustCompile(`(?m)^(USER|ENTRYPOINT|CMD|STOPSIGNAL|EXPOSE) (.*)$`).FindAllStringSubmatch(own, -1) {
		if want[m[1]] != m[2] {
			t.Errorf("%s is %s, in the Dockerfile %s", m[1], want[m[1]], m[2])
		}
		delete(want, m[1])
	}
	for instruction, value := range want {
		if value != "" {
			t.Errorf("%s %s: the Dockerfile has none", instruction, value)
		}
	}
	if test := c.Healthcheck.Test; len(test) > 0 != strings.Contains(own, "HEALTHCHECK") || len(test) > 0 && !strings.Contains(own, "CMD "+quoted(test[1:])) {
		t.Errorf("the health check is %q", test)
	}
	labels := map[string]string{"org.opencontainers.image.source": "https://git.isv.example/koubei-landing"}
	for _, m := range regexp.MustCompile(`(org\.\S+)="(.*)"`).FindAllStringSubmatch(own, -1) {
		labels[m[1]] = strings.NewReplacer("$VERSION", releaseVersion, "$REVISION", releaseRevision).Replace(m[2])
	}
	if fmt.Sprint(c.Labels) != fmt.Sprint(labels) {
		t.Errorf("got labels %v, want %v", c.Labels, labels)
	}
}

// untar adds the regular files of an archive to files. All must belong to root.
func untar(t *testing.T, archive io.Reader, files map[string]string) {
	t.Helper()
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Mode&0o022 != 0 {
			t.Errorf("%s has mode %o and belongs to %d:%d", header.Name, header.Mode, header.Uid, header.Gid)
		}
		if header.Typeflag == tar.TypeReg {
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			files[header.Name] = string(content)
		}
	}
}

// checkAuthorities checks that Go's TLS accepts every authority of the list.
func checkAuthorities(t *testing.T, list string) {
	t.Helper()
	n := 0
	for block, rest := pem.Decode([]byte(list)); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err != nil || !c.IsCA {
			t.Errorf("certificate %d: %v", n, err)
		}
		n++
	}
	if n < 100 || n != strings.Count(list, "BEGIN CERTIFICATE") {
		t.Errorf("the image has %d authorities", n)
	}
}
