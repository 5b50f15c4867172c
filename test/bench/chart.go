package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// This file draws the ratios of a run as a chart of bars, for pages: an SVG that is legible on
// light and on dark ground.

// chartBar is one bar: how many times better the broker under test is than the first peer.
type chartBar struct {
	label  string
	factor float64 // above 1 where it is better
	note   string  // what it reached
}

// chartMetric is something that bars are drawn for.
type chartMetric struct {
	metric metric
	title  string
	better func(ratio float64) float64
	note   func(value float64) string
}

// chartMetrics are what bars are drawn for, in groups. A scenario has the last of them that it
// measures: it is about that.
var chartMetrics = []chartMetric{
	{throughput, "Messages per second", func(r float64) float64 { return r }, func(v float64) string { return figure(v/1e6) + " M/s" }},
	{latency50, "Request and reply, median", func(r float64) float64 { return 1 / r }, func(v float64) string { return figure(v) + " µs" }},
	{bytesEach, "Memory for each of", func(r float64) float64 { return 1 / r }, func(v float64) string { return figure(v) + " B" }},
}

// bars are those of one group; NaN ratios have none.
func (r *report) bars(group int) (bars []chartBar) {
	m := chartMetrics[group]
	for _, row := range r.rows {
		if slices.ContainsFunc(chartMetrics[group+1:], func(later chartMetric) bool { return !math.IsNaN(row.value(0, later.metric)) }) {
			continue
		}
		if ratio := row.ratio(1, m.metric); !math.IsNaN(ratio) && ratio > 0 {
			bars = append(bars, chartBar{about(row.scenario), m.better(ratio), m.note(row.value(0, m.metric))})
		}
	}
	return bars
}

// about is what a scenario is, in words; its name if it is none of the table.
func about(name string) string {
	for _, sc := range scenarios() {
		if sc.name == name {
			return sc.about
		}
	}
	return name
}

// Measures of the chart, in pixels.
const (
	chartWidth = 900
	chartLeft  = 450 // where bars begin
	chartRoom  = 300 // of the longest bar
	chartRow   = 26
	chartHead  = 58
	chartGap   = 34 // a group's title
)

// chart draws the ratios to the first peer.
func (r *report) chart(now time.Time) string {
	var body strings.Builder
	most := 1.0
	for g := range chartMetrics {
		for _, b := range r.bars(g) {
			most = max(most, b.factor)
		}
	}
	y := chartHead
	for g, m := range chartMetrics {
		bars := r.bars(g)
		if len(bars) == 0 {
			continue
		}
		fmt.Fprintf(&body, "<text class=\"group\" x=\"20\" y=\"%d\">%s</text>\n", y+22, html.EscapeString(m.title))
		y += chartGap
		for _, b := range bars {
			width := int(math.Round(b.factor / most * chartRoom))
			fmt.Fprintf(&body, "<text class=\"label\" x=\"%d\" y=\"%d\">%s</text>", chartLeft-10, y+14, html.EscapeString(b.label))
			fmt.Fprintf(&body, "<rect class=\"bar\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"18\" rx=\"2\"/>", chartLeft, y, width)
			fmt.Fprintf(&body, "<text x=\"%d\" y=\"%d\">%s × <tspan class=\"note\">%s</tspan></text>\n",
				chartLeft+width+8, y+14, factor(b.factor), html.EscapeString(b.note))
			y += chartRow
		}
	}
	one := chartLeft + int(math.Round(chartRoom/most))
	fmt.Fprintf(&body, "<path class=\"one\" d=\"M%d %dV%d\"/><text class=\"note middle\" x=\"%d\" y=\"%d\">as %s</text>\n",
		one, chartHead+8, y, one, y+16, html.EscapeString(r.names[1]))
	fmt.Fprintf(&body, "<text class=\"note\" x=\"20\" y=\"%d\">%s</text>\n", y+40, html.EscapeString(r.origin(now)))
	return fmt.Sprintf(chartFrame, chartWidth, y+58, chartWidth, y+58, chartWidth-1, y+57, html.EscapeString(r.names[0]), html.EscapeString(r.names[1])) +
		body.String() + "</svg>\n"
}

// factor prints how many times better.
func factor(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// origin says what was measured, when and on what.
func (r *report) origin(now time.Time) string {
	text := fmt.Sprintf("%s %s and %s %s, %s, %s/%s, %d CPUs", r.names[0], cmp.Or(r.versions[0], "?"), r.names[1], cmp.Or(r.versions[1], "?"),
		now.Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if share := r.disturbance(); share > disturbed {
		text += fmt.Sprintf(", of which other processes used %.0f %%", share)
	}
	return text
}

// saveChart writes the chart to a file.
func (r *report) saveChart(path string) error {
	if err := os.WriteFile(path, []byte(r.chart(time.Now())), 0o644); err != nil {
		return fmt.Errorf("write chart: %w", err)
	}
	return nil
}

// chartFrame is what comes before the bars: sizes, colors for light and dark ground, and the title.
const chartFrame = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">
<style>
text { font: 13px system-ui, sans-serif; fill: #1a2230; }
.title { font-size: 16px; font-weight: 600; }
.group { font-weight: 600; }
.label { text-anchor: end; }
.note { font-size: 12px; fill: #51606f; }
.middle { text-anchor: middle; }
.paper { fill: #ffffff; stroke: #d5dbe3; }
.bar { fill: #1b5fc4; }
.one { stroke: #b34d00; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
	text { fill: #e6ebf2; }
	.note { fill: #a7b3c2; }
	.paper { fill: #161b22; stroke: #343d4a; }
	.bar { fill: #6ea3f5; }
	.one { stroke: #f0954c; }
}
</style>
<rect class="paper" x=".5" y=".5" width="%d" height="%d" rx="8"/>
<text class="title" x="20" y="34">How many times better %s is than %s</text>
`
