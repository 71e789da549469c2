package deploy_test

import (
	"archive/tar"
	"compress/gzip"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestDockerfileStepByStep needs no container engine: scripts/dockerfile-steps runs the Dockerfile's steps with this
// machine's tools instead of the base image's. It does not test what an engine adds.
func TestDockerfileStepByStep(t *testing.T) {
	t.Parallel()
	dir, err := imageSteps()
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(dir, "server")

	t.Run("files", func(t *testing.T) {
		if got, want := contents(t, image), []string{"etc/ssl/certs/ca-certificates.crt", "server"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := contents(t, filepath.Join(dir, "koubeisim")), []string{"koubeisim"}; !slices.Equal(got, want) {
			t.Errorf("koubeisim: got %q, want %q", got, want)
		}
		for _, file := range contents(t, filepath.Join(dir, "context")) {
			if top, _, _ := strings.Cut(file, "/"); !slices.Contains([]string{"go.mod", "go.sum", "cmd", "internal", "koubeisim", "web"}, top) ||
				strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "internal/testworld/") {
				t.Errorf("the build context has %s", file)
			}
		}
		plain, packed := size(t, image)
		t.Logf("image: %.1f MB, compressed %.1f MB", float64(plain)/1e6, float64(packed)/1e6)
		if plain >= 30e6 || packed >= 12e6 {
			t.Errorf("the image has %d bytes, compressed %d: want less than 30 MB and 12 MB", plain, packed)
		}
	})

	t.Run("static programs", func(t *testing.T) {
		for _, program := range []string{filepath.Join(image, "server"), filepath.Join(dir, "koubeisim/koubeisim")} {
			f, err := elf.Open(program)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
					t.Errorf("%s is not static", program)
				}
			}
			info, err := buildinfo.ReadFile(program)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []debug.BuildSetting{{Key: "-trimpath", Value: "true"}, {Key: "CGO_ENABLED", Value: "0"}} {
				if !slices.Contains(info.Settings, want) {
					t.Errorf("%s was not built with %s=%s: %v", program, want.Key, want.Value, info.Settings)
				}
			}
		}
	})

	t.Run("configuration", func(t *testing.T) {
		config := slurp(t, image+".config")
		for _, line := range []string{"USER 65532:65532\n", "ENTRYPOINT [\"/server\"]\n", "CMD [\"serve\"]\n", "STOPSIGNAL SIGTERM\n",
			"CMD [\"/server\", \"healthcheck\"]\n", "org.opencontainers.image.version=\"$VERSION\"", "EXPOSE 8080\n"} {
			if !strings.Contains(config, line) {
				t.Errorf("no %q in\n%s", line, config)
			}
		}
		if strings.Contains(config, "9090") {
			t.Error("the internal listener's port is exposed")
		}
	})

	t.Run("labels", func(t *testing.T) {
		for stage, title := range map[string]string{"server": "koubei-landing", "koubeisim": "koubeisim"} {
			_, own, _ := strings.Cut(slurp(t, "../Dockerfile"), " AS "+stage+"\n")
			own, _, _ = strings.Cut(own, "\nFROM ")
			config := slurp(t, filepath.Join(dir, stage+".config"))
			for name, value := range map[string]string{"title": title, "version": "$VERSION", "revision": "$REVISION", "licenses": "Apache-2.0"} {
				if label := fmt.Sprintf("org.opencontainers.image.%s=%q", name, value); !strings.Contains(config, label) {
					t.Errorf("%s: no %s in\n%s", stage, label, config)
				}
				// In an engine, an argument is empty unless its own stage declares it.
				if argument, ok := strings.CutPrefix(value, "$"); ok && !strings.Contains(own, "ARG "+argument+"=") {
					t.Errorf("%s: the stage doesn't declare the argument %s", stage, argument)
				}
			}
		}
	})

	t.Run("it runs", func(t *testing.T) { runImage(t, image) })
}

