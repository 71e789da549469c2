// Demo runs everything in one process: koubeisim, the landing service with an embedded Redis, and a small ISV application
// behind the service. It prints the address to open. Everything listens on loopback, and keys and codes are new at every
// start.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"koubei-landing/internal/buildinfo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// settings are the demo's own settings.
type settings struct {
	Port     uint16 `default:"8900" help:"Port of Koubei's portal, the address to open. The ISV's pages use the next port. If a port is in use, the demo uses any free port; 0 always does."`
	LogLevel string `default:"info" enum:"debug,info,warn,error" help:"What the service logs, on standard error: debug, info, warn or error."`

	Version kong.VersionFlag `help:"Print the version."`
}

// version is set by the build: -ldflags "-X main.version=…".
var version = ""

const description = "The landing service, koubeisim and an ISV's pages, in one process. " +
	"If REDIS_URL is set, the service uses that Redis instead of the embedded one."

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	var s settings
	exited, code := false, 0
	parser, err := kong.New(&s, kong.Name("demo"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { exited, code = true, c }), kong.Vars{"version": buildinfo.Of(version).Line("demo")})
	if err == nil {
		_, err = parser.Parse(args)
	}
	if exited { // --help or --version
		return code
	}
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 2
	}
	d, err := start(ctx, s, getenv("REDIS_URL"), stderr)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	d.announce(stdout)
	if err := d.wait(); err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	fmt.Fprintln(stdout, "Bye.")
	return 0
}
