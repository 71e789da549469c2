package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Cost is what one request costs Redis.
type Cost struct {
	Name       string
	Commands   map[string]float64 // by name; those inside of scripts too
	RoundTrips float64            // pieces that Redis read: a pipeline is one
	In, Out    float64            // bytes
}

// Cost counts what requests to a target cost Redis, from its own books. The connections are warm before it begins to
// count: it sends as many requests uncounted.
func (r *Rig) Cost(ctx context.Context, t Target, requests int) (Cost, error) {
	load := Load{Conns: 4, Requests: requests}
	single, err := r.Single()
	if err != nil {
		return Cost{}, err
	}
	if _, err := Drive(ctx, t, load); err != nil {
		return Cost{}, err
	}
	before, err := single.books(ctx)
	if err != nil {
		return Cost{}, err
	}
	if _, err := Drive(ctx, t, load); err != nil {
		return Cost{}, err
	}
	after, err := single.books(ctx)
	if err != nil {
		return Cost{}, err
	}
	each := func(name string) float64 { return (after[name] - before[name]) / float64(requests) }
	c := Cost{
		Name: t.Name, Commands: map[string]float64{}, In: each("total_net_input_bytes"), Out: each("total_net_output_bytes"),
		RoundTrips: each("total_reads_processed") - 1/float64(requests), // our own question
	}
	for name := range after {
		command, ok := strings.CutPrefix(name, "cmdstat_")
		// The cache's beats go on whether anybody asks or not.
		if n := each(name); ok && n > 0 && command != "info" && command != "publish" {
			c.Commands[command] = n
		}
	}
	return c, nil
}

// writes are the commands that change something.
var writes = []string{"eval", "set", "getdel", "del", "zadd", "zrem", "pexpire", "zremrangebyscore"}

// Writes is how many of the commands change something.
func (c Cost) Writes() float64 {
	n := 0.0
	for _, name := range writes {
		n += c.Commands[name]
	}
	return n
}

// String is a row of a Markdown table.
func (c Cost) String() string {
	names := make([]string, 0, len(c.Commands))
	for name, n := range c.Commands {
		names = append(names, fmt.Sprintf("%s %.2f", name, n))
	}
	slices.Sort(names)
	return fmt.Sprintf("| %s | %.2f | %s | %.0f / %.0f |", c.Name, c.RoundTrips, strings.Join(names, ", "), c.In, c.Out)
}

// CostHeader is the head of that table.
const CostHeader = "| request | Redis round trips | commands, also inside of scripts | bytes in / out |\n| --- | ---: | --- | ---: |"
