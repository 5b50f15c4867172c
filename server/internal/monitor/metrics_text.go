package monitor

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// This file writes metrics in the two text formats that Prometheus reads, its own and OpenMetrics,
// byte by byte as its client library does. The library itself would be a fifth of the program,
// because it makes every page from protocol buffers.

// metricsFormat is a format of /metrics.
type metricsFormat struct {
	openMetrics string // its version, "" for the text format of Prometheus
	escaping    string // what the request says of names that our metrics do not have
}

// metricsFormatFor returns the format that a request prefers.
func metricsFormatFor(h http.Header) metricsFormat {
	f := metricsFormat{escaping: "underscores"}
	for _, a := range accepted(h, "Accept") {
		switch e := a.params["escaping"]; e {
		case "allow-utf-8", "underscores", "dots", "values":
			f.escaping = e
		}
		version := a.params["version"]
		switch {
		case a.value == "text/plain" && (version == "" || version == "0.0.4"):
			return f
		case a.value == "application/openmetrics-text" && (version == "" || version == "0.0.1" || version == "1.0.0"):
			f.openMetrics = version
			if version == "" {
				f.openMetrics = "0.0.1"
			}
			return f
		}
	}
	return f
}

// contentType returns the type that an answer names.
func (f metricsFormat) contentType() string {
	kind := "text/plain; version=0.0.4"
	if f.openMetrics != "" {
		kind = "application/openmetrics-text; version=" + f.openMetrics
	}
	return kind + "; charset=utf-8; escaping=" + f.escaping
}

// metricsPage is a page that is being written.
type metricsPage struct {
	text        []byte
	openMetrics bool
	yield       Yielder
}

// writeMetrics returns a page. It is sorted by name and by values of labels, and metrics without
// samples are not on it. The lists are sorted in place.
func writeMetrics(metrics []Metric, f metricsFormat) []byte {
	p := &metricsPage{openMetrics: f.openMetrics != ""}
	slices.SortStableFunc(metrics, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	for i := range metrics {
		if len(metrics[i].Samples) > 0 {
			p.metric(&metrics[i])
		}
	}
	if p.openMetrics {
		p.add("# EOF\n")
	}
	return p.text
}

// add appends text.
func (p *metricsPage) add(parts ...string) {
	for _, t := range parts {
		p.text = append(p.text, t...)
	}
}

// metric writes a metric: what it is, then its samples.
func (p *metricsPage) metric(m *Metric) {
	name, kind := m.Name, m.kind()
	help := helpEscaper
	if p.openMetrics {
		help = labelEscaper
		base, total := strings.CutSuffix(name, "_total")
		switch {
		case kind == "counter" && total:
			name = base
		case kind == "counter", kind == "untyped":
			kind = "unknown"
		}
	}
	p.add("# HELP ", name, " ", help.Replace(m.Help), "\n# TYPE ", name, " ", kind, "\n")
	if p.openMetrics && m.Unit != "" {
		p.add("# UNIT ", name, " ", m.Unit, "\n")
	}
	for _, s := range m.sorted() {
		p.sample(m.Name, s)
		p.yield.Step()
	}
}

// kind returns what the text format of Prometheus calls the type of a metric.
func (m *Metric) kind() string {
	switch s := m.Samples[0]; {
	case s.Histogram != nil:
		return "histogram"
	case s.Summary != nil:
		return "summary"
	case m.Counter:
		return "counter"
	case m.Untyped:
		return "untyped"
	}
	return "gauge"
}

// labeled is a sample with the text of its labels, in the order of their names.
type labeled struct {
	Sample
	values []string
	text   string // name="value",name="value"
}

// sorted returns the samples in the order of the values of their labels. Labels may be what clients
// and other servers call themselves, and must be valid UTF-8.
func (m *Metric) sorted() []labeled {
	order := make([]int, len(m.Labels))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(m.Labels[a], m.Labels[b]) })
	all := make([]labeled, len(m.Samples))
	for i, s := range m.Samples {
		var text []byte
		values := make([]string, len(order))
		for j, at := range order {
			values[j] = strings.ToValidUTF8(s.Labels[at], "�")
			if j > 0 {
				text = append(text, ',')
			}
			text = append(text, m.Labels[at]...)
			text = append(text, `="`...)
			text = append(text, labelEscaper.Replace(values[j])...)
			text = append(text, '"')
		}
		all[i] = labeled{s, values, string(text)}
	}
	slices.SortStableFunc(all, func(a, b labeled) int { return slices.Compare(a.values, b.values) })
	return all
}

// What is escaped in a help text and in the value of a label.
var (
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// sample writes the lines of a sample.
func (p *metricsPage) sample(name string, s labeled) {
	switch {
	case s.Histogram != nil:
		p.histogram(name, s.text, s.Histogram)
	case s.Summary != nil:
		for _, q := range s.Summary.Quantiles {
			p.line(name, "", s.text, `quantile="`+p.float(q.Share)+`"`, p.float(q.Value))
		}
		p.line(name, "_sum", s.text, "", p.float(s.Summary.Sum))
		p.line(name, "_count", s.text, "", p.count(s.Summary.Count))
	default:
		p.line(name, "", s.text, "", p.float(s.Value))
	}
}

// histogram writes the lines of a histogram.
func (p *metricsPage) histogram(name, labels string, h *Histogram) {
	bounds := make([]float64, 0, len(h.UpTo)+1)
	for b := range h.UpTo {
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	for _, b := range bounds {
		p.line(name, "_bucket", labels, `le="`+p.float(b)+`"`, p.count(h.UpTo[b]))
	}
	if _, there := h.UpTo[math.Inf(1)]; !there {
		p.line(name, "_bucket", labels, `le="+Inf"`, p.count(h.Count))
	}
	p.line(name, "_sum", labels, "", p.float(h.Sum))
	p.line(name, "_count", labels, "", p.count(h.Count))
}

// line writes one line. more is a label beside those of the sample, "" for none.
func (p *metricsPage) line(name, suffix, labels, more, value string) {
	p.add(name, suffix)
	if labels != "" || more != "" {
		between := ""
		if labels != "" && more != "" {
			between = ","
		}
		p.add("{", labels, between, more, "}")
	}
	p.add(" ", value, "\n")
}

// count returns a number of observations as the format writes it.
func (p *metricsPage) count(n uint64) string {
	if p.openMetrics {
		return strconv.FormatUint(n, 10)
	}
	return p.float(float64(n))
}

// float returns a number as the format writes it. OpenMetrics has a point or an exponent in each.
func (p *metricsPage) float(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1), math.IsNaN(v):
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if p.openMetrics && !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}
