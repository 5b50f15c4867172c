package server

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// This file is the page /metrics: the other pages as numbers for Prometheus, in
// its text format or that of OpenMetrics, whatever the request accepts. Which
// numbers there are is in metrics_rows.go.
//
// There are series for the server, for each route and for each address of the
// mesh, but none for single clients, whose number and names anybody can choose:
// of them there are sums, and /connz tells more.

// HandleMetrics answers /metrics.
func (s *Server) HandleMetrics(w http.ResponseWriter, r *http.Request) {
	gather := sync.OnceValues(s.mon.metrics().Gather)
	if s.largePage(r, func() { gather() }) {
		page := promhttp.HandlerFor(prometheus.GathererFunc(gather), promhttp.HandlerOpts{EnableOpenMetrics: true})
		page.ServeHTTP(w, r)
	}
}

// newMetrics returns what /metrics is collected from: the server, the Go runtime
// and the process.
func newMetrics(s *Server) prometheus.Gatherer {
	all := prometheus.NewRegistry()
	all.MustRegister(metricsOf{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return all
}

// metricsOf collects the metrics of a server.
type metricsOf struct{ s *Server }

// Describe implements prometheus.Collector. It tells nothing beforehand: names
// change with the settings.
func (metricsOf) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m metricsOf) Collect(to chan<- prometheus.Metric) {
	z := newScrape(m.s)
	for i := range metricRows {
		row := &metricRows[i]
		desc := prometheus.NewDesc(z.fullName(row.name), row.help, row.labels, z.server)
		row.read(z, func(v float64, labels ...string) {
			for i := range labels {
				labels[i] = strings.ToValidUTF8(labels[i], "�")
			}
			to <- prometheus.MustNewConstMetric(desc, row.kind, v, labels...)
		})
	}
	latency := prometheus.NewDesc(z.fullName("delivery_latency_seconds"),
		"Time from reading a message until the socket of a receiver took it, of a sample of all messages.", []string{"to"}, z.server)
	to <- m.s.latency.clients.metric(latency, "client")
	to <- m.s.latency.routes.metric(latency, "route")
}

func (l *latencies) metric(desc *prometheus.Desc, to string) prometheus.Metric {
	count, sum, upTo := l.read()
	return prometheus.MustNewConstHistogram(desc, count, sum.Seconds(), upTo, to)
}

// metricRow is one metric: its name behind the prefix, what it says, and how it
// is read from a scrape, once for each combination of labels.
type metricRow struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	read   func(*scrape, func(v float64, labels ...string))
}

// scrape is what one request for /metrics is answered from.
type scrape struct {
	s       *Server
	prefix  string
	server  prometheus.Labels // on every metric
	varz    *Varz
	conns   connTotals
	table   *SublistStats
	routes  []routeState
	targets []targetState
}

func newScrape(s *Server) *scrape {
	z := &scrape{s: s, prefix: s.options().MetricsPrefix, server: prometheus.Labels{"server_id": s.id}}
	z.varz, _ = s.Varz(nil) // never fails
	z.conns = s.connTotals()
	z.table = s.sublistStats()
	z.routes, z.targets = s.cluster.routeStates(false), s.cluster.targetStates()
	return z
}

// fullName returns a name as it is shown.
func (z *scrape) fullName(name string) string {
	if z.prefix == "" {
		return name
	}
	return z.prefix + "_" + name
}

// connTotals are sums over the clients that are connected.
type connTotals struct {
	clients           int
	subscriptions     int
	inMsgs, inBytes   int64
	outMsgs, outBytes int64
	pending           int64
	lagging           int           // clients with pending bytes
	pendingMost       int64         // of one client
	pendingFor        time.Duration // of the client that lags longest
}

// connTotals adds up the clients. It takes each one's locks for a moment, as
// /connz does, but keeps nothing of them.
func (s *Server) connTotals() (sum connTotals) {
	var p pace
	for _, c := range s.clients.all() {
		p.step()
		out := c.out.stats()
		sum.clients++
		sum.subscriptions += c.subCount()
		sum.inMsgs += c.inMsgs.Load()
		sum.inBytes += c.inBytes.Load()
		sum.outMsgs += out.msgs
		sum.outBytes += out.bytes
		sum.pending += out.pending
		if out.pending > 0 {
			sum.lagging++
		}
		sum.pendingMost = max(sum.pendingMost, out.pending)
		sum.pendingFor = max(sum.pendingFor, out.lag)
	}
	return sum
}
