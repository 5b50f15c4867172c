package server

import (
	"crypto/tls"
	"slices"
	"strconv"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/tlsfiles"
)

// This file is the table of metrics: a metric is a row. Those that begin with varz, connz, routez,
// subsz and healthz have the names that prometheus-nats-exporter makes from the pages, and like
// there all of them are gauges. The others are our own.
//
// There are series for the server, for each route and for each address of the mesh, but none for
// single clients, whose number and names are not bounded: metrics are sums over them, and /connz
// lists them.

// metrics returns all metrics.
func (s *Server) metrics() []monitor.Metric {
	z := s.scrape()
	return slices.Concat(z.varzMetrics(), z.connzMetrics(), z.routezMetrics(), z.subszMetrics(), z.trafficMetrics(), z.meshMetrics(), z.stateMetrics(), z.systemMetrics())
}

// scrape is the data that the metrics of one request are made from.
type scrape struct {
	s       *Server
	varz    *Varz
	conns   connTotals
	table   *SublistStats
	routes  []routeState
	targets []targetState // of other servers, each address once
}

func (s *Server) scrape() *scrape {
	z := &scrape{s: s, conns: s.connTotals(), table: s.sublistStats(""), routes: s.cluster.routeStates()}
	z.varz, _ = s.Varz(nil) // never fails
	seen := map[string]bool{}
	for _, t := range s.cluster.targetStates() {
		if !t.self && !seen[t.url] {
			seen[t.url] = true
			z.targets = append(z.targets, t)
		}
	}
	return z
}

