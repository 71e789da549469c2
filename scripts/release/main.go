// Command release builds what a release consists of: static programs, their SBOMs, images and checksums. It needs no container
// engine. The same source, version, revision, date and Go version lead to the same bytes, in any directory and at any time.
//
// It is a module of its own, so that the service does not depend on what it needs. `make release` runs it.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	var r release
	var date int64
	flag.StringVar(&r.source, "source", "../..", "the checkout")
	flag.StringVar(&r.out, "out", "../../dist", "the directory to write to; it is removed first")
	flag.StringVar(&r.version, "version", "dev", "the version that the programs print")
	flag.StringVar(&r.revision, "revision", "unknown", "the commit that the checkout is of")
	flag.StringVar(&r.url, "url", "", "where the source is published, for the images' label; none if empty")
	flag.Int64Var(&date, "date", 0, "the images' date of creation, in seconds since 1970")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64,darwin/arm64", "the platforms, comma-separated; images are for those of Linux")
	flag.Parse()
	r.date = time.Unix(date, 0).UTC()
	r.platforms = strings.Split(*platforms, ",")
	if err := r.build(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is what to build, of which source, and where to.
type release struct {
	source, out, version, revision, url string
	date                                time.Time
	platforms                           []string // OS/architecture
}

// program is one of the released programs.
type program struct {
	name  string // of its files
	main  string // its package, in the source
	image image
}

// file returns the path of the program for a platform.
func (r *release) file(p program, platform string) string {
	return filepath.Join(r.out, p.name+"-"+r.version+"-"+strings.ReplaceAll(platform, "/", "-"))
}

func (r *release) build() error {
	var err error
	if r.source, err = filepath.Abs(r.source); err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		for _, platform := range r.platforms {
			if err := r.compile(p, platform); err != nil {
				return err
			}
			if err := r.sbom(r.file(p, platform)); err != nil {
				return err
			}
		}
		if err := r.writeImage(p); err != nil {
			return fmt.Errorf("image of %s: %w", p.name, err)
		}
	}
	license, err := os.ReadFile(filepath.Join(r.source, "LICENSE"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.out, "LICENSE"), license, 0o644); err != nil {
		return err
	}
	return r.checksums()
}

// compile builds a program. Nothing of this machine's environment decides what is built.
func (r *release) compile(p program, platform string) error {
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("platform %q: want OS/architecture", platform)
	}
	flags := fmt.Sprintf("-s -w -X main.version=%s -X koubei-landing/internal/buildinfo.revision=%s", r.version, r.revision)
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", r.file(p, platform), p.main)
	build.Dir = r.source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off")
	return run(build)
}

// sbom writes the list of the modules that are in a program, in CycloneDX's JSON, to a file beside it.
func (r *release) sbom(program string) error {
	list := exec.Command("go", "tool", "cyclonedx-gomod", "bin", "-json", "-std", "-noserial", "-notimestamp",
		"-version", r.version, "-output", program+".cdx.json", program)
	list.Env = append(os.Environ(), "GOFLAGS=-trimpath", "GOWORK=off") // the list has a hash of the tool
	return run(list)
}

func run(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, out)
	}
	return nil
}

// checksums writes SHA256SUMS, as sha256sum -c reads it.
func (r *release) checksums() error {
	entries, err := os.ReadDir(r.out) // sorted by name
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		sum, err := checksum(filepath.Join(r.out, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum, entry.Name())
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

func checksum(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hash.Sum(nil), err
}
