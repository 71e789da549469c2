package handler

import (
	"bytes"
	_ "embed"
	"encoding/json"
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
	document := h.describe()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	}
}

// describe returns openapi.json with the addresses of the settings. Tests check the embedded file, so decoding cannot fail.
func (h *Handler) describe() []byte {
	file := bytes.ReplaceAll(openAPIFile, []byte(fileOrigin), quoted(Origin(h.PublicURL)))
	file = bytes.ReplaceAll(file, []byte(fileCookie), quoted(h.Cookies.Name))
	var d description
	_ = json.Unmarshal(file, &d)
	paths := make(map[string]json.RawMessage, len(d.Paths))
	for path, item := range d.Paths {
		paths[h.pathOf(path, item)] = item
	}
	d.Paths = paths
	document, _ := json.MarshalIndent(d, "", "  ")
	return document
}

// pathOf returns the path under which the service serves a path of the file. Paths of the public listener name their server.
func (h *Handler) pathOf(path string, item json.RawMessage) string {
	var public struct {
		Servers []json.RawMessage `json:"servers"`
	}
	_ = json.Unmarshal(item, &public)
	if len(public.Servers) == 0 {
		return path
	}
	if rest, ok := strings.CutPrefix(path, fileCallback); ok {
		return h.CallbackPath + rest
	}
	return h.base + path
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string always encodes
	return b
}