func (z *scrape) varzMetrics() []monitor.Metric {
	v := z.varz
	requests := monitor.Metric{Name: "varz_http_req_stats", Help: "Number of requests for each page of the monitoring port since the start.", Labels: []string{"path"}}
	for path, n := range v.HTTPReqStats {
		requests.Samples = append(requests.Samples, monitor.Sample{Value: float64(n), Labels: []string{path}})
	}
	return []monitor.Metric{
		monitor.Text("varz_server_id", "Id of the server, in the label value.", v.ID),
		monitor.Text("varz_server_name", "Name of the server, in the label value.", v.ServerName),
		monitor.Text("varz_version", "Version of the server, in the label value.", v.Version),
		monitor.Gauge("varz_proto", "Version of the client protocol.", v.Proto),
		monitor.Gauge("varz_port", "Port for client connections.", v.Port),
		monitor.Gauge("varz_http_port", "Port for HTTP monitoring; 0 if there is none.", v.HTTPPort),
		monitor.Gauge("varz_https_port", "Port for HTTPS monitoring; 0 if there is none.", v.HTTPSPort),
		monitor.Gauge("varz_start", "Start time of the server in milliseconds since the Unix epoch.", v.Start.UnixMilli()),
		monitor.Gauge("varz_config_load_time", "Time when the configuration in use was loaded, in milliseconds since the Unix epoch.", v.ConfigLoadTime.UnixMilli()),
		monitor.Gauge("varz_max_connections", "Maximum number of client connections.", v.MaxConn),
		monitor.Gauge("varz_max_subscriptions", "Maximum number of subscriptions of one client; 0 is unlimited.", v.MaxSubs),
		monitor.Gauge("varz_max_payload", "Maximum size of a message in bytes.", v.MaxPayload),
		monitor.Gauge("varz_max_control_line", "Maximum size of the arguments of a protocol line in bytes.", v.MaxControlLine),
		monitor.Gauge("varz_max_pending", "Maximum number of bytes queued for one client.", v.MaxPending),
		monitor.Untyped("varz_max_pending_total", "Maximum number of bytes queued for all connections.", v.MaxPendingTotal),
		monitor.Gauge("varz_write_deadline", "Maximum time that a write may make no progress, in nanoseconds.", v.WriteDeadline),
		monitor.Gauge("varz_ping_interval", "Interval between pings in nanoseconds.", v.PingInterval),
		monitor.Gauge("varz_ping_max", "Maximum number of unanswered pings of a connection.", v.MaxPingsOut),
		monitor.Gauge("varz_auth_timeout", "Maximum time for a client to authenticate, in seconds.", v.AuthTimeout),
		monitor.Gauge("varz_tls_timeout", "Maximum time for a TLS handshake, in seconds.", v.TLSTimeout),
		monitor.Gauge("varz_mem", "Resident memory of the server in bytes.", v.Mem),
		monitor.Gauge("varz_cpu", "CPU usage of the server over the last second, in percent of one core.", v.CPU),
		monitor.Gauge("varz_cores", "Number of CPU cores of the machine.", v.Cores),
		monitor.Gauge("varz_gomaxprocs", "Number of CPU cores that the server uses at a time.", v.GoMaxProcs),
		monitor.Gauge("varz_connections", "Number of connected clients.", v.Connections),
		monitor.Gauge("varz_total_connections", "Number of client connections accepted since the start, rejected ones included.", v.TotalConnections),
		monitor.Gauge("varz_routes", "Number of routes.", v.Routes),
		monitor.Gauge("varz_remotes", "Number of servers that this server has routes to.", v.Remotes),
		monitor.Gauge("varz_in_msgs", "Number of messages received since the start.", v.InMsgs),
		monitor.Gauge("varz_in_bytes", "Number of message bytes received since the start.", v.InBytes),
		monitor.Gauge("varz_out_msgs", "Number of messages sent since the start.", v.OutMsgs),
		monitor.Gauge("varz_out_bytes", "Number of message bytes sent since the start.", v.OutBytes),
		monitor.Gauge("varz_in_client_msgs", "Number of messages received from clients since the start.", v.InClientMsgs),
		monitor.Gauge("varz_in_client_bytes", "Number of message bytes received from clients since the start.", v.InClientBytes),
		monitor.Gauge("varz_out_client_msgs", "Number of messages sent to clients since the start.", v.OutClientMsgs),
		monitor.Gauge("varz_out_client_bytes", "Number of message bytes sent to clients since the start.", v.OutClientBytes),
		monitor.Gauge("varz_stalled_clients", "Number of times that a client had to wait because all subscribers of what it published lagged, since the start.", v.StalledClients),
		monitor.Gauge("varz_pending_bytes", "Number of bytes queued for all connections.", v.PendingBytes),
		monitor.Gauge("varz_slow_consumers", "Number of connections closed as slow consumers since the start.", v.SlowConsumers),
		monitor.Gauge("varz_slow_consumer_stats_clients", "Number of clients disconnected as slow consumers since the start.", v.SlowStats.Clients),
		monitor.Gauge("varz_slow_consumer_stats_routes", "Number of routes closed as slow consumers since the start.", v.SlowStats.Routes),
		monitor.Gauge("varz_slow_consumer_stats_gateways", "Always 0: this server has no gateways.", v.SlowStats.Gateways),
		monitor.Gauge("varz_slow_consumer_stats_leafs", "Always 0: this server has no leaf nodes.", v.SlowStats.Leafs),
		monitor.Gauge("varz_stale_connections", "Number of clients disconnected since the start because they did not answer pings.", v.StaleConnections),
		monitor.Gauge("varz_dropped_msgs", "Number of messages dropped since the start for clients that did not keep up.", v.DroppedMsgs),
		monitor.Gauge("varz_subscriptions", "Number of subscriptions in the routing table, those of other servers included.", v.Subscriptions),
		requests,
	}
}

func (z *scrape) connzMetrics() []monitor.Metric {
	n := z.conns
	return []monitor.Metric{
		monitor.Gauge("connz_num_connections", "Number of connected clients.", n.clients),
		monitor.Untyped("connz_total", "Number of connected clients.", n.clients),
		monitor.Gauge("connz_offset", "Always 0: the sums are over all clients.", 0),
		monitor.Gauge("connz_limit", "Default number of clients on one page of /connz; the sums are over all clients.", defaultPage),
		monitor.Gauge("connz_subscriptions", "Number of subscriptions of the connected clients.", n.subscriptions),
		monitor.Gauge("connz_in_msgs", "Number of messages received from the connected clients.", n.inMsgs),
		monitor.Gauge("connz_in_bytes", "Number of message bytes received from the connected clients.", n.inBytes),
		monitor.Gauge("connz_out_msgs", "Number of messages sent to the connected clients.", n.outMsgs),
		monitor.Gauge("connz_out_bytes", "Number of message bytes sent to the connected clients.", n.outBytes),
		monitor.Gauge("connz_pending_bytes", "Number of bytes queued for the connected clients.", n.pending),
		monitor.Gauge("connz_pending_bytes_max", "Largest number of bytes queued for a client.", n.pendingMost),
		monitor.Gauge("connz_pending_seconds_max", "Longest time that a client has had bytes queued, in seconds.", n.pendingFor.Seconds()),
		monitor.Gauge("connz_lagging", "Number of clients with queued bytes.", n.lagging),
	}
}

