package main

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// This file measures how a broker grows: the same scenario with more and more of one thing. What is
// printed is a table for pages and, drawn into a file, a curve for each.

// growth is a scenario that is repeated with more and more of one thing.
type growth struct {
	name, title string
	axis        string // what there is more of
	measure     metric // that is drawn
	also        metric // in the table, too
	points      []int
	at          func(n int) scenario // without name
}

// growths is the table of everything that grows, in the order of the report.
func growths() []growth {
	return []growth{
		{
			name: "size", title: "1 → 1, by size", axis: "bytes of payload", measure: throughput, also: serverCPU,
			points: []int{16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 8 << 20},
			at: func(n int) scenario {
				return scenario{launch: launch{config: "max_payload: 8MB\nmax_pending: 256MB\n"}, prepare: fanOut(1, n)}
			},
		},
		{
			name: "publishers", title: "n → n, each its own subject, 128 B", axis: "publishers", measure: throughput, also: serverCPU,
			points: []int{1, 2, 4, 8, 16, 32, 64},
			at:     func(n int) scenario { return scenario{prepare: pairs(n, 128)} },
		},
		{
			name: "subscribers", title: "1 → n that do not read meanwhile, 128 B", axis: "subscribers", measure: throughput, also: serverCPU,
			points: []int{1, 10, 100, 1000, 10_000},
			at: func(n int) scenario {
				return scenario{linux: true, launch: launch{config: "max_pending: 256MB\n"}, prepare: unreadOwn("bench.fan", "bench.fan", n, 128)}
			},
		},
		{
			name: "connections", title: "1 → 1, 128 B, beside n idle connections", axis: "connections", measure: throughput, also: bytesEach,
			points: []int{1, 10, 100, 1000, 5000, 17_500},
			at:     func(n int) scenario { return scenario{prepare: amongConnections(n)} },
		},
		{
			name: "subscriptions", title: "1 → 1, 128 B, among n subscriptions", axis: "subscriptions", measure: throughput, also: bytesEach,
			points: []int{10, 1000, 100_000, 1_000_000, 5_000_000},
			at:     func(n int) scenario { return scenario{prepare: amongSubscriptions(n, fanOut(1, 128))} },
		},
	}
}

// scenario is one point of the curve.
func (g *growth) scenario(n int) scenario {
	sc := g.at(n)
	sc.name, sc.about, sc.heavy = fmt.Sprintf("growth-%s/%d", g.name, n), fmt.Sprintf("%s: %d %s", g.title, n, g.axis), true
	return sc
}

// growthScenarios are all points of all curves.
func growthScenarios() (all []scenario) {
	for _, g := range growths() {
		for _, n := range g.points {
			all = append(all, g.scenario(n))
		}
	}
	return all
}

// amongConnections measures a flow from one publisher to one subscriber while n connections do
// nothing, and what they weigh.
func amongConnections(n int) func() runner {
	return func() runner {
		held, flow := idle(n), fanOut(1, 128)()
		return func(r *round) (measures, error) { return among(r, held, flow) }
	}
}

// amongSubscriptions measures a flow from one publisher to one subscriber while there are n other
// subscriptions, and what they weigh.
func amongSubscriptions(n int, prepare func() runner) func() runner {
	return func() runner {
		held, run := subscriptions(n, min(n, 10)), prepare()
		return func(r *round) (measures, error) { return among(r, held, run) }
	}
}

// among measures what is held first, and the flow beside it.
func among(r *round, held, flow runner) (measures, error) {
	var beside measures
	r.holding = func() (err error) {
		beside, err = flow(r)
		return err
	}
	defer func() { r.holding = nil }()
	m, err := held(r)
	if err != nil {
		return nil, err
	}
	beside[bytesEach] = m[bytesEach]
	return beside, nil
}

