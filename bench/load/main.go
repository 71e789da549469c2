// Command load drives the service with wrk, beside the limits that it is held against, and prints tables in Markdown.
// It starts all that it needs on loopback, and ends it. Run it from within the module:
//
//	go run ./bench/load
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"koubei-landing/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds   int
	seconds  int
	only     string
	landings int
	sessions int
	idle     int
	replicas string
	profile  string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 7, "rounds, of which the median counts")
	flags.IntVar(&o.seconds, "seconds", 3, "how long wrk runs each time")
	flags.StringVar(&o.only, "only", "", "only paths whose name contains this")
	flags.IntVar(&o.landings, "landings", 1500, "landings in each round; 0 for none")
	flags.IntVar(&o.sessions, "sessions", 100_000, "live sessions in Redis, to see whether the service grows; 0 for none")
	flags.IntVar(&o.idle, "idle", 2000, "connections kept alive, to see what each costs; 0 for none")
	flags.StringVar(&o.replicas, "replicas", "1,2,4", "how many replicas share one Redis, and then a cluster, to see how cost grows; empty for none")
	flags.StringVar(&o.profile, "profile", "", "only write CPU and allocation profiles of the paths to this directory")
	return o, flags.Parse(args)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	rig, err := bench.NewRig(ctx)
	if err != nil {
		return err
	}
	defer rig.Close()
	if o.profile != "" {
		return rig.Profiles(ctx, time.Duration(o.seconds)*time.Second, o.profile)
	}
	l := loader{options: o, rig: rig, stdout: stdout, stderr: stderr}
	for _, part := range []func(context.Context) error{l.matches, l.costs, l.replicas, l.weights} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

type loader struct {
	options
	rig            *bench.Rig
	stdout, stderr io.Writer
}

// matches plays all paths against their limits, round by round.
func (l loader) matches(ctx context.Context) error {
	var all []*bench.Match
	for _, m := range l.rig.Matches() {
		if strings.Contains(m.Path.Name, l.only) {
			all = append(all, m)
		}
	}
	bare, err := bench.NewBare()
	if err != nil {
		return err
	}
	landing := l.rig.LandingMatch()
	for round := range l.rounds {
		fmt.Fprintf(l.stderr, "round %d of %d\n", round+1, l.rounds)
		for _, m := range all {
			if err := m.Play(ctx, wrk, time.Duration(l.seconds)*time.Second); err != nil {
				return err
			}
		}
		if l.landings > 0 {
			if err := landing.PlayLanding(ctx, bare, l.landings); err != nil {
				return err
			}
		}
	}
	bench.Table(l.stdout, append(all, landing))
	return nil
}

// costs counts what each request costs Redis.
func (l loader) costs(ctx context.Context) error {
	fmt.Fprintf(l.stdout, "\n%s\n", bench.CostHeader)
	for _, t := range l.rig.Targets() {
		c, err := l.rig.Cost(ctx, t, 1000)
		if err != nil {
			return err
		}
		fmt.Fprintln(l.stdout, c)
	}
	return nil
}

func (l loader) replicas(ctx context.Context) error {
	if l.options.replicas == "" {
		return nil
	}
	fmt.Fprintf(l.stdout, "\n%s\n", bench.GrowthHeader)
	single, err := l.rig.Single()
	if err != nil {
		return err
	}
	cluster, err := l.rig.NewCluster(ctx)
	if err != nil {
		return err
	}
	for _, b := range []*bench.Backend{single, cluster} {
		if err := l.replicasOn(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (l loader) replicasOn(ctx context.Context, b *bench.Backend) error {
	for text := range strings.SplitSeq(l.options.replicas, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("-replicas: %q is no number of replicas", text)
		}
		rows, err := l.rig.Replicas(ctx, b, n, time.Duration(l.seconds)*time.Second)
		if err != nil {
			return err
		}
		for _, row := range rows {
			fmt.Fprintln(l.stdout, row)
		}
	}
	return nil
}

// weights are the latency of a landing and the memory of the service.
func (l loader) weights(ctx context.Context) error {
	fmt.Fprint(l.stdout, "\n| what | reached | goal |\n| --- | ---: | --- |\n")
	if l.landings > 0 {
		landing, gateway, err := l.rig.Latency(ctx, l.landings)
		if err != nil {
			return err
		}
		ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
		fmt.Fprintf(l.stdout, "| a landing alone, p50, over the gateway's own %.2f ms | %.2f ms | < 3 ms |\n", ms(gateway), ms(landing-gateway))
	}
	if l.idle > 0 {
		each, err := l.rig.IdleConnection(ctx, l.idle)
		if err != nil {
			return err
		}
		fmt.Fprintf(l.stdout, "| memory for an idle connection, of %d | %.1f KiB | |\n", l.idle, float64(each)/(1<<10))
	}
	if l.sessions > 0 {
		g, err := l.rig.Growth(ctx, l.sessions)
		if err != nil {
			return err
		}
		mib := func(b int64) float64 { return float64(b) / (1 << 20) }
		fmt.Fprintf(l.stdout, "| RSS after %d checks of one session | %.1f MiB | |\n", l.sessions, mib(g.One))
		fmt.Fprintf(l.stdout, "| RSS after one check of each of %d sessions | %.1f MiB | no growth |\n", l.sessions, mib(g.Many))
		fmt.Fprintf(l.stdout, "| Redis, for each session with its index | %d bytes | |\n", g.Redis)
	}
	return nil
}

var (
	requestsIn = regexp.MustCompile(`(?m)^\s*(\d+) requests in ([0-9.]+)(ms|s|m),`)
	failures   = regexp.MustCompile(`(?m)^\s*(Non-2xx or 3xx responses|Socket errors): .*$`)
)

// wrk is the driver.
func wrk(ctx context.Context, t bench.Target, d time.Duration) (int, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	defer cancel()
	args := []string{"-t1", "-c32", "-d" + strconv.Itoa(int(d.Seconds())) + "s"}
	for _, line := range t.Header {
		args = append(args, "-H", line)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, "http://"+t.Addr+t.URI)...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return 0, 0, errors.New("wrk is missing: install Debian's package wrk")
	}
	if err != nil {
		return 0, 0, fmt.Errorf("wrk: %w", err)
	}
	if failed := failures.Find(out); failed != nil {
		return 0, 0, fmt.Errorf("%s: %s", t.Name, strings.TrimSpace(string(failed)))
	}
	found := requestsIn.FindSubmatch(out)
	if found == nil {
		return 0, 0, fmt.Errorf("wrk said: %s", out)
	}
	requests, err := strconv.Atoi(string(found[1]))
	if err != nil {
		return 0, 0, err
	}
	took, err := time.ParseDuration(string(found[2]) + string(found[3]))
	return requests, took, err
}