// ofRoutes returns a metric with a sample for each route.
func (z *scrape) ofRoutes(name, help string, value func(*routeState) float64) monitor.Metric {
	m := monitor.Metric{Name: name, Help: help, Labels: []string{"rid", "remote_id", "ip"}}
	for i := range z.routes {
		r := &z.routes[i]
		m.Samples = append(m.Samples, monitor.Sample{Value: value(r), Labels: []string{strconv.FormatUint(r.id, 10), r.remoteID, r.host}})
	}
	return m
}

// ofCompressed returns a metric with a sample for each route that is compressed.
func (z *scrape) ofCompressed(name, help string, value func(*compressionState) int64) monitor.Metric {
	m := monitor.Metric{Name: name, Help: help, Labels: []string{"rid", "remote_id", "ip"}}
	for i := range z.routes {
		if r := &z.routes[i]; r.compression != (compressionState{}) {
			m.Samples = append(m.Samples, monitor.Sample{Value: float64(value(&r.compression)), Labels: []string{strconv.FormatUint(r.id, 10), r.remoteID, r.host}})
		}
	}
	return m
}

func (z *scrape) routezMetrics() []monitor.Metric {
	return []monitor.Metric{
		monitor.Gauge("routez_num_routes", "Number of routes.", len(z.routes)),
		z.ofRoutes("routez_in_msgs", "Number of messages received from the route.", func(r *routeState) float64 { return float64(r.inMsgs) }),
		z.ofRoutes("routez_in_bytes", "Number of message bytes received from the route.", func(r *routeState) float64 { return float64(r.inBytes) }),
		z.ofRoutes("routez_out_msgs", "Number of messages sent to the route.", func(r *routeState) float64 { return float64(r.outMsgs) }),
		z.ofRoutes("routez_out_bytes", "Number of message bytes sent to the route.", func(r *routeState) float64 { return float64(r.outBytes) }),
		z.ofRoutes("routez_pending_size", "Number of bytes queued for the route.", func(r *routeState) float64 { return float64(r.pending) }),
		z.ofRoutes("routez_subscriptions", "Number of subscriptions received from the route.", func(r *routeState) float64 { return float64(r.subscriptions) }),
		z.ofRoutes("routez_rtt_seconds", "Round-trip time of the route in seconds; 0 while it is unknown.", func(r *routeState) float64 { return r.rtt.Seconds() }),
		z.ofRoutes("routez_start_time_seconds", "Start time of the route in seconds since the Unix epoch.", func(r *routeState) float64 { return float64(r.start) / 1e9 }),
		z.ofCompressed("route_compression_in_bytes", "Number of compressed bytes received over the route.", func(c *compressionState) int64 { return c.inWire }),
		z.ofCompressed("route_compression_in_raw_bytes", "Number of bytes that those were decompressed to.", func(c *compressionState) int64 { return c.inRaw }),
		z.ofCompressed("route_compression_out_bytes", "Number of compressed bytes sent over the route.", func(c *compressionState) int64 { return c.outWire }),
		z.ofCompressed("route_compression_out_raw_bytes", "Number of bytes that those were compressed from.", func(c *compressionState) int64 { return c.outRaw }),
		z.ofRoutes("routez_waiting_for_interest", "Number of changes of interest queued for the route.", func(r *routeState) float64 { return float64(r.waitingForInterest) }),
	}
}

func (z *scrape) subszMetrics() []monitor.Metric {
	return []monitor.Metric{
		monitor.Gauge("subsz_num_subscriptions", "Number of subscriptions in the routing table, those of other servers included.", z.table.NumSubs),
		monitor.Gauge("subsz_num_cache", "Number of cached match results.", z.table.NumCache),
		monitor.Gauge("subsz_num_inserts", "Number of subscriptions added since the start.", z.table.NumInserts),
		monitor.Gauge("subsz_num_removes", "Number of subscriptions removed since the start.", z.table.NumRemoves),
		monitor.Gauge("subsz_num_matches", "Number of subjects looked up in the routing table since the start. A publisher that repeats a subject looks it up once.", z.table.NumMatches),
		monitor.Gauge("subsz_cache_hit_rate", "Ratio of lookups answered by the cache, 0 to 1.", z.table.CacheHitRate),
		monitor.Gauge("subsz_max_fanout", "Maximum number of receivers of a cached match result.", z.table.MaxFanout),
		monitor.Gauge("subsz_avg_fanout", "Average number of receivers of a cached match result.", z.table.AvgFanout),
	}
}