// printGrowth writes the tables of all curves that have been measured, as a page has them.
func (r *report) printGrowth(out io.Writer) {
	for _, g := range growths() {
		if !r.hasGrowth(&g) {
			continue
		}
		fmt.Fprintf(out, "\n%s:\n\n| %s |", g.title, g.axis)
		rule := "\n|---|"
		for _, k := range []metric{g.measure, g.also} {
			row := metricTable()[k]
			for _, name := range r.names {
				fmt.Fprintf(out, " %s, %s %s |", name, row.name, row.unit)
				rule += "---|"
			}
		}
		fmt.Fprintln(out, rule)
		for _, n := range g.points {
			row := r.result(g.scenario(n).name)
			if row == nil {
				continue
			}
			fmt.Fprintf(out, "| %s |", strings.TrimSuffix(strings.TrimSuffix(figure(float64(n)), ".00"), ".0"))
			for _, k := range []metric{g.measure, g.also} {
				for i := range r.names {
					fmt.Fprintf(out, " %s |", figure(row.value(i, k)))
				}
			}
			fmt.Fprintln(out)
		}
	}
	fmt.Fprintf(out, "\n%s\n", r.growthOrigin(time.Now()))
}

func (r *report) hasGrowth(g *growth) bool {
	for _, n := range g.points {
		if r.result(g.scenario(n).name) != nil {
			return true
		}
	}
	return false
}

// growthOrigin says what was measured, when and on what.
func (r *report) growthOrigin(now time.Time) string {
	var brokers []string
	for i, name := range r.names {
		brokers = append(brokers, name+" "+cmp.Or(r.versions[i], "?"))
	}
	return fmt.Sprintf("%s, %s, %s/%s, %d CPUs, of which other processes used %.0f %%.", strings.Join(brokers, ", "),
		now.Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), r.disturbance())
}

// Measures of the curves, in pixels.
const (
	panelWidth, panelHeight = 440, 250
	panelLeft, panelRight   = 62, 14
	panelTop, panelBottom   = 46, 40
)

// growthChart draws all curves, two panels in a row, both axes logarithmic.
func (r *report) growthChart(now time.Time) (string, error) {
	var body strings.Builder
	panels := 0
	for _, g := range growths() {
		if !r.hasGrowth(&g) {
			continue
		}
		x, y := panels%2*panelWidth, panels/2*panelHeight+28
		fmt.Fprintf(&body, "<g transform=\"translate(%d %d)\">\n", x, y)
		r.drawPanel(&body, &g)
		body.WriteString("</g>\n")
		panels++
	}
	if panels == 0 {
		return "", errors.New("nothing that grows was measured")
	}
	for i, name := range r.names {
		fmt.Fprintf(&body, "<text class=\"key broker%d\" x=\"%d\" y=\"24\">● %s</text>\n", i%len(brokerColors), 20+i*180, html.EscapeString(name))
	}
	height := (panels+1)/2*panelHeight + 60
	fmt.Fprintf(&body, "<text class=\"note\" x=\"20\" y=\"%d\">%s</text>\n", height-14, html.EscapeString(r.growthOrigin(now)))
	return growthHead(2*panelWidth, height) + body.String() + "</svg>\n", nil
}

// brokerColors are the colors of the curves on light and on dark ground.
var brokerColors = [...]struct{ light, dark string }{
	{"#1b5fc4", "#6ea3f5"}, {"#b34d00", "#f0954c"}, {"#1f7a4d", "#5fc796"}, {"#7a3fb0", "#bd93ec"},
}

