// Server is the landing service. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"koubei-landing/internal/logging"
	"koubei-landing/internal/setting"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // also for a wrong or missing setting
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // otherwise the process would end when the reader of its log exits
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, whatever SHUTDOWN_DELAY says
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// cli holds the commands. Those that need the settings have them as flags.
type cli struct {
	Serve       serveCmd       `cmd:"" default:"withargs" help:"Run the service. This is the default command."`
	Check       checkCmd       `cmd:"" help:"Validate settings, keys, certificates, clock, gateway and Redis; list every problem with its fix."`
	Sessions    sessionsCmd    `cmd:"" help:"List or revoke an operator's sessions."`
	Healthcheck healthcheckCmd `cmd:"" help:"Check whether the service is running, for a container's health check."`
	Version     versionCmd     `cmd:"" help:"Print the version."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// invocation is one run of the program, with what its command may use.
type invocation struct {
	ctx    context.Context
	env    *environment
	stdout io.Writer
	stderr *logging.Writer
}

// logCloseTimeout is how long the process waits at its end for the reader of its log.
const logCloseTimeout = 2 * time.Second

// run executes one command and returns the exit code. environ has the form of os.Environ. Nothing waits for the reader of
// stderr, where the log goes.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	inv := &invocation{ctx, newEnvironment(environ), stdout, logging.NewWriter(stderr)}
	defer inv.stderr.Close(logCloseTimeout)
	var c cli
	exited, code := false, exitOK
	parser, err := newParser(&c, inv, kong.Exit(func(c int) { exited, code = true, c }))
	if err != nil {
		fmt.Fprintln(inv.stderr, "server:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exited { // --help or --version
		return code
	}
	if err != nil {
		fmt.Fprintf(inv.stderr, "server: %s\nTry: server --help\n", usageProblem(parser.Model.Node, args, err))
		return exitUsage
	}
	return report(command.Run(inv), inv.stderr)
}

func newParser(c *cli, inv *invocation, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append(options,
		kong.Name("server"),
		kong.Description("koubei-landing: exchanges Koubei's codes for sessions.\n\n"+settingsNote),
		kong.Writers(inv.stdout, inv.stderr),
		kong.Resolvers(inv.env),
		kong.Vars{"version": buildLine()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
	)...)
}

func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if p, ok := errors.AsType[setting.Problems](err); ok {
		fmt.Fprintln(stderr, "server:", p)
		return exitUsage
	}
	if !errors.Is(err, errCheck) && !errors.Is(err, errLogged) { // those are printed already
		fmt.Fprintln(stderr, "server:", err)
	}
	return exitFailed
}
