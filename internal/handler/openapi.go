package handler

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// openAPIFile describes both listeners with the default settings.
//
//go:embed openapi.json
var openAPIFile []byte

// Values in the file that the settings replace.
const (
	fileOrigin   = `"http://localhost:8080"`
	fileCallback = "/koubei/callback"
	fileCookie   = `"koubei_session"`
)

// description is an OpenAPI document, decoded only where the settings change it.
type description struct {
	OpenAPI    json.RawMessage            `json:"openapi"`
	Info       json.RawMessage            `json:"info"`
	Servers    json.RawMessage            `json:"servers"`
	Tags       json.RawMessage            `json:"tags"`
	Paths      map[string]json.RawMessage `json:"paths"`
	Components json.RawMessage            `json:"components"`
}

// openAPI serves the description of both listeners with the addresses of the settings.
func (h *Handler) openAPI() http.HandlerFunc {
	document, err := h.describe()
	if err != nil {
		panic(fmt.Sprintf("handler: openapi.json: %v", err)) // the file is embedded
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	}
}

func (h *Handler) describe() ([]byte, error) {
	file := bytes.ReplaceAll(openAPIFile, []byte(fileOrigin), quoted(Origin(h.PublicURL)))
	file = bytes.ReplaceAll(file, []byte(fileCookie), quoted(h.Cookies.Name))
	var d description
	if err := json.Unmarshal(file, &d); err != nil {
		return nil, err
	}
	paths := make(map[string]json.RawMessage, len(d.Paths))
	for path, item := range d.Paths {
		at, err := h.pathOf(path, item)
		if err != nil {
			return nil, err
		}
		paths[at] = item
	}
	d.Paths = paths
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(d)
	return out.Bytes(), err
}

// pathOf returns the path under which the service serves a path of the file. Paths of the public listener name their server.
func (h *Handler) pathOf(path string, item json.RawMessage) (string, error) {
	var public struct {
		Servers []json.RawMessage `json:"servers"`
	}
	if err := json.Unmarshal(item, &public); err != nil {
		return "", err
	}
	if len(public.Servers) == 0 {
		return path, nil
	}
	if rest, ok := strings.CutPrefix(path, fileCallback); ok {
		return h.CallbackPath + rest, nil
	}
	return h.base + path, nil
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always encodes
	}
	return b
}
