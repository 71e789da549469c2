package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// image is how a program's image differs from the others.
type image struct {
	authorities bool // has the certificate authorities
	config      v1.Config
}

// programs are the released programs. Their images are configured as the Dockerfile configures them.
var programs = []program{
	{"koubei-landing", "./cmd/server", image{true, v1.Config{
		Entrypoint:   []string{"/server"},
		Cmd:          []string{"serve"},
		ExposedPorts: map[string]struct{}{"8080": {}},
		StopSignal:   "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test: []string{"CMD", "/server", "healthcheck"}, Interval: 10 * time.Second, Timeout: 4 * time.Second, StartPeriod: 5 * time.Second, Retries: 3},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "koubei-landing",
			"org.opencontainers.image.description": "Exchanges Koubei's authorization codes for sessions"},
	}}},
	{"koubeisim", "./cmd/koubeisim", image{false, v1.Config{
		Entrypoint:   []string{"/koubeisim"},
		Cmd:          []string{"--listen", "0.0.0.0:8900"},
		ExposedPorts: map[string]struct{}{"8900": {}},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "koubeisim",
			"org.opencontainers.image.description": "Simulates Koubei and the Alipay gateway, for tests"},
	}}},
}

// writeImage writes a program's image for each platform of Linux, as an archive of an OCI layout. Without such a platform
// it writes none.
func (r *release) writeImage(p program) error {
	var images []mutate.IndexAddendum
	for _, platform := range r.platforms {
		if architecture, ok := strings.CutPrefix(platform, "linux/"); ok {
			img, err := r.image(p, platform, architecture)
			if err != nil {
				return err
			}
			at := &v1.Platform{OS: "linux", Architecture: architecture}
			images = append(images, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: at}})
		}
	}
	if images == nil {
		return nil
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), images...)
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	name := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.version})
	if err := path.AppendIndex(index, name); err != nil {
		return err
	}
	archive, err := r.archiveOf(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, p.name+"-"+r.version+".oci.tar"), archive, 0o644)
}

// image returns a program's image for a platform: from scratch, with one layer.
func (r *release) image(p program, platform, architecture string) (v1.Image, error) {
	program, err := os.ReadFile(r.file(p, platform))
	if err != nil {
		return nil, err
	}
	content := newArchive(r.date)
	if p.image.authorities {
		for _, dir := range []string{"etc/", "etc/ssl/", "etc/ssl/certs/"} {
			content.add(dir, 0o755, nil)
		}
		content.add("etc/ssl/certs/ca-certificates.crt", 0o644, authorities())
	}
	content.add(strings.TrimPrefix(p.image.config.Entrypoint[0], "/"), 0o755, program)
	layerTar, err := content.bytes()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layerTar)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, err
	}
	config := p.image.config
	config.User = "65532:65532"
	config.Labels = maps.Clone(config.Labels)
	config.Labels["org.opencontainers.image.version"] = r.version
	config.Labels["org.opencontainers.image.revision"] = r.revision
	config.Labels["org.opencontainers.image.licenses"] = "Apache-2.0"
	config.Labels["org.opencontainers.image.base.name"] = "scratch"
	if r.url != "" {
		config.Labels["org.opencontainers.image.source"] = r.url
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file.OS, file.Architecture, file.Created, file.Config = "linux", architecture, v1.Time{Time: r.date}, config
	file.History = nil
	return mutate.ConfigFile(img, file)
}

// authorities returns Mozilla's certificate authorities, in PEM, as Debian's ca-certificates has them: also those that Mozilla
// trusts for older certificates only. go.sum pins the list, so that it does not depend on this machine.
func authorities() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
	}
	return all.Bytes()
}

// archiveOf returns a directory as a tar archive whose bytes depend on the names and contents of the files alone.
func (r *release) archiveOf(dir string) ([]byte, error) {
	a := newArchive(r.date)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error { // in order
		switch {
		case err != nil || name == ".":
			return err
		case d.IsDir():
			a.add(name+"/", 0o755, nil)
			return nil
		}
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		a.add(name, 0o644, content)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.bytes()
}

// archive is a tar archive in which every file has the same date and belongs to root.
type archive struct {
	buffer bytes.Buffer
	tar    *tar.Writer
	date   time.Time
	err    error // the first one
}

func newArchive(date time.Time) *archive {
	a := &archive{date: date}
	a.tar = tar.NewWriter(&a.buffer)
	return a
}

// add adds a file, or a directory if the name ends with a slash.
func (a *archive) add(name string, mode int64, content []byte) {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: a.date, Format: tar.FormatUSTAR}
	if strings.HasSuffix(name, "/") {
		header.Typeflag = tar.TypeDir
	}
	if a.err == nil {
		a.err = a.tar.WriteHeader(header)
	}
	if a.err == nil {
		_, a.err = a.tar.Write(content)
	}
}

func (a *archive) bytes() ([]byte, error) {
	if a.err == nil {
		a.err = a.tar.Close()
	}
	return a.buffer.Bytes(), a.err
}
