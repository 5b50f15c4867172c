package monitor

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// reference is what the client library of Prometheus writes.
func reference(t *testing.T, format expfmt.Format, from ...prometheus.Collector) string {
	t.Helper()
	all := prometheus.NewRegistry()
	all.MustRegister(from...)
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, format)
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	if c, ok := e.(expfmt.Closer); ok {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// inLibrary gives metrics to the client library.
type inLibrary []Metric

func (inLibrary) Describe(chan<- *prometheus.Desc) {}

func (c inLibrary) Collect(to chan<- prometheus.Metric) {
	for _, m := range c {
		desc := prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		for _, s := range m.Samples {
			labels := make([]string, len(s.Labels))
			for i, l := range s.Labels {
				labels[i] = strings.ToValidUTF8(l, "�")
			}
			switch {
			case s.Histogram != nil:
				to <- prometheus.MustNewConstHistogram(desc, s.Histogram.Count, s.Histogram.Sum, s.Histogram.UpTo, labels...)
			case s.Summary != nil:
				quantiles := map[float64]float64{}
				for _, q := range s.Summary.Quantiles {
					quantiles[q.Share] = q.Value
				}
				to <- prometheus.MustNewConstSummary(desc, s.Summary.Count, s.Summary.Sum, quantiles, labels...)
			case m.Counter:
				to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, s.Value, labels...)
			case m.Untyped:
				to <- prometheus.MustNewConstMetric(desc, prometheus.UntypedValue, s.Value, labels...)
			default:
				to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, s.Value, labels...)
			}
		}
	}
}

// randomMetrics makes metrics of all kinds, with texts and numbers that are hard to write.
func randomMetrics(r *rand.Rand) (all []Metric) {
	texts := []string{"", "a", "b", "a b", "é", "a\"b", `a\b`, "a\nb", "a\xffb", "\xff\xfe", `\n`, "z,{}=", "日本"}
	numbers := []float64{0, 1, -1, 2, 0.5, 1e21, 1e20, 123456789, 1e-7, -3.25, math.MaxUint64, math.Inf(1), math.Inf(-1), math.NaN(), math.Pi, 1e6, 1234567}
	label := []string{"zone", "a", "path", "Z", "_x", "server_id"}
	text := func() string { return texts[r.IntN(len(texts))] }
	number := func() float64 { return numbers[r.IntN(len(numbers))] }
	for i := range 1 + r.IntN(12) {
		m := Metric{Name: fmt.Sprintf("m_%c%d", 'a'+r.IntN(26), i), Help: text()}
		if r.IntN(2) == 0 {
			m.Name += "_total"
		}
		kind := r.IntN(5)
		m.Counter, m.Untyped = kind == 0, kind == 1
		r.Shuffle(len(label), func(i, j int) { label[i], label[j] = label[j], label[i] })
		m.Labels = append([]string{}, label[:r.IntN(len(label))]...)
		seen := map[string]bool{}
		for range r.IntN(8) {
			s := Sample{Value: number()}
			for range m.Labels {
				s.Labels = append(s.Labels, text())
			}
			key := strings.ToValidUTF8(strings.Join(s.Labels, "\x00"), "�")
			if seen[key] {
				continue
			}
			seen[key] = true
			switch kind {
			case 3:
				s.Histogram = &Histogram{Count: uint64(r.IntN(1000)), Sum: number(), UpTo: map[float64]uint64{0.1: 2, 1: 3, 2.5e-5: 1, 10: 1e6}}
				if r.IntN(3) == 0 {
					s.Histogram.UpTo[math.Inf(1)] = s.Histogram.Count
				}
			case 4:
				s.Summary = &Summary{Count: r.Uint64(), Sum: number(), Quantiles: []Quantile{{0, number()}, {0.5, 1}, {1, number()}}}
			}
			m.Samples = append(m.Samples, s)
		}
		all = append(all, m)
	}
	return all
}

func TestMetricsAreWrittenAsTheClientLibraryOfPrometheusWritesThem(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		metrics := randomMetrics(rand.New(rand.NewPCG(seed, 1)))
		for f, of := range map[metricsFormat]expfmt.FormatType{
			{}:                     expfmt.TypeTextPlain,
			{openMetrics: "1.0.0"}: expfmt.TypeOpenMetrics,
		} {
			want := reference(t, expfmt.NewFormat(of), inLibrary(metrics))
			if got := string(writeMetrics(slices.Clone(metrics), f)); got != want {
				t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
			}
		}
	}
}

// described returns the lines of a page that do not depend on the moment: all but the values.
func described(page string) (lines []string) {
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			line = line[:strings.LastIndexByte(line, ' ')]
		}
		lines = append(lines, line)
	}
	return lines
}

func TestMetricsOfTheRuntimeAreThoseOfTheClientLibrary(t *testing.T) {
	t.Parallel()
	more := collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile("^/gc/heap/live:bytes$")})
	for f, of := range map[metricsFormat]expfmt.FormatType{
		{}:                     expfmt.TypeTextPlain,
		{openMetrics: "1.0.0"}: expfmt.TypeOpenMetrics,
	} {
		got := described(string(writeMetrics(runtimeMetrics(), f)))
		want := described(reference(t, expfmt.NewFormat(of), collectors.NewGoCollector(more)))
		// The encoder of the test does not write units by itself.
		got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "# UNIT ") })
		want = slices.DeleteFunc(want, func(line string) bool { return strings.HasPrefix(line, "# UNIT ") })
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, ""), strings.Join(want, ""))
		}
	}
}

func TestTheFormatOfMetricsIsNegotiated(t *testing.T) {
	t.Parallel()
	const text, open = "text/plain; version=0.0.4; charset=utf-8; escaping=", "application/openmetrics-text; version="
	for _, tt := range []struct{ accept, want string }{
		{"", text + "underscores"},
		{"*/*", text + "underscores"},
		{"application/json", text + "underscores"},
		{"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5", text + "allow-utf-8"},
		{"text/plain;escaping=nonsense", text + "underscores"},
		{"application/openmetrics-text", open + "0.0.1; charset=utf-8; escaping=underscores"},
		{"application/openmetrics-text;version=2.0.0", text + "underscores"},
		{"Application/OpenMetrics-Text; Version=1.0.0", open + "1.0.0; charset=utf-8; escaping=underscores"},
		{"text/plain;q=0.3, application/openmetrics-text;version=1.0.0;q=0.5", open + "1.0.0; charset=utf-8; escaping=underscores"},
		{"text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.9", text + "underscores"},
		{"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.2", open + "1.0.0; charset=utf-8; escaping=allow-utf-8"},
		{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5", open + "1.0.0; charset=utf-8; escaping=underscores"},
		{";;,,=;q=x", text + "underscores"},
	} {
		if got := metricsFormatFor(http.Header{"Accept": {tt.accept}}).contentType(); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.accept, got, tt.want)
		}
	}
}
