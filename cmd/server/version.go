package main

import (
	"fmt"

	"koubei-landing/internal/buildinfo"
)

type versionCmd struct{}

// version is set by the build: -ldflags "-X main.version=…".
var version = ""

// Run prints the version.
func (*versionCmd) Run(inv *invocation) error {
	_, err := fmt.Fprintln(inv.stdout, buildLine())
	return err
}

func buildLine() string { return buildinfo.Of(version).Line("koubei-landing") }