func (z *scrape) trafficMetrics() []monitor.Metric {
	slow := monitor.Metric{Name: "slow_consumers_total", Help: "Total number of connections closed as slow consumers, by the limit they exceeded.", Counter: true, Labels: []string{"cause"}}
	for reason, limit := range slowConsumerLimits {
		slow.Samples = append(slow.Samples, monitor.Sample{Value: float64(z.s.counters.slowBy[reason].Load()), Labels: []string{limit}})
	}
	closed := monitor.Metric{Name: "closed_connections_total", Help: "Total number of closed client connections, by reason.", Counter: true, Labels: []string{"reason"}}
	for reason, n := range z.s.closed.byName() {
		closed.Samples = append(closed.Samples, monitor.Sample{Value: float64(n), Labels: []string{reason}})
	}
	latency := monitor.Metric{Name: "delivery_latency_seconds", Help: "Time from reading a message to writing it to the socket of a receiver, for a sample of messages.", Labels: []string{"to"}}
	latency.Samples = []monitor.Sample{z.s.latency.clients.sample("client"), z.s.latency.routes.sample("route")}
	dropped := monitor.Metric{Name: "slow_consumer_dropped_messages_total", Help: "Total number of messages dropped for clients that did not keep up, by the slow_consumer setting of the user.", Counter: true, Labels: []string{"policy"}, Samples: []monitor.Sample{
		{Value: float64(z.s.counters.dropped[netio.DropNew].Load()), Labels: []string{access.DropNew.String()}},
		{Value: float64(z.s.counters.dropped[netio.DropOld].Load()), Labels: []string{access.DropOld.String()}},
	}}
	return []monitor.Metric{slow, dropped, closed, latency,
		monitor.Counter("messages_without_receivers_total", "Total number of messages published by clients that had no receiver.", z.s.counters.noReceivers())}
}

// sample returns the histogram of deliveries to a kind of connection.
func (l *latencies) sample(to string) monitor.Sample {
	count, sum, upTo := l.read()
	return monitor.Sample{Labels: []string{to}, Histogram: &monitor.Histogram{Count: count, Sum: sum.Seconds(), UpTo: upTo}}
}

// ofTargets returns a metric with a sample for each address that should be connected.
func (z *scrape) ofTargets(name, help string, value func(*targetState) float64) monitor.Metric {
	m := monitor.Metric{Name: name, Help: help, Labels: []string{"url", "configured"}}
	for i := range z.targets {
		t := &z.targets[i]
		m.Samples = append(m.Samples, monitor.Sample{Value: value(t), Labels: []string{t.url, strconv.FormatBool(t.configured)}})
	}
	return m
}

func (z *scrape) meshMetrics() []monitor.Metric {
	pools := monitor.Metric{Name: "mesh_pool_connections", Help: "Number of connections to a server, of those that can have several.", Labels: []string{"remote_id"}}
	for i := range z.routes {
		if r := &z.routes[i]; r.pool.carrier && r.pool.id != "" {
			pools.Samples = append(pools.Samples, monitor.Sample{Value: float64(r.pool.size), Labels: []string{r.remoteID}})
		}
	}
	missing := 0
	for _, t := range z.targets {
		if !t.connected {
			missing++
		}
	}
	return []monitor.Metric{
		z.ofTargets("mesh_target_connected", "Whether there is a route to the server at an address that should be connected, 1 or 0.", func(t *targetState) float64 { return monitor.Bool(t.connected) }),
		z.ofTargets("mesh_target_failures", "Number of failed attempts in a row to connect to the server at an address.", func(t *targetState) float64 { return float64(t.failures) }),
		pools,
		monitor.Gauge("mesh_targets", "Number of addresses of other servers that should be connected.", len(z.targets)),
		monitor.Gauge("mesh_targets_missing", "Number of addresses of other servers that should be connected and are not.", missing),
		monitor.Counter("mesh_headers_lost_total", "Total number of messages sent without their headers, to servers that do not support headers.", z.s.counters.lostHeaders.Load()),
	}
}

