package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"koubei-landing/internal/app"
)

type checkCmd struct{ settings }

// errCheck says that something is wrong; what, is printed already.
var errCheck = errors.New("check: something is wrong")

// Run prints what is right and wrong, each problem with its cure.
func (c *checkCmd) Run(w *world) error {
	config, err := c.load(w)
	if p, ok := errors.AsType[problems](err); ok {
		for _, text := range p {
			fmt.Fprintf(w.stdout, "%-8s settings: %s\n", app.Failure, text)
		}
		return errCheck
	}
	if err != nil {
		return err
	}
	findings, err := app.Check(w.ctx, config)
	if err != nil {
		return err
	}
	printFindings(w.stdout, findings)
	for _, f := range findings {
		if f.Level == app.Failure {
			return errCheck
		}
	}
	return nil
}

func printFindings(w io.Writer, findings []app.Finding) {
	for _, f := range findings {
		fmt.Fprintf(w, "%-8s %s: %s\n", f.Level, f.Check, strings.ReplaceAll(f.Detail, "\n", "; "))
		if f.Cure != "" {
			fmt.Fprintf(w, "%-8s → %s\n", "", f.Cure)
		}
	}
}
