package soak

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// This file has the curve of what servers hold: its growth, as a table and as an SVG.

// sample is what one server holds after a round, without clients.
type sample struct {
	at                         time.Duration // since the first round began
	server                     int
	connections, subscriptions int
	pending                    int64 // bytes queued
	goroutines, files          int
	heap                       int64 // bytes that the last collection found in use
	resident                   int64 // bytes, of which some are pages of files: the code that has run so far
	anonymous                  int64 // bytes of it that are no pages of files: all that the process has taken
	stacks                     int64 // bytes of goroutine stacks
	free                       int64 // bytes of the heap that the runtime keeps for what comes
	between                    int64 // bytes of the heap that are free between objects
	records                    int64 // bytes of the runtime's records of what profiles have sampled
	runtime                    int64 // bytes of its other records
	cpu                        time.Duration
}

// memory is a measure of memory of a sample.
type memory func(sample) int64

func ofHeap(s sample) int64     { return s.heap }
func ofResident(s sample) int64 { return s.resident }

// ofAnonymous leaves out pages of files, which the system takes away and brings back.
func ofAnonymous(s sample) int64 { return s.anonymous }

// growth returns by how many bytes an hour a measure grows: the median of the slopes between all
// pairs of samples (Theil-Sen), which single outliers do not change.
func growth(all []sample, of memory) float64 {
	var slopes []float64
	for i, b := range all {
		for _, a := range all[:i] {
			if hours := (b.at - a.at).Hours(); hours > 0 {
				slopes = append(slopes, float64(of(b)-of(a))/hours)
			}
		}
	}
	return median(slopes)
}

// median returns the middle of values, 0 if there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// typical returns the median of a measure.
func typical(all []sample, of memory) float64 {
	values := make([]float64, 0, len(all))
	for _, s := range all {
		values = append(values, float64(of(s)))
	}
	return median(values)
}

// ofServer returns the samples of one server.
func ofServer(all []sample, server int) (some []sample) {
	for _, s := range all {
		if s.server == server {
			some = append(some, s)
		}
	}
	return some
}

// since returns the samples from a time on.
func since(all []sample, at time.Duration) []sample {
	return slices.DeleteFunc(slices.Clone(all), func(s sample) bool { return s.at < at })
}

// periodOf returns of how long a time of a run the lowest sample counts.
func periodOf(ran time.Duration) time.Duration { return min(5*time.Minute, ran/6) }

// lowest returns the sample of each period in which a measure is lowest: garbage, and memory that
// the runtime keeps for what comes, are there at one moment and not at the next, but what is held
// always is.
func lowest(all []sample, of memory, period time.Duration) (some []sample) {
	end := time.Duration(-1)
	for _, s := range all {
		if s.at > end {
			some, end = append(some, s), s.at+period
		} else if last := &some[len(some)-1]; of(s) < of(*last) {
			*last = s
		}
	}
	return some
}

// thinned returns at most n of the samples, with the first and the last.
func thinned(all []sample, n int) []sample {
	if len(all) <= n {
		return all
	}
	some := make([]sample, 0, n)
	for i := range n {
		some = append(some, all[i*(len(all)-1)/(n-1)])
	}
	return some
}

// table is the curve in figures, for each server some rows.
func table(all []sample) string {
	var b strings.Builder
	b.WriteString("| at | server | heap MB | resident MB | anonymous MB | stacks MB | free MB | between MB | records MB | runtime MB | goroutines | descriptors | subscriptions |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for i := range servers {
		for _, s := range thinned(ofServer(all, i), 12) {
			fmt.Fprintf(&b, "| %v | %d | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %d | %d | %d |\n", s.at.Round(time.Second), i, mega(s.heap), mega(s.resident),
				mega(s.anonymous), mega(s.stacks), mega(s.free), mega(s.between), mega(s.records), mega(s.runtime), s.goroutines, s.files, s.subscriptions)
		}
	}
	return b.String()
}

func mega(n int64) float64 { return float64(n) / 1e6 }

// Measures of the chart, in pixels.
const (
	chartWidth, chartHeight = 900, 320
	chartMargin             = 60
)

// svg draws memory over time: of each server a line for the resident memory, and a dashed one for
// the heap.
func svg(all []sample) string {
	var last time.Duration
	var most int64
	for _, s := range all {
		last, most = max(last, s.at), max(most, s.resident, s.heap)
	}
	x := func(s sample) float64 {
		return chartMargin + (chartWidth-2*chartMargin)*s.at.Seconds()/max(1, last.Seconds())
	}
	y := func(n int64) float64 {
		return chartHeight - chartMargin - (chartHeight-2*chartMargin)*float64(n)/float64(max(1, most))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="24">Memory of three servers over %v: resident, and the heap (dashed)</text>`+"\n", chartMargin, last.Round(time.Second))
	for i := range 5 {
		n := most * int64(i) / 4
		fmt.Fprintf(&b, `<path d="M%d %.0fH%d" stroke="#ddd"/><text x="8" y="%.0f">%.1f MB</text>`+"\n", chartMargin, y(n), chartWidth-chartMargin, y(n)+4, mega(n))
	}
	for i, colour := range []string{"#0b6", "#06c", "#c50"} {
		for _, line := range []struct {
			of   memory
			dash string
		}{{ofResident, ""}, {ofHeap, ` stroke-dasharray="4 3"`}} {
			var points []string
			for _, s := range ofServer(all, i) {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(s), y(line.of(s))))
			}
			fmt.Fprintf(&b, `<polyline fill="none" stroke="%s"%s points="%s"/>`+"\n", colour, line.dash, strings.Join(points, " "))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func TestGrowthIsTheMedianOfTheSlopes(t *testing.T) {
	t.Parallel()
	var all []sample
	for i := range 61 {
		s := sample{at: time.Duration(i) * time.Minute, heap: 1e6 + int64(i)*1000, resident: 20e6}
		if i%10 == 5 {
			s.heap, s.resident = 9e6, 90e6 // outliers
		}
		all = append(all, s)
	}
	if got := growth(all, ofHeap); math.Abs(got-60_000) > 1000 {
		t.Errorf("the heap grows by %.0f bytes an hour, want 60000", got)
	}
	if got := growth(all, ofResident); got != 0 {
		t.Errorf("resident memory grows by %.0f bytes an hour, want 0", got)
	}
	if got := since(all, 50*time.Minute); len(got) != 11 || got[0].at != 50*time.Minute {
		t.Errorf("since 50m: %+v", got)
	}
	if got := lowest(all, ofHeap, periodOf(time.Hour)); len(got) != 11 || got[0].heap != 1e6 || got[1].at != 6*time.Minute || got[10].heap != 1_060_000 {
		t.Errorf("the lowest of each period: %+v", got)
	}
	if got := lowest(all[:3], ofHeap, periodOf(2*time.Minute)); len(got) != 3 {
		t.Errorf("a short run has %d periods, want one for each sample", len(got))
	}
	if got := growth(all[:1], ofHeap); got != 0 {
		t.Errorf("one sample grows by %.0f bytes an hour", got)
	}
	if got := thinned(all, 7); len(got) != 7 || got[0].at != 0 || got[6].at != time.Hour {
		t.Errorf("7 of 61 samples: %+v", got)
	}
	if text := svg(all); strings.Count(text, "<polyline") != 2*servers || !strings.HasSuffix(text, "</svg>\n") {
		t.Errorf("svg: %s", text)
	}
	if text := table(all); strings.Count(text, "\n") != 2+12 {
		t.Errorf("table: %s", text)
	}
}
