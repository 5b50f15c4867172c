package main

import (
	"fmt"
	"math"
)

// threshold is what the ratio of a measure, ours to the first peer's, must reach.
type threshold struct {
	scenario string
	measure  metric
	ratio    float64 // at least for throughput, at most for everything else
	own      bool    // it is not compared with a peer: ratio is the least value itself
}

// thresholds is what is promised against nats-server 2.9.10 as Debian builds it, on two cores.
func thresholds() []threshold {
	return []threshold{
		{"pub/0", throughput, 2, false},
		{"1-1/16", throughput, 4, false},
		{"1-1/128", throughput, 2.5, false},
		{"1-1/1024", throughput, 1.5, false},
		{"1-100/128", throughput, 3, false},
		{"10-10/128", throughput, 2, false},
		{"request/16", latency50, 0.6, false}, // on a quiet machine; most of it is the wake-ups of both clients
		{"request-awake/16", latency50, 0.6, false},
		{"request-awake/16", serverCPU, 0.6, false},
		{"1-1/128", serverCPU, 0.35, false},
		{"1-50-wild/200", serverCPU, 0.6, false},
		{"queue-8/128", serverCPU, 0.4, false},
		{"idle-5000", bytesEach, 0.25, false},
		{"tls-idle-1000", bytesEach, 0.65, false},
		{"subs-500k", bytesEach, 0.3, false},
		{"route/128", throughput, 2.5, false},
		{"route/128", serverCPU, 0.3, false}, // of both servers
		{"tls-1-1/16", serverCPU, 0.35, false},
		{"tls-1-1/1024", serverCPU, 0.85, false}, // mostly cryptography
		{"tls-1-20/128", serverCPU, 0.5, false},
		{"unread-1-1000/128-1", serverCPU, 0.35, false},
		{"unread-1-1000/128-2", throughput, 3.5, false},
		{"unread-1-1000-same/128-1", serverCPU, 0.3, false},
		{"unread-1-1x100/128-1", serverCPU, 0.6, false},
		{"unread-1-50-wild/200-2", throughput, 2, false},
		{"unread-1-10/16384-2", throughput, 2, false},
		{"unread-2-3-wild/300-1", serverCPU, 0.6, false},
		{"load-4-request/16-1", latency50, 0.1, false},
		{"load-32-request/16-2", latency50, 0.05, false},
		{"churn-4/128", throughput, 1.5, false},
		{"events-1000/128", keptShare, 97, true},
	}
}

// misses names every threshold that the report does not reach; scenarios that were not run do not
// count.
func misses(all []threshold, r *report) []string {
	var out []string
	for _, t := range all {
		row := r.result(t.scenario)
		if row == nil {
			continue
		}
		name := t.scenario + ": " + metricTable()[t.measure].name
		got := row.ratio(1, t.measure)
		if t.own {
			got = row.value(0, t.measure)
		}
		switch {
		case math.IsNaN(got):
			out = append(out, name+": not measured")
		case t.own && got < t.ratio:
			out = append(out, fmt.Sprintf("%s: %.1f, want at least %.1f", name, got, t.ratio))
		case t.own:
		case t.measure == throughput && got < t.ratio:
			out = append(out, fmt.Sprintf("%s: ratio %.2f, want at least %.2f", name, got, t.ratio))
		case t.measure != throughput && got > t.ratio:
			out = append(out, fmt.Sprintf("%s: ratio %.2f, want at most %.2f", name, got, t.ratio))
		}
	}
	return out
}