// stateMetrics returns metrics about the state of the server and its configuration.
func (z *scrape) stateMetrics() []monitor.Metric {
	expiry := monitor.Metric{Name: "tls_certificate_expiry_timestamp_seconds", Help: "Time when the certificate in use expires, in seconds since the Unix epoch.", Labels: []string{"port"}}
	for port, config := range map[string]*tls.Config{"client": z.s.policy.Load().tls.Current(), "cluster": z.s.cluster.policy.Load().tls.Current()} {
		if end := tlsfiles.NotAfter(config); !end.IsZero() {
			expiry.Samples = append(expiry.Samples, monitor.Sample{Value: float64(end.Unix()), Labels: []string{port}})
		}
	}
	n := &z.s.counters.reloads
	reloads := monitor.Metric{Name: "config_reloads_total", Help: "Total number of configuration reloads, by outcome.", Counter: true, Labels: []string{"outcome"}, Samples: []monitor.Sample{
		{Value: float64(n.done.Load()), Labels: []string{"done"}},
		{Value: float64(n.failed.Load()), Labels: []string{"failed"}},
	}}
	active := monitor.Metric{Name: "status_condition", Help: "Whether a condition of /statusz holds, 1 or 0, by its code.", Labels: []string{"code", "severity"}}
	facts := z.s.statusFacts(time.Now())
	for _, c := range conditions {
		active.Samples = append(active.Samples, monitor.Sample{Value: monitor.Bool(c.check(facts) != ""), Labels: []string{c.code, string(c.severity)}})
	}
	return []monitor.Metric{
		active,
		monitor.Gauge("healthz_status", "Whether the server is healthy, as /healthz reports it, 1 or 0.", monitor.Bool(z.s.health(0) == "")),
		monitor.Gauge("lame_duck_mode", "Whether the server is in lame duck mode, 1 or 0.", monitor.Bool(z.varz.LameDuck)),
		monitor.Counter("log_lines_lost_total", "Total number of log lines lost because the destination of the log did not keep up or failed.", z.s.log.sink.Load().linesLost()),
		expiry,
		reloads,
		monitor.Gauge("config_last_reload_successful", "Whether the last configuration reload succeeded, 1 or 0; 1 if there was none.", monitor.Bool(!n.lastFailed.Load())),
		monitor.Gauge("config_last_reload_timestamp_seconds", "Time of the last configuration reload, successful or not, in seconds since the Unix epoch; 0 if there was none.", float64(n.last.Load())/1e9),
		monitor.Gauge("config_last_load_timestamp_seconds", "Time when the configuration in use was loaded, in seconds since the Unix epoch.", float64(z.varz.ConfigLoadTime.UnixNano())/1e9),
	}
}

// systemMetrics returns metrics of the system account, none without one.
func (z *scrape) systemMetrics() []monitor.Metric {
	st := z.varz.SystemStats
	if st == nil {
		return nil
	}
	return []monitor.Metric{
		monitor.Gauge("system_users", "Number of connected users of the system account.", st.Users),
		monitor.Counter("system_kicks_total", "Total number of clients disconnected because an operator asked for it.", st.Kicks),
		monitor.Counter("system_dropped_total", "Total number of events and requests of the system account dropped because too many were waiting, and of its messages that a route near full was not sent.", st.Dropped),
	}
}

// connTotals are sums over the connected clients.
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

// connTotals returns the sums over the connected clients. It locks them one after the other.
func (s *Server) connTotals() (sum connTotals) {
	var y monitor.Yielder
	for _, c := range s.clients.all() {
		y.Step()
		out := c.out.Stats()
		sum.clients++
		sum.subscriptions += c.subCount()
		sum.inMsgs += c.inMsgs.Load()
		sum.inBytes += c.inBytes.Load()
		sum.outMsgs += out.Messages
		sum.outBytes += out.Payload
		sum.pending += out.Pending
		if out.Pending > 0 {
			sum.lagging++
		}
		sum.pendingMost = max(sum.pendingMost, out.Pending)
		sum.pendingFor = max(sum.pendingFor, out.Lag)
	}
	return sum
}
