package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Asset is a static file in memory.
type Asset struct {
	Content     []byte
	ContentType string
}

// contentTypes are the types of static files. The system's own table differs between machines.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// readAssets returns the files by address, and the addresses by file name. An address contains a hash of the content, so
// browsers may cache the file permanently.
func readAssets(base string) (assets map[string]Asset, addresses map[string]string, err error) {
	assets, addresses = make(map[string]Asset), make(map[string]string)
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		content, err := files.ReadFile("static/" + name)
		if err != nil {
			return nil, nil, err
		}
		ext := path.Ext(name)
		contentType, ok := contentTypes[ext]
		if !ok {
			return nil, nil, fmt.Errorf("web: static/%s: no content type for %q", name, ext)
		}
		sum := sha256.Sum256(content)
		address := base + "/static/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		assets[address] = Asset{content, contentType}
		addresses[name] = address
	}
	return assets, addresses, nil
}

// Asset returns the static file at a request's path, which includes base. ok is false if there is none.
func (p *Pages) Asset(path string) (a Asset, ok bool) {
	a, ok = p.assets[path]
	return a, ok
}

// Static serves the files under {base}/static/ with permanent caching. It returns a plain 404 for other paths. A caller
// that has an error page calls Asset first.
func (p *Pages) Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := p.Asset(r.URL.Path)
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Content-Type", a.ContentType)
		h.Set("Content-Length", strconv.Itoa(len(a.Content)))
		h.Set("X-Content-Type-Options", "nosniff")
		w.Write(a.Content)
	})
}
