package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"koubei-landing/internal/metrics"
)

type versionCmd struct{}

// version is set by the build: -ldflags "-X main.version=…".
var version = ""

// Run prints the version.
func (*versionCmd) Run(w *world) error {
	b := build()
	_, err := fmt.Fprintf(w.stdout, "koubei-landing %s %s\n", b.Version, b.GoVersion)
	return err
}

// build returns the version that the build was given, or else the module's, and the commit that Go noted.
func build() metrics.Build {
	b := metrics.Build{Version: version, Revision: "unknown", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}
