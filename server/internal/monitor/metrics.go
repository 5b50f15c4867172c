package monitor

import (
	"compress/gzip"
	"net/http"
	"slices"
)

// This file is the page /metrics: figures for Prometheus, in its text format or that of
// OpenMetrics, whatever the request accepts.

// Metric is one metric and its values. It is a gauge unless Counter or Untyped is set or its samples
// are histograms or summaries.
type Metric struct {
	Name    string // behind the prefix
	Help    string // a sentence
	Unit    string // of the value, if OpenMetrics should name it; the end of the name
	Counter bool   // it only grows
	Untyped bool   // a gauge whose name, which a page dictates, is that of a counter
	Labels  []string
	Samples []Sample
}

// Sample is one value of a metric, with one value for each of its labels.
type Sample struct {
	Labels    []string
	Value     float64
	Histogram *Histogram // in place of Value; nil for gauges and counters
	Summary   *Summary   // in place of Value; nil for gauges and counters
}

// Histogram counts observations by their size.
type Histogram struct {
	Count uint64
	Sum   float64
	UpTo  map[float64]uint64 // by upper bound: observations that are not larger
}

// Summary has quantiles of observations.
type Summary struct {
	Count     uint64
	Sum       float64
	Quantiles []Quantile // in ascending order
}

// Quantile is the value that a share of the observations does not exceed.
type Quantile struct{ Share, Value float64 }

// Number is what a metric may be made of. A time.Duration counts nanoseconds.
type Number interface {
	~int | ~int64 | ~uint32 | ~uint64 | ~float64
}

// Gauge returns a metric with one value, which may grow and shrink.
func Gauge[N Number](name, help string, v N) Metric {
	return Metric{Name: name, Help: help, Samples: []Sample{{Value: float64(v)}}}
}

// Counter returns a metric with one value, which only grows.
func Counter[N Number](name, help string, v N) Metric {
	m := Gauge(name, help, v)
	m.Counter = true
	return m
}

// Untyped is Gauge, for names that a page dictates and that end as those of counters do.
func Untyped[N Number](name, help string, v N) Metric {
	m := Gauge(name, help, v)
	m.Untyped = true
	return m
}

// Bool returns a truth as a value: 1 for true, else 0.
func Bool(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Text returns a metric that is always 1 and has a text in the label value.
func Text(name, help, text string) Metric {
	return Metric{Name: name, Help: help, Labels: []string{"value"}, Samples: []Sample{{Value: 1, Labels: []string{text}}}}
}

// serveMetrics answers /metrics.
func (m *Monitor) serveMetrics(w http.ResponseWriter, r *http.Request) {
	format := metricsFormatFor(r.Header)
	var body *Body
	var err error
	written := m.alone(r, func(b *Body) {
		body = b
		_, err = b.Write(writeMetrics(m.allMetrics(), format))
	})
	if written == nil {
		return
	}
	defer written()
	if err != nil {
		m.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", format.contentType())
	h.Add("Vary", "Accept")
	h.Add("Vary", "Accept-Encoding")
	if !accepts(r.Header, "Accept-Encoding", "gzip") {
		body.writeTo(w)
		return
	}
	h.Set("Content-Encoding", "gzip")
	zip := gzip.NewWriter(w)
	body.writeTo(zip)
	zip.Close()
}

// allMetrics returns the metrics of the server, with their prefix and its id, of the Go runtime and
// of the process.
func (m *Monitor) allMetrics() []Metric {
	prefix := m.config.Settings().MetricsPrefix
	if prefix != "" {
		prefix += "_"
	}
	all := m.config.Metrics()
	for i := range all {
		metric := &all[i]
		metric.Name = prefix + metric.Name
		metric.Labels = append(slices.Clip(metric.Labels), "server_id")
		for j := range metric.Samples {
			s := &metric.Samples[j]
			s.Labels = append(slices.Clip(s.Labels), m.config.ServerID)
		}
	}
	all = append(all, runtimeMetrics()...)
	if m.config.Process != nil {
		all = append(all, m.config.Process()...)
	}
	return all
}