// growthHead is what comes before the panels: size and colors.
func growthHead(width, height int) string {
	var light, dark strings.Builder
	for i, c := range brokerColors {
		fmt.Fprintf(&light, ".broker%d { fill: %s; stroke: %s; }\n", i, c.light, c.light)
		fmt.Fprintf(&dark, "\t.broker%d { fill: %s; stroke: %s; }\n", i, c.dark, c.dark)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">
<style>
text { font: 12px system-ui, sans-serif; fill: #1a2230; stroke: none; }
.title { font-size: 13px; font-weight: 600; }
.note { fill: #51606f; }
.tick { fill: #51606f; font-size: 11px; }
.paper { fill: #ffffff; stroke: #d5dbe3; }
.grid { stroke: #d5dbe3; fill: none; }
path.curve { fill: none; stroke-width: 2; }
text.key { stroke: none; font-size: 13px; }
%s@media (prefers-color-scheme: dark) {
	text { fill: #e6ebf2; }
	.note, .tick { fill: #a7b3c2; }
	.paper { fill: #161b22; stroke: #343d4a; }
	.grid { stroke: #343d4a; }
%s	path.curve { fill: none; }
}
</style>
<rect class="paper" x=".5" y=".5" width="%d" height="%d" rx="8"/>
<title>How the brokers grow</title>
`, width, height, width, height, light.String(), dark.String(), width-1, height-1)
}

// scale maps values to pixels by their logarithm.
type scale struct{ low, high, from, to float64 }

func newScale(values []float64, from, to float64) scale {
	s := scale{low: math.Inf(1), high: math.Inf(-1), from: from, to: to}
	for _, v := range values {
		s.low, s.high = min(s.low, math.Floor(math.Log10(v))), max(s.high, math.Ceil(math.Log10(v)))
	}
	if s.low == s.high {
		s.high++
	}
	return s
}

func (s scale) at(v float64) float64 {
	return s.from + (math.Log10(v)-s.low)/(s.high-s.low)*(s.to-s.from)
}

// drawPanel draws the curves of one growth.
func (r *report) drawPanel(out *strings.Builder, g *growth) {
	var xs, ys []float64
	for _, n := range g.points {
		if row := r.result(g.scenario(n).name); row != nil {
			xs = append(xs, float64(n))
			for i := range r.names {
				if v := row.value(i, g.measure); v > 0 { // not NaN
					ys = append(ys, v)
				}
			}
		}
	}
	fmt.Fprintf(out, "<text class=\"title\" x=\"20\" y=\"22\">%s</text>\n", html.EscapeString(g.title))
	fmt.Fprintf(out, "<text class=\"note\" x=\"20\" y=\"38\">%s %s</text>\n", metricTable()[g.measure].name, html.EscapeString(metricTable()[g.measure].unit))
	fmt.Fprintf(out, "<text class=\"note\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", (panelLeft+panelWidth)/2, panelHeight-6, html.EscapeString(g.axis))
	if len(ys) == 0 {
		return
	}
	x := newScale(xs, panelLeft, panelWidth-panelRight)
	y := newScale(ys, panelHeight-panelBottom, panelTop)
	for e := x.low; e <= x.high; e++ {
		at := x.at(math.Pow(10, e))
		fmt.Fprintf(out, "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
			at, panelTop, panelHeight-panelBottom, at, panelHeight-panelBottom+14, power(e))
	}
	for e := y.low; e <= y.high; e++ {
		at := y.at(math.Pow(10, e))
		fmt.Fprintf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			panelLeft, at, panelWidth-panelRight, panelLeft-6, at+4, power(e))
	}
	for i := range r.names {
		var path, dots strings.Builder
		for _, n := range g.points {
			row := r.result(g.scenario(n).name)
			if row == nil || !(row.value(i, g.measure) > 0) {
				continue
			}
			px, py := x.at(float64(n)), y.at(row.value(i, g.measure))
			verb := "L"
			if path.Len() == 0 {
				verb = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", verb, px, py)
			fmt.Fprintf(&dots, "<circle class=\"broker%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>", i%len(brokerColors), px, py)
		}
		fmt.Fprintf(out, "<path class=\"broker%d curve\" d=\"%s\"/>%s\n", i%len(brokerColors), path.String(), dots.String())
	}
}

// power prints a power of ten.
func power(e float64) string {
	const thousand, million, billion = 3, 6, 9
	n := int(e)
	switch {
	case n < thousand:
		return strconv.Itoa(int(math.Pow10(n)))
	case n < million:
		return strconv.Itoa(int(math.Pow10(n-thousand))) + " k"
	case n < billion:
		return strconv.Itoa(int(math.Pow10(n-million))) + " M"
	}
	return strconv.Itoa(int(math.Pow10(n-billion))) + " G"
}

// saveGrowth writes the curves to a file.
func (r *report) saveGrowth(path string) error {
	text, err := r.growthChart(time.Now())
	if err != nil {
		return fmt.Errorf("draw curves: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("draw curves: %w", err)
	}
	return nil
}
