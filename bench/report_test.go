package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// block prints a part of the page, or replaces it there: what stands between its two comments.
func block(name, text string) {
	if *page == "" {
		fmt.Printf("\n%s", text)
		return
	}
	begin := "<!-- bench " + name + " -->\n"
	before, rest, begins := strings.Cut(string(must(os.ReadFile(*page))), begin)
	_, after, ends := strings.Cut(rest, "<!-- end -->")
	if !begins || !ends {
		panic(*page + " has no block " + name)
	}
	check(os.WriteFile(*page, []byte(before+begin+text+"<!-- end -->"+after), 0o644))
}

// verdict returns a ratio and its goal as two cells. At most is the goal of a cost, at least that of a rate.
func verdict(ratio, goal float64, atMost bool) string {
	if goal == 0 {
		return fmt.Sprintf(" %.2f | |", ratio)
	}
	sign, met := "≥", ratio >= goal
	if atMost {
		sign, met = "≤", ratio <= goal
	}
	return fmt.Sprintf(" %.2f | %s %v %s |", ratio, sign, goal, map[bool]string{true: "met", false: "**not met**"}[met])
}

// table reports the medians of rows and of their ratios.
func table(name string, rows []row, samples map[load][]sample) {
	text := "| path | against | connections | rate per second | ratio | goal | CPU per request | ratio | goal | p50 | ratio | goal |\n" +
		"| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | --- | ---: | ---: | --- |\n"
	for _, r := range rows {
		path, limit := samples[r.path], samples[r.limit]
		text += fmt.Sprintf("| %s | %s | %d |", r.path.name, r.limit.name, r.path.conns)
		for of, format := range []string{" %.0f : %.0f |", " %.1f : %.1f µs |", " %.2f : %.2f ms |"} {
			if of == cpu && r.path.pid == 0 {
				text += " | | |"
				continue
			}
			goal := []float64{r.rateGoal, r.cpuGoal, r.p50Goal}[of]
			text += fmt.Sprintf(format, median(path, of), median(limit, of)) + verdict(ratio(path, limit, of), goal, of != rate)
		}
		text += "\n"
	}
	block(name, text)
}

// palette is readable on white and on black, also for people who do not tell red from green.
var palette = []color.Color{color.RGBA{0x80, 0x80, 0x80, 0xff}, color.RGBA{0x1f, 0x8a, 0xd6, 0xff}, color.RGBA{0xe6, 0x8a, 0x00, 0xff}, color.RGBA{0xc7, 0x5b, 0xb0, 0xff}}

// panel is one plot of a chart: a line for each name, over the same values of x.
type panel struct {
	title, x string
	at       []int
	names    []string
	values   [][]float64
}

// panels returns what samples say of the targets over the number of connections.
func panels(targets []*target, conns []int, samples map[load][]sample, titles map[int]string) (all []panel) {
	for of := range 4 {
		if titles[of] == "" {
			continue
		}
		p := panel{title: titles[of], x: "connections", at: conns}
		for _, t := range targets {
			var values []float64
			for _, n := range conns {
				values = append(values, median(samples[load{t, n}], of))
			}
			p.names, p.values = append(p.names, t.name), append(p.values, values)
		}
		all = append(all, p)
	}
	return all
}

// chart writes panels side by side as NAME.svg beside the page. Text and axes take the color of the reader's theme.
func chart(name string, panels ...panel) {
	const width, height = 380, 280
	canvas := vgsvg.New(vg.Points(float64(width*len(panels))), vg.Points(height))
	for i, of := range panels {
		p := plot.New()
		p.Title.Text, p.X.Label.Text, p.BackgroundColor, p.Legend.Padding = of.title, of.x, nil, 2
		p.X.Scale, p.Legend.Top, p.Legend.Left, p.Y.Min = plot.LogScale{}, true, true, 0
		var ticks []plot.Tick
		for _, x := range of.at {
			ticks = append(ticks, plot.Tick{Value: float64(x), Label: strconv.Itoa(x)})
		}
		p.X.Tick.Marker = plot.ConstantTicks(ticks)
		for n, values := range of.values {
			var points plotter.XYs
			for j, y := range values {
				points = append(points, plotter.XY{X: float64(of.at[j]), Y: y})
			}
			line, dots, err := plotter.NewLinePoints(points)
			check(err)
			line.Color, line.Width, dots.Color, dots.Shape = palette[n], vg.Points(2), palette[n], draw.CircleGlyph{}
			p.Add(line, dots)
			p.Legend.Add(of.names[n], line)
		}
		p.Y.Min, p.Y.Max = 0, p.Y.Max*1.4 // room for the legend
		left, area := vg.Points(float64(i*width)), draw.New(canvas)
		p.Draw(draw.Crop(area, left+6, left+vg.Points(width-10)-area.Size().X, 6, -6))
	}
	var svg bytes.Buffer
	must(canvas.WriteTo(&svg))
	const themes = "<style>svg{--ink:#1f2328}text{fill:var(--ink)}@media(prefers-color-scheme:dark){svg{--ink:#e6edf3}}</style>\n"
	text := strings.NewReplacer("stroke:#000000", "stroke:var(--ink)", "font-family:Liberation Serif", "font-family:sans-serif").Replace(svg.String())
	text = strings.Replace(text, "<g transform", themes+"<g transform", 1)
	if dir := strings.TrimSuffix(*page, ".md"); dir != "" {
		check(os.MkdirAll(dir, 0o755))
		check(os.WriteFile(filepath.Join(dir, name+".svg"), []byte(text), 0o644))
	}
}
