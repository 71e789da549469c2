package main

import (
	"fmt"
	"runtime/debug"
)

type versionCmd struct{}

// version is set by the build: -ldflags "-X main.version=…".
var version = ""

// Run prints the version that the build was given, or else the module's.
func (*versionCmd) Run(w *world) error {
	v := version
	info, ok := debug.ReadBuildInfo()
	if v == "" && ok {
		v = info.Main.Version
	}
	goVersion := ""
	if ok {
		goVersion = info.GoVersion
	}
	_, err := fmt.Fprintf(w.stdout, "koubei-landing %s %s\n", v, goVersion)
	return err
}
