package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// metric is something that is measured; metricTable describes it.
type metric int

// What a round may measure. Each is per message that reaches a subscriber, where there are
// subscribers, and otherwise per message published; or per connection, or per subscription.
const (
	throughput metric = iota
	latency50
	latency99
	latency999
	keptShare // of the throughput, beside something else
	loadRate  // what others do meanwhile: messages, operations, connections
	timeEach
	bytesEach
	serverCPU
	peakMemory
	driverCPU
	othersCPU // of the machine, in the measured window
	metricCount
)

// measures is what one round found out; what it does not measure is absent.
type measures map[metric]float64

// metricRow says how a metric is shown.
type metricRow struct {
	name, unit string
}

// metricTable has a row for every metric.
func metricTable() [metricCount]metricRow {
	return [metricCount]metricRow{
		throughput: {"throughput", "/s"},
		latency50:  {"latency p50", "µs"},
		latency99:  {"latency p99", "µs"},
		latency999: {"latency p99.9", "µs"},
		keptShare:  {"throughput kept", "%"},
		loadRate:   {"load", "/s"},
		timeEach:   {"time each", "ns"},
		bytesEach:  {"memory each", "B"},
		serverCPU:  {"server cpu", "ns"},
		peakMemory: {"peak memory", "MiB"},
		driverCPU:  {"driver cpu", "ns"},
		othersCPU:  {"others' cpu", "%"},
	}
}

// report collects what was measured.
type report struct {
	names    []string // of the brokers: the one under test first
	paths    []string
	versions []string
	rows     []*result // in the order they were measured
}

// result is one scenario with all its rounds.
type result struct {
	scenario string
	values   [][metricCount][]float64 // per broker and metric, by round; NaN where a round failed
	errs     []error                  // per broker, the first
}

// newReport names the brokers after their files, and numbers those that would be called the same.
func newReport(brokers []string) *report {
	r := &report{paths: brokers, versions: make([]string, len(brokers))}
	seen := map[string]int{}
	for _, path := range brokers {
		name := filepath.Base(path)
		seen[name]++
		if n := seen[name]; n > 1 {
			name = fmt.Sprintf("%s#%d", name, n)
		}
		r.names = append(r.names, name)
	}
	return r
}

// setVersion keeps what a broker calls its version.
func (r *report) setVersion(broker int, version string) {
	if version != "" {
		r.versions[broker] = version
	}
}

// add files one round of a scenario.
func (r *report) add(name string, broker, round int, m measures, err error) {
	row := r.result(name)
	if row == nil {
		n := len(r.names)
		row = &result{scenario: name, values: make([][metricCount][]float64, n), errs: make([]error, n)}
		r.rows = append(r.rows, row)
	}
	if err != nil && row.errs[broker] == nil {
		row.errs[broker] = fmt.Errorf("%s: %s, round %d: %w", name, r.names[broker], round+1, err)
	}
	for k := range metricCount {
		v, ok := m[k]
		if !ok {
			v = math.NaN()
		}
		row.values[broker][k] = append(row.values[broker][k], v)
	}
}

// result finds a scenario, or nil.
func (r *report) result(name string) *result {
	for _, row := range r.rows {
		if row.scenario == name {
			return row
		}
	}
	return nil
}

