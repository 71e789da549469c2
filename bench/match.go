package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Goal is what a ratio shall be.
type Goal struct {
	AtMost bool // else at least
	Ratio  float64
}

func (g Goal) String() string {
	if g.AtMost {
		return fmt.Sprintf("≤ %.2f", g.Ratio)
	}
	return fmt.Sprintf("≥ %.2f", g.Ratio)
}

func (g Goal) met(ratio float64) bool {
	if g.AtMost {
		return ratio <= g.Ratio
	}
	return ratio >= g.Ratio
}

// Match is a path against its limit.
type Match struct {
	Path, Limit Target
	Rate, CPU   *Goal // nil: only told

	rates, cpus []float64
	path, limit []Sample
}

func atLeast(ratio float64) *Goal { return &Goal{Ratio: ratio} }
func atMost(ratio float64) *Goal  { return &Goal{AtMost: true, Ratio: ratio} }

// Matches are those that a driver with one fixed request can play: all but the landing.
func (r *Rig) Matches() []*Match {
	plain := r.verify(r.Plain, "`/auth/verify`")
	return []*Match{
		{Path: plain, Limit: r.get(), Rate: atLeast(0.85), CPU: atMost(1.2)},
		{Path: r.verify(r.Cached, "`/auth/verify`, cached"), Limit: r.get(), Rate: atLeast(2), CPU: atMost(0.55)},
		{Path: r.heads(), Limit: r.get()},
		{Path: r.verify(r.Asserted, "`/auth/verify`, assertion"), Limit: plain, Rate: atLeast(0.95)},
		{Path: r.session(), Limit: plain, Rate: atLeast(0.8)},
		{Path: r.hop(), Limit: r.empty(), Rate: atLeast(0.5)},
	}
}

// Play plays one round.
func (m *Match) Play(ctx context.Context, drive Driver, d time.Duration) error {
	// Whoever is first in one round is second in the next: a machine that slows down favours neither.
	pair := []*Target{&m.Path, &m.Limit}
	if len(m.rates)%2 == 1 {
		slices.Reverse(pair)
	}
	got := map[*Target]Sample{}
	for _, t := range pair {
		sample, err := measure(ctx, *t, drive, d)
		if err != nil {
			return err
		}
		got[t] = sample
	}
	m.add(got[&m.Path], got[&m.Limit])
	return nil
}

func (m *Match) add(path, limit Sample) {
	m.path, m.limit = append(m.path, path), append(m.limit, limit)
	if limit.Rate > 0 {
		m.rates = append(m.rates, path.Rate/limit.Rate)
	}
	if limit.CPU > 0 {
		m.cpus = append(m.cpus, float64(path.CPU)/float64(limit.CPU))
	}
}

// Ratios are the medians of the rounds: of the rate, and of the CPU for each request.
func (m *Match) Ratios() (rate, cpu float64) { return median(m.rates), median(m.cpus) }

func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Table prints matches as Markdown.
func Table(w io.Writer, matches []*Match) {
	fmt.Fprintln(w, "| path | held against | requests a second | ratio | goal | | CPU for each | ratio | goal | |")
	fmt.Fprintln(w, "| --- | --- | ---: | ---: | --- | --- | ---: | ---: | --- | --- |")
	for _, m := range matches {
		if len(m.path) == 0 {
			continue
		}
		rate, cpu := m.Ratios()
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", m.Path.Name, m.Limit.Name,
			both(m, func(s Sample) float64 { return s.Rate }, "%.0f"), verdict(rate, m.Rate),
			both(m, func(s Sample) float64 { return float64(s.CPU) / float64(time.Microsecond) }, "%.1f")+" µs", verdict(cpu, m.CPU))
	}
}

// both prints the medians of path and limit.
func both(m *Match, of func(Sample) float64, format string) string {
	mid := func(samples []Sample) float64 {
		var values []float64
		for _, s := range samples {
			values = append(values, of(s))
		}
		return median(values)
	}
	path, limit := mid(m.path), mid(m.limit)
	if limit == 0 { // not measured, as the rate of signatures
		return fmt.Sprintf(format, path)
	}
	return fmt.Sprintf(format+" : "+format, path, limit)
}

func verdict(ratio float64, g *Goal) string {
	if ratio == 0 {
		return " |  | "
	}
	cells := []string{fmt.Sprintf("%.2f", ratio), "", ""}
	if g != nil {
		cells[1], cells[2] = g.String(), "met"
		if !g.met(ratio) {
			cells[2] = "**not met**"
		}
	}
	return strings.Join(cells, " | ")
}
