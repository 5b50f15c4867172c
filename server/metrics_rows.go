package server

import (
	"crypto/tls"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// This file is the table of metrics. Those that begin with varz, connz, routez,
// subsz and healthz are named, and are gauges, as the well-known exporter for
// NATS makes them of the numbers on the page of that name. The rest is our own.

var metricRows = slices.Concat(varzMetrics, connzMetrics, routezMetrics, subszMetrics, trafficMetrics, meshMetrics, stateMetrics)

// ofServer is a metric with one value.
func ofServer(name, help string, value func(*scrape) float64) metricRow {
	return metricRow{name: name, help: help, kind: prometheus.GaugeValue,
		read: func(z *scrape, emit func(float64, ...string)) { emit(value(z)) }}
}

// counterOf is a metric without labels that only grows.
func counterOf(name, help string, value func(*scrape) float64) metricRow {
	row := ofServer(name, help, value)
	row.kind = prometheus.CounterValue
	return row
}

// number makes a metric of a number on a page, whatever type it has there.
func number[T int | int64 | uint32 | uint64 | float64 | time.Duration](name, help string, value func(*scrape) T) metricRow {
	return ofServer(name, help, func(z *scrape) float64 { return float64(value(z)) })
}

// textOf is a metric that says a text, in the label value.
func textOf(name, help string, value func(*scrape) string) metricRow {
	return metricRow{name: name, help: help, kind: prometheus.GaugeValue, labels: []string{"value"},
		read: func(z *scrape, emit func(float64, ...string)) { emit(1, value(z)) }}
}

// truth is 1 for what is true.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

var varzMetrics = []metricRow{
	textOf("varz_server_id", "Id of the server, in the label value.", func(z *scrape) string { return z.varz.ID }),
	textOf("varz_server_name", "Name of the server, in the label value.", func(z *scrape) string { return z.varz.ServerName }),
	textOf("varz_version", "Version of the server, in the label value.", func(z *scrape) string { return z.varz.Version }),
	number("varz_proto", "Version of the protocol.", func(z *scrape) int { return z.varz.Proto }),
	number("varz_port", "Port for clients.", func(z *scrape) int { return z.varz.Port }),
	number("varz_http_port", "Port for monitoring.", func(z *scrape) int { return z.varz.HTTPPort }),
	number("varz_https_port", "Port for monitoring over TLS.", func(z *scrape) int { return z.varz.HTTPSPort }),
	number("varz_start", "Start of the server, in milliseconds since 1970.", func(z *scrape) int64 { return z.varz.Start.UnixMilli() }),
	number("varz_config_load_time", "Time when the settings were loaded last, in milliseconds since 1970.", func(z *scrape) int64 { return z.varz.ConfigLoadTime.UnixMilli() }),
	number("varz_max_connections", "Clients that may be connected at a time.", func(z *scrape) int { return z.varz.MaxConn }),
	number("varz_max_subscriptions", "Subscriptions that one client may have; 0 is unlimited.", func(z *scrape) int { return z.varz.MaxSubs }),
	number("varz_max_payload", "Bytes that a message may have.", func(z *scrape) int { return z.varz.MaxPayload }),
	number("varz_max_control_line", "Bytes that the arguments of a protocol line may have.", func(z *scrape) int { return z.varz.MaxControlLine }),
	number("varz_max_pending", "Bytes that may be queued for one client.", func(z *scrape) int64 { return z.varz.MaxPending }),
	number("varz_max_pending_total", "Bytes that may be queued for all clients.", func(z *scrape) int64 { return z.varz.MaxPendingTotal }),
	number("varz_write_deadline", "Nanoseconds that a write may make no progress.", func(z *scrape) time.Duration { return z.varz.WriteDeadline }),
	number("varz_ping_interval", "Nanoseconds between pings.", func(z *scrape) time.Duration { return z.varz.PingInterval }),
	number("varz_ping_max", "Pings that may stay unanswered.", func(z *scrape) int { return z.varz.MaxPingsOut }),
	number("varz_auth_timeout", "Seconds that a client has to authenticate.", func(z *scrape) float64 { return z.varz.AuthTimeout }),
	number("varz_tls_timeout", "Seconds that a TLS handshake may take.", func(z *scrape) float64 { return z.varz.TLSTimeout }),
	number("varz_mem", "Resident memory of the server in bytes.", func(z *scrape) int64 { return z.varz.Mem }),
	number("varz_cpu", "CPU used over the last second, in percent of one core.", func(z *scrape) float64 { return z.varz.CPU }),
	number("varz_cores", "Cores of the machine.", func(z *scrape) int { return z.varz.Cores }),
	number("varz_gomaxprocs", "Cores that the server uses at a time.", func(z *scrape) int { return z.varz.GoMaxProcs }),
	number("varz_connections", "Clients that are connected.", func(z *scrape) int { return z.varz.Connections }),
	number("varz_total_connections", "Clients since the start, refused ones included.", func(z *scrape) uint64 { return z.varz.TotalConns }),
	number("varz_routes", "Routes that are up.", func(z *scrape) int { return z.varz.Routes }),
	number("varz_remotes", "Other servers that are connected.", func(z *scrape) int { return z.varz.Remotes }),
	number("varz_in_msgs", "Messages received since the start.", func(z *scrape) int64 { return z.varz.InMsgs }),
	number("varz_in_bytes", "Bytes of the messages received since the start.", func(z *scrape) int64 { return z.varz.InBytes }),
	number("varz_out_msgs", "Messages sent since the start.", func(z *scrape) int64 { return z.varz.OutMsgs }),
	number("varz_out_bytes", "Bytes of the messages sent since the start.", func(z *scrape) int64 { return z.varz.OutBytes }),
	number("varz_pending_bytes", "Bytes queued for all connections.", func(z *scrape) int64 { return z.varz.PendingBytes }),
	number("varz_slow_consumers", "Connections cut since the start because they did not keep up.", func(z *scrape) int64 { return z.varz.SlowConsumers }),
	number("varz_slow_consumer_stats_clients", "Clients cut since the start because they did not keep up.", func(z *scrape) int64 { return z.varz.SlowStats.Clients }),
	number("varz_slow_consumer_stats_routes", "Routes cut since the start because they did not keep up.", func(z *scrape) int64 { return z.varz.SlowStats.Routes }),
	number("varz_slow_consumer_stats_gateways", "Always 0: there are no gateways.", func(z *scrape) int64 { return z.varz.SlowStats.Gateways }),
	number("varz_slow_consumer_stats_leafs", "Always 0: there are no leaf nodes.", func(z *scrape) int64 { return z.varz.SlowStats.Leafs }),
	number("varz_stale_connections", "Clients closed since the start because they answered no ping.", func(z *scrape) int64 { return z.varz.StaleConnections }),
	number("varz_subscriptions", "Subscriptions in the routing table, those of other servers included.", func(z *scrape) uint32 { return z.varz.Subscriptions }),
	{name: "varz_http_req_stats", help: "Requests for pages of the monitoring port since the start.", kind: prometheus.GaugeValue, labels: []string{"path"},
		read: func(z *scrape, emit func(float64, ...string)) {
			for path, n := range z.varz.HTTPReqStats {
				emit(float64(n), path)
			}
		}},
}

var connzMetrics = []metricRow{
	number("connz_num_connections", "Clients that are connected.", func(z *scrape) int { return z.conns.clients }),
	number("connz_total", "Clients that are connected.", func(z *scrape) int { return z.conns.clients }),
	number("connz_offset", "Always 0: the sums are over all clients.", func(*scrape) int { return 0 }),
	number("connz_limit", "Clients on one page of /connz. The sums are over all clients.", func(*scrape) int { return defaultPage }),
	number("connz_subscriptions", "Subscriptions of the clients that are connected.", func(z *scrape) int { return z.conns.subscriptions }),
	number("connz_in_msgs", "Messages received from the clients that are connected.", func(z *scrape) int64 { return z.conns.inMsgs }),
	number("connz_in_bytes", "Bytes of the messages received from the clients that are connected.", func(z *scrape) int64 { return z.conns.inBytes }),
	number("connz_out_msgs", "Messages sent to the clients that are connected.", func(z *scrape) int64 { return z.conns.outMsgs }),
	number("connz_out_bytes", "Bytes of the messages sent to the clients that are connected.", func(z *scrape) int64 { return z.conns.outBytes }),
	number("connz_pending_bytes", "Bytes queued for the clients that are connected.", func(z *scrape) int64 { return z.conns.pending }),
	number("connz_pending_bytes_max", "Bytes queued for the client that has most.", func(z *scrape) int64 { return z.conns.pendingMost }),
	number("connz_pending_seconds_max", "Age of the oldest queue of a client, in seconds.", func(z *scrape) float64 { return z.conns.pendingFor.Seconds() }),
	number("connz_lagging", "Clients that have bytes queued.", func(z *scrape) int { return z.conns.lagging }),
}

// ofRoute is a metric of every route.
func ofRoute(name, help string, value func(*routeState) float64) metricRow {
	return metricRow{name: name, help: help, kind: prometheus.GaugeValue, labels: []string{"rid", "remote_id", "ip"},
		read: func(z *scrape, emit func(float64, ...string)) {
			for i := range z.routes {
				r := &z.routes[i]
				emit(value(r), strconv.FormatUint(r.id, 10), r.remoteID, r.host)
			}
		}}
}

var routezMetrics = []metricRow{
	number("routez_num_routes", "Routes that are up.", func(z *scrape) int { return len(z.routes) }),
	ofRoute("routez_in_msgs", "Messages received from the route.", func(r *routeState) float64 { return float64(r.inMsgs) }),
	ofRoute("routez_in_bytes", "Bytes of the messages received from the route.", func(r *routeState) float64 { return float64(r.inBytes) }),
	ofRoute("routez_out_msgs", "Messages sent to the route.", func(r *routeState) float64 { return float64(r.outMsgs) }),
	ofRoute("routez_out_bytes", "Bytes of the messages sent to the route.", func(r *routeState) float64 { return float64(r.outBytes) }),
	ofRoute("routez_pending_size", "Bytes queued for the route.", func(r *routeState) float64 { return float64(r.pending) }),
	ofRoute("routez_subscriptions", "Subscriptions that the route told of.", func(r *routeState) float64 { return float64(r.subscriptions) }),
	ofRoute("routez_rtt_seconds", "Round-trip time of the route in seconds; 0 while it is unknown.", func(r *routeState) float64 { return r.rtt.Seconds() }),
	ofRoute("routez_start_time_seconds", "Time when the route came up, in seconds since 1970.", func(r *routeState) float64 { return float64(r.start) / 1e9 }),
	ofRoute("routez_waiting_for_interest", "Lines of interest on their way to the route.", func(r *routeState) float64 { return float64(r.waitingForInterest) }),
}

var subszMetrics = []metricRow{
	number("subsz_num_subscriptions", "Subscriptions in the routing table, those of other servers included.", func(z *scrape) uint32 { return z.table.NumSubs }),
	number("subsz_num_cache", "Results of matching that are remembered.", func(z *scrape) uint32 { return z.table.NumCache }),
	number("subsz_num_inserts", "Subscriptions made since the start.", func(z *scrape) uint64 { return z.table.NumInserts }),
	number("subsz_num_removes", "Subscriptions ended since the start.", func(z *scrape) uint64 { return z.table.NumRemoves }),
	number("subsz_num_matches", "Subjects matched since the start.", func(z *scrape) uint64 { return z.table.NumMatches }),
	number("subsz_cache_hit_rate", "Share of matches that were remembered, 0 to 1.", func(z *scrape) float64 { return z.table.CacheHitRate }),
	number("subsz_max_fanout", "Receivers of the remembered result that has most.", func(z *scrape) uint32 { return z.table.MaxFanout }),
	number("subsz_avg_fanout", "Receivers of the remembered results on average.", func(z *scrape) float64 { return z.table.AvgFanout }),
}

// slowCauses are the ways to be too slow, as the label cause says them.
var slowCauses = []struct {
	reason closeReason
	cause  string
}{
	{closeSlowPending, "max_pending"},
	{closeSlowDeadline, "write_deadline"},
	{closeSlowTotal, "max_pending_total"},
}

var trafficMetrics = []metricRow{
	{name: "slow_consumers_total", help: "Connections cut because they did not keep up, by the limit they hit.", kind: prometheus.CounterValue, labels: []string{"cause"},
		read: func(z *scrape, emit func(float64, ...string)) {
			for _, c := range slowCauses {
				emit(float64(z.s.counters.slowBy[c.reason].Load()), c.cause)
			}
		}},
	{name: "closed_connections_total", help: "Clients that are gone, by reason.", kind: prometheus.CounterValue, labels: []string{"reason"},
		read: func(z *scrape, emit func(float64, ...string)) {
			for reason, n := range z.s.closed.byName() {
				emit(float64(n), reason)
			}
		}},
}

// meshMetrics are about the servers there should be routes to.
var meshMetrics = []metricRow{
	{name: "mesh_target_connected", help: "Whether there is a route to the server at an address that should be connected.", kind: prometheus.GaugeValue, labels: []string{"url", "configured"},
		read: eachTarget(func(t *targetState) float64 { return truth(t.connected) })},
	{name: "mesh_target_failures", help: "Attempts in a row that did not reach the server at an address that should be connected.", kind: prometheus.GaugeValue, labels: []string{"url", "configured"},
		read: eachTarget(func(t *targetState) float64 { return float64(t.failures) })},
	number("mesh_targets", "Addresses of other servers that should be connected.", func(z *scrape) int { return len(z.others()) }),
	number("mesh_targets_missing", "Addresses of other servers that should be connected, and are not.", func(z *scrape) (n int) {
		for _, t := range z.others() {
			if !t.connected {
				n++
			}
		}
		return n
	}),
	counterOf("mesh_headers_lost_total", "Messages sent without their headers, to servers that take none.", func(z *scrape) float64 { return float64(z.s.counters.lostHeaders.Load()) }),
}

// others are the addresses that lead to other servers, each once.
func (z *scrape) others() (list []targetState) {
	seen := make(map[string]bool, len(z.targets))
	for _, t := range z.targets {
		if !t.self && !seen[t.url] {
			seen[t.url] = true
			list = append(list, t)
		}
	}
	return list
}

func eachTarget(value func(*targetState) float64) func(*scrape, func(float64, ...string)) {
	return func(z *scrape, emit func(float64, ...string)) {
		list := z.others()
		for i := range list {
			emit(value(&list[i]), list[i].url, strconv.FormatBool(list[i].configured))
		}
	}
}

// stateMetrics are about the state of the server and what it runs on.
var stateMetrics = []metricRow{
	ofServer("healthz_status", "Whether clients may be sent here: 1 if /healthz says ok.", func(z *scrape) float64 { return truth(z.s.health(0) == "") }),
	ofServer("lame_duck_mode", "Whether clients are sent away.", func(z *scrape) float64 { return truth(z.varz.LameDuck) }),
	{name: "tls_certificate_expiry_timestamp_seconds", help: "Time when the certificate in use expires, in seconds since 1970.", kind: prometheus.GaugeValue, labels: []string{"port"},
		read: func(z *scrape, emit func(float64, ...string)) {
			for port, config := range map[string]*tls.Config{"client": z.s.guard.Load().tls.inUse(), "cluster": z.s.cluster.rules.Load().tls.inUse()} {
				if end := certNotAfter(config); !end.IsZero() {
					emit(float64(end.Unix()), port)
				}
			}
		}},
	{name: "config_reloads_total", help: "Reloads of the settings, by outcome.", kind: prometheus.CounterValue, labels: []string{"outcome"},
		read: func(z *scrape, emit func(float64, ...string)) {
			emit(float64(z.s.counters.reloads.done.Load()), "done")
			emit(float64(z.s.counters.reloads.failed.Load()), "failed")
		}},
	ofServer("config_last_reload_successful", "Whether the last reload worked; 1 if there was none.", func(z *scrape) float64 { return truth(!z.s.counters.reloads.lastFailed.Load()) }),
	ofServer("config_last_reload_timestamp_seconds", "Time of the last reload, whether it worked or not, in seconds since 1970; 0 if there was none.", func(z *scrape) float64 { return float64(z.s.counters.reloads.last.Load()) / 1e9 }),
	ofServer("config_last_load_timestamp_seconds", "Time when the settings in use were loaded, in seconds since 1970.", func(z *scrape) float64 { return float64(z.varz.ConfigLoadTime.UnixNano()) / 1e9 }),
}
