// Server is the landing service. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"koubei-landing/internal/setting"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // also for a wrong or missing setting
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once, whatever SHUTDOWN_DELAY says
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// cli is the commands; each that needs the settings has them as flags.
type cli struct {
	Serve       serveCmd       `cmd:"" default:"withargs" help:"Serve. This is what a bare 'server' does."`
	Check       checkCmd       `cmd:"" help:"Validate settings, keys, clock, gateway and Redis; list every problem and its cure."`
	Sessions    sessionsCmd    `cmd:"" help:"List or revoke an operator's sessions."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask a running service whether it lives: for a container's health check."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// world is what a command may use.
type world struct {
	ctx            context.Context
	getenv         func(string) string
	stdout, stderr io.Writer
}

// run carries out one command and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	var c cli
	exited, code := false, exitOK
	parser, err := kong.New(&c,
		kong.Name("server"),
		kong.Description("koubei-landing: exchanges Koubei's codes for sessions.\n\n"+settingsNote),
		kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { exited, code = true, c }),
		kong.Resolvers(environment(getenv)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exited { // --help
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "server: %s\nTry: server --help\n", err)
		return exitUsage
	}
	err = command.Run(&world{ctx, getenv, stdout, stderr})
	return report(err, stderr)
}

// environment gives every flag the value of the variable that it is named after. An empty variable counts as unset.
func environment(getenv func(string) string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if value := getenv(variable(flag.Name)); value != "" {
			return value, nil
		}
		return nil, nil
	})
}

// variable returns the environment variable that a flag is named after.
func variable(flag string) string { return strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) }

func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if p, ok := errors.AsType[setting.Problems](err); ok {
		fmt.Fprintln(stderr, "server:", p)
		return exitUsage
	}
	if !errors.Is(err, errCheck) { // what that found is printed already
		fmt.Fprintln(stderr, "server:", err)
	}
	return exitFailed
}
