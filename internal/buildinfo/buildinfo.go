// Package buildinfo names the build of a program: its version, its commit and the Go version.
package buildinfo

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Info is a build.
type Info struct{ Version, Revision, GoVersion string }

// revision is set by the build: -ldflags "-X koubei-landing/internal/buildinfo.revision=…".
var revision = ""

// Of returns the running program's build. version is what the linker was given; if it is empty, the module's version is
// used. Revision is the commit that the linker was given or that Go recorded, or "unknown".
func Of(version string) Info {
	b := Info{Version: version, Revision: cmp.Or(revision, "unknown"), GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && revision == "" {
			b.Revision = s.Value
		}
	}
	return b
}

// Line returns the build in one line, for a program's --version.
func (b Info) Line(program string) string {
	return fmt.Sprintf("%s %s %s", program, b.Version, b.GoVersion)
}