// TestMakeImageLabels checks the arguments that make image passes to the engine. Programs of the test stand for the engine,
// which prints its arguments, and for git.
func TestMakeImageLabels(t *testing.T) {
	t.Parallel()
	const revision = "0123456789abcdef0123456789abcdef01234567"
	dir := t.TempDir()
	for name, script := range map[string]string{
		"docker": "printf '%s\\n' \"$@\"\n",
		"git":    "case $1 in rev-parse) echo " + revision + " ;; diff) exit $MODIFIED ;; esac\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for modified, want := range map[string]string{"0": revision, "1": revision + "-modified"} {
		image := exec.Command("make", "-C", "..", "--silent", "--no-print-directory", "image", "VERSION=1.2.3")
		image.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=", "MODIFIED="+modified)
		out, err := image.CombinedOutput()
		if err != nil {
			t.Fatalf("make image: %v\n%s", err, out)
		}
		args := strings.Split(string(out), "\n")
		for _, want := range []string{"VERSION=1.2.3", "REVISION=" + want} {
			if !slices.Contains(args, want) {
				t.Errorf("make image does not pass %s: %q", want, args)
			}
		}
	}
}

// runImage runs the program as a container would. If this test runs as root, the image is the root of its file system, and
// the program runs as the image's user.
func runImage(t *testing.T, image string) {
	program, attributes := filepath.Join(image, "server"), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		for path := image; path != "/"; path = filepath.Dir(path) { // only root can read temporary directories
			if err := os.Chmod(path, 0o755); err != nil || path == os.TempDir() {
				break
			}
		}
		program, attributes.Chroot, attributes.Credential = "/server", image, &syscall.Credential{Uid: 65532, Gid: 65532}
	}
	k, err := koubeisim.New(koubeisim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	redis := testworld.StartRedis(t)
	m := &member{t: t, name: "server", internal: fmt.Sprintf("http://127.0.0.1:%d", testworld.StablePort(t)), out: &testworld.Log{}}
	env := []string{"PUBLIC_LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=" + host(m.internal), "ALIPAY_APP_ID=" + k.AppID(), "REDIS_URL=" + redis.URL(),
		"ALIPAY_APP_PRIVATE_KEY=" + k.AppPrivateKey(), "ALIPAY_PUBLIC_KEY=" + k.AlipayPublicKey()}
	m.env, m.keptOut = env, m.secrets
	command := func(args ...string) *exec.Cmd {
		cmd := &exec.Cmd{Path: program, Args: append([]string{"/server"}, args...), Dir: "/", Env: env, SysProcAttr: attributes}
		return cmd
	}
	if out, err := command("version").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "koubei-landing 1.2.3-test go1.") {
		t.Errorf("server version: %q, %v", out, err)
	}
	if out, err := command("healthcheck").CombinedOutput(); err == nil {
		t.Errorf("server healthcheck without a service: %q", out)
	}
	cmd := command("serve")
	cmd.Stdout, cmd.Stderr = m.out, m.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.cmd = cmd
	t.Cleanup(m.kill)
	testworld.Eventually(t, 20*time.Second, "the service is ready", func() error { return m.says("/readyz", http.StatusOK) })
	_, port, _ := strings.Cut(host(m.internal), ":")
	for _, listen := range []string{host(m.internal), ":" + port, "0.0.0.0:" + port} { // the image has no /etc/hosts that knows localhost
		check := command("healthcheck")
		check.Env = append(slices.Clone(env), "INTERNAL_LISTEN="+listen)
		if out, err := check.CombinedOutput(); err != nil || string(out) != "ok\n" {
			t.Errorf("server healthcheck, INTERNAL_LISTEN=%s: %q, %v", listen, out, err)
		}
	}
}

// contents returns the files below a directory.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// size returns the size of a directory as a layer of an image.
func size(t *testing.T, dir string) (plain, packed int64) {
	t.Helper()
	a, b := &counter{}, &counter{}
	zip := gzip.NewWriter(b)
	layer := tar.NewWriter(io.MultiWriter(a, zip))
	if err := layer.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := layer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return a.n, b.n
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}