// value is the median of what was measured, NaN if nothing was.
func (row *result) value(broker int, k metric) float64 {
	var known []float64
	for _, v := range row.values[broker][k] {
		if !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	return median(known)
}

// ratio is the median of the rounds' ratios of the broker under test to a peer, NaN if there are
// none.
func (row *result) ratio(peer int, k metric) float64 {
	return median(ratios(row.values[0][k], row.values[peer][k]))
}

// failures lists what went wrong, one text per scenario and broker.
func (r *report) failures() []string {
	var out []string
	for _, row := range r.rows {
		for _, err := range row.errs {
			if err != nil {
				out = append(out, err.Error())
			}
		}
	}
	return out
}

// print writes the table.
func (r *report) print(out io.Writer) {
	for i, name := range r.names {
		fmt.Fprintf(out, "%s: %s, version %s\n", name, r.paths[i], r.versions[i])
	}
	fmt.Fprintln(out, "Medians over the rounds; a ratio is the first broker's value divided by the peer's, round by round.")
	head := []string{"scenario", "measure", "unit", r.names[0]}
	for _, name := range r.names[1:] {
		head = append(head, name, "ratio")
	}
	lines := [][]string{head}
	for _, row := range r.rows {
		lines = append(lines, r.lines(row)...)
	}
	writeAligned(out, lines)
	if share := r.disturbance(); share > disturbed {
		fmt.Fprintf(out, "Other processes used %.0f %% of the CPUs meanwhile: "+
			"trust CPU and memory, and repeat what is per second on a quiet machine.\n", share)
	}
}

// disturbed is from how many percent of the CPUs on other processes are worth a word.
const disturbed = 5

// disturbance is how many percent of the CPUs other processes took, at the median of all measured
// windows.
func (r *report) disturbance() float64 {
	var all []float64
	for _, row := range r.rows {
		for i := range r.names {
			if v := row.value(i, othersCPU); !math.IsNaN(v) {
				all = append(all, v)
			}
		}
	}
	return median(all)
}

// lines are the lines of the table for one scenario; only the first names it.
func (r *report) lines(row *result) [][]string {
	var out [][]string
	for k, m := range metricTable() {
		if cells, known := r.cells(row, metric(k)); known && metric(k) != othersCPU {
			out = append(out, append([]string{"", m.name, m.unit}, cells...))
		}
	}
	for i, err := range row.errs {
		if err != nil {
			out = append(out, []string{"", "failed: " + r.names[i]})
		}
	}
	out[0][0] = row.scenario
	return out
}

// textColumns is how many columns of the table are set to the left; the others are numbers.
const textColumns = 3

// writeAligned writes lines of cells so that columns line up.
func writeAligned(out io.Writer, lines [][]string) {
	var widths []int
	for _, line := range lines {
		for i, cell := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < textColumns {
				b.WriteString(cell + pad + "  ")
				continue
			}
			b.WriteString(pad + cell + "  ")
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
}

// cells is one line of the table from the first broker on, and whether anything is known.
func (r *report) cells(row *result, k metric) (cells []string, known bool) {
	for i := range r.names {
		v := row.value(i, k)
		known = known || !math.IsNaN(v)
		cells = append(cells, figure(v))
		if i > 0 {
			cells = append(cells, quotient(row.ratio(i, k)))
		}
	}
	return cells, known
}

// figure prints a number with at least three significant digits, thousands set apart.
func figure(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// quotient prints a ratio.
func quotient(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

// The file that -json writes.
type (
	jsonReport struct {
		Brokers []jsonBroker `json:"brokers"`
		Results []jsonResult `json:"results"`
	}
	jsonBroker struct {
		Name    string `json:"name"`
		Path    string `json:"path"`
		Version string `json:"version"`
	}
	jsonResult struct {
		Scenario string     `json:"scenario"`
		Measure  string     `json:"measure"`
		Unit     string     `json:"unit"`
		Rounds   [][]number `json:"rounds"`  // per broker
		Medians  []number   `json:"medians"` // per broker
		Ratios   []number   `json:"ratios"`  // per peer
	}
)

// number is null in JSON where nothing was measured.
type number float64

// MarshalJSON writes NaN as null.
func (n number) MarshalJSON() ([]byte, error) {
	if v := float64(n); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return json.Marshal(v)
	}
	return []byte("null"), nil
}

// save writes every value of every round to a file.
func (r *report) save(path string) error {
	var j jsonReport
	for i, name := range r.names {
		j.Brokers = append(j.Brokers, jsonBroker{name, r.paths[i], r.versions[i]})
	}
	for _, row := range r.rows {
		for k, m := range metricTable() {
			if _, known := r.cells(row, metric(k)); known {
				j.Results = append(j.Results, r.jsonResult(row, metric(k), m))
			}
		}
	}
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// jsonResult is one line of the table with its rounds.
func (r *report) jsonResult(row *result, k metric, m metricRow) jsonResult {
	out := jsonResult{Scenario: row.scenario, Measure: m.name, Unit: m.unit}
	for i := range r.names {
		var rounds []number
		for _, v := range row.values[i][k] {
			rounds = append(rounds, number(v))
		}
		out.Rounds = append(out.Rounds, rounds)
		out.Medians = append(out.Medians, number(row.value(i, k)))
		if i > 0 {
			out.Ratios = append(out.Ratios, number(row.ratio(i, k)))
		}
	}
	return out
}
