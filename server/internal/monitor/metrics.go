package monitor

import (
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// This file is the page /metrics: figures for Prometheus, in its text format or that of
// OpenMetrics, whatever the request accepts.

// Metric is one metric and its values. It is a gauge unless Counter or Untyped is set or its samples
// are histograms.
type Metric struct {
	Name    string // behind the prefix
	Help    string // a sentence
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
}

// Histogram counts observations by their size.
type Histogram struct {
	Count uint64
	Sum   float64
	UpTo  map[float64]uint64 // by upper bound: observations that are not larger
}

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

// metricBytes is about what one sample takes in memory, measured with 1000 of them.
const metricBytes = 512

// serveMetrics answers /metrics.
func (m *Monitor) serveMetrics(w http.ResponseWriter, r *http.Request) {
	gather := sync.OnceValues(m.gatherer().Gather)
	written := m.alone(r, func() (bytes int) {
		families, _ := gather() // an error is reported when the page is written
		for _, f := range families {
			bytes += len(f.Metric) * metricBytes
		}
		return bytes
	})
	if written != nil {
		defer written()
		page := promhttp.HandlerFor(prometheus.GathererFunc(gather), promhttp.HandlerOpts{EnableOpenMetrics: true})
		page.ServeHTTP(w, r)
	}
}

// newGatherer returns what /metrics is collected from: the server, the Go runtime and the process.
func (m *Monitor) newGatherer() prometheus.Gatherer {
	all := prometheus.NewRegistry()
	all.MustRegister(collector{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return all
}

// collector collects the metrics of the server.
type collector struct{ m *Monitor }

// Describe implements prometheus.Collector. It describes nothing beforehand: a reload may change
// the names.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	prefix := c.m.config.Settings().MetricsPrefix
	if prefix != "" {
		prefix += "_"
	}
	server := prometheus.Labels{"server_id": c.m.config.ServerID}
	for _, metric := range c.m.config.Metrics() {
		desc := prometheus.NewDesc(prefix+metric.Name, metric.Help, metric.Labels, server)
		for _, s := range metric.Samples {
			to <- s.metric(desc, metric.valueType())
		}
	}
}

// valueType returns what Prometheus is told about a metric that is no histogram.
func (m *Metric) valueType() prometheus.ValueType {
	switch {
	case m.Counter:
		return prometheus.CounterValue
	case m.Untyped:
		return prometheus.UntypedValue
	}
	return prometheus.GaugeValue
}

// metric returns the sample as the library wants it. Labels may be what clients and other servers
// call themselves, and must be valid UTF-8.
func (s *Sample) metric(desc *prometheus.Desc, kind prometheus.ValueType) prometheus.Metric {
	labels := make([]string, len(s.Labels))
	for i, l := range s.Labels {
		labels[i] = strings.ToValidUTF8(l, "�")
	}
	if s.Histogram != nil {
		return prometheus.MustNewConstHistogram(desc, s.Histogram.Count, s.Histogram.Sum, s.Histogram.UpTo, labels...)
	}
	return prometheus.MustNewConstMetric(desc, kind, s.Value, labels...)
}
