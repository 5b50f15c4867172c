package server

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/tlsfiles"
)

// scraped is what a scrape says: values by series, as "name{label="value",…}".
type scraped map[string]float64

// scrapeOf decodes the text format of Prometheus. The label server_id, which all metrics of a
// server have, is taken out.
func scrapeOf(t testing.TB, s *Server) scraped {
	t.Helper()
	r := ask(t, s, "/metrics")
	if r.status != 200 {
		t.Fatalf("/metrics: status %d: %s", r.status, r.body)
	}
	id := fmt.Sprintf("server_id=%q", s.id)
	z := scraped{}
	for line := range strings.Lines(r.body) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		series := line[:at]
		if own := !strings.HasPrefix(series, "go_") && !strings.HasPrefix(series, "process_"); own != strings.Contains(series, id) {
			t.Errorf("%s: whether it has the id of the server is wrong", series)
		}
		series = strings.Replace(series, id+",", "", 1)
		series = strings.Replace(series, ","+id, "", 1)
		series = strings.Replace(series, "{"+id+"}", "", 1)
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if _, twice := z[series]; twice {
			t.Errorf("%s is there twice", series)
		}
		z[series] = v
	}
	return z
}

// want compares one value.
func (z scraped) want(t testing.TB, series string, want float64) {
	t.Helper()
	if got, ok := z[series]; !ok || got != want {
		t.Errorf("%s: got %v (there: %v), want %v", series, got, ok, want)
	}
}

// numbers returns the numbers of a page as the exporter names them: nested ones joined by _.
func numbers(prefix string, page map[string]any, into map[string]float64) {
	for key, value := range page {
		switch v := value.(type) {
		case float64:
			into[prefix+"_"+key] = v
		case map[string]any:
			numbers(prefix+"_"+key, v, into)
		}
	}
}

// TestMetricsHaveEveryNumberOfThePages compares /metrics with what the exporter makes of the other
// pages.
func TestMetricsHaveEveryNumberOfThePages(t *testing.T) {
	t.Parallel()
	a := clusteredMonitor(t)
	b := clusteredMonitor(t, routeTo(t, a))
	meshed(t, a, b)
	w := speak(t, a, hello("one"), "SUB foo 1", "SUB foo 2", "PUB foo 5", "hello")
	w.Do()
	eventually(t, "the bytes of the last PONG and of interest are no longer counted", func() bool {
		return a.clients.all()[0].out.Stats().Pending == 0 && a.cluster.all()[0].out.Stats().Pending == 0
	})
	want := map[string]float64{}
	for _, page := range []string{"varz", "subsz"} {
		numbers("gnatsd_"+page, decode[map[string]any](t, a, "/"+page), want)
	}
	got := scrapeOf(t, a)
	for name, v := range want {
		if strings.HasPrefix(name, "gnatsd_varz_http_req_stats_") || strings.HasPrefix(name, "gnatsd_varz_cluster_") {
			continue // by path, below; settings that the exporter leaves out
		}
		if name == "gnatsd_subsz_total" || name == "gnatsd_subsz_offset" || name == "gnatsd_subsz_limit" {
			continue // of the list that was asked for
		}
		have, ok := got[name]
		moves := name == "gnatsd_varz_mem" || name == "gnatsd_varz_cpu"
		if !ok || have != v && !moves {
			t.Errorf("%s: got %v (there: %v), want %v", name, have, ok, v)
		}
	}
	if len(want) < 40 {
		t.Errorf("the pages have %d numbers: they were not read", len(want))
	}
	got.want(t, `gnatsd_varz_http_req_stats{path="/varz"}`, 1)
	got.want(t, `gnatsd_varz_server_name{value="`+a.id+`"}`, 1)
	got.want(t, `gnatsd_varz_version{value="`+Version+`"}`, 1)
	got.want(t, "gnatsd_varz_start", float64(a.start.UnixMilli()))
	for name, v := range map[string]float64{
		"num_connections": 1, "total": 1, "offset": 0, "limit": 1024, "pending_bytes": 0, "subscriptions": 2,
		"in_msgs": 1, "in_bytes": 5, "out_msgs": 2, "out_bytes": 10,
	} {
		got.want(t, "gnatsd_connz_"+name, v)
	}
	got.want(t, "gnatsd_routez_num_routes", 1)
	route := decode[map[string]any](t, a, "/routez")["routes"].([]any)[0].(map[string]any)
	labels := fmt.Sprintf(`{ip="127.0.0.1",remote_id=%q,rid="%v"}`, b.id, route["rid"])
	for _, field := range []string{"in_msgs", "out_msgs", "in_bytes", "out_bytes", "subscriptions", "pending_size"} {
		got.want(t, "gnatsd_routez_"+field+labels, route[field].(float64))
	}
}

// clusteredMonitor runs a server with a cluster and a monitoring port.
func clusteredMonitor(t *testing.T, routes ...*url.URL) *Server {
	return startServer(t, func(o *Options) {
		o.HTTPHost, o.HTTPPort, o.Routes = "127.0.0.1", RandomPort, routes
		o.DisableShortFirstPing = true // it counts as pending for a moment
	})
}

func TestMetricsHaveTheStateOfTheServer(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	config := mustTLS(t, certOpts(dir, "server"))
	s := monitored(t, Options{MaxPending: 64 << 10, WriteDeadline: time.Minute, TLSConfig: nil})
	before := scrapeOf(t, s)
	before.want(t, "gnatsd_healthz_status", 1)
	before.want(t, "gnatsd_config_last_reload_successful", 1)
	before.want(t, `gnatsd_slow_consumers_total{cause="max_pending"}`, 0)
	if _, ok := before["go_goroutines"]; !ok {
		t.Error("nothing about the Go runtime")
	}
	if _, ok := before["process_start_time_seconds"]; !ok {
		t.Error("nothing about the process")
	}

	speak(t, s, hello("sleeper"), "SUB flood.> 1")
	p := speak(t, s, hello("publisher"))
	payload := strings.Repeat("x", 32<<10)
	for s.NumSlowConsumers() == 0 {
		p.Do(fmt.Sprintf("PUB flood.one %d", len(payload)), payload)
	}
	eventually(t, "the slow consumer is filed", func() bool { return s.closed.count(closeSlowPending) == 1 })
	s.counters.reloads.count(nil)
	s.counters.reloads.count(errors.New("refused"))
	s.lameDuck.Store(true)
	g := *s.policy.Load()
	g.tls = tlsfiles.NewHolder(config, tlsfiles.Clients)
	s.policy.Store(&g)

	after := scrapeOf(t, s)
	after.want(t, `gnatsd_slow_consumers_total{cause="max_pending"}`, 1)
	after.want(t, `gnatsd_closed_connections_total{reason="Slow Consumer (Pending Bytes)"}`, 1)
	after.want(t, "gnatsd_varz_slow_consumer_stats_clients", 1)
	after.want(t, `gnatsd_config_reloads_total{outcome="done"}`, 1)
	after.want(t, `gnatsd_config_reloads_total{outcome="failed"}`, 1)
	after.want(t, "gnatsd_config_last_reload_successful", 0)
	after.want(t, "gnatsd_healthz_status", 0)
	after.want(t, "gnatsd_lame_duck_mode", 1)
	after.want(t, `gnatsd_tls_certificate_expiry_timestamp_seconds{port="client"}`, float64(config.Certificates[0].Leaf.NotAfter.Unix()))
	if n := after[`gnatsd_delivery_latency_seconds_count{to="client"}`]; n == 0 || n != after[`gnatsd_delivery_latency_seconds_bucket{to="client",le="+Inf"}`] {
		t.Errorf("latency of deliveries: got %v", n)
	}
}

func TestMetricsHaveTheOutcomeOfReloads(t *testing.T) {
	t.Parallel()
	const base = "http: \"127.0.0.1:-1\"\n"
	r := startReloader(t, base)
	scrapeOf(t, r.Server).want(t, "gnatsd_config_last_reload_timestamp_seconds", 0)
	if err := r.change(t, base+"max_payload: nonsense"); err == nil {
		t.Fatal("nonsense was taken")
	}
	z := scrapeOf(t, r.Server)
	z.want(t, "gnatsd_config_last_reload_successful", 0)
	z.want(t, `gnatsd_config_reloads_total{outcome="failed"}`, 1)
	loaded := z["gnatsd_config_last_load_timestamp_seconds"]
	okay(t, r.change(t, base+"metrics_prefix: nats\nmax_payload: 1000\nhttp_user: ops\nhttp_password: canary"))
	if got := ask(t, r.Server, "/metrics"); got.status != 401 {
		t.Errorf("a login was demanded by the reload: got %d", got.status)
	}
	okay(t, r.change(t, base+"metrics_prefix: nats\nmax_payload: 1000"))
	z = scrapeOf(t, r.Server)
	z.want(t, "nats_config_last_reload_successful", 1)
	z.want(t, `nats_config_reloads_total{outcome="done"}`, 2)
	z.want(t, "nats_varz_max_payload", 1000)
	if z["nats_config_last_load_timestamp_seconds"] <= loaded || z["nats_config_last_reload_timestamp_seconds"] < loaded {
		t.Error("the time of the settings in use did not move")
	}
}

func TestMetricsHavePendingBytes(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{WriteDeadline: time.Minute})
	stuck(t, s, "flood")
	p := speak(t, s, hello("publisher"))
	payload := strings.Repeat("x", 64<<10)
	eventually(t, "pending bytes are in the metrics", func() bool {
		for s.io.Pending.Load() < 2<<20 { // the socket may take some of it later
			p.Do(fmt.Sprintf("PUB flood %d", len(payload)), payload)
		}
		z := scrapeOf(t, s)
		most := z["gnatsd_connz_pending_bytes_max"]
		return z["gnatsd_connz_lagging"] == 1 && most >= 1<<20 && z["gnatsd_connz_pending_bytes"] >= most &&
			z["gnatsd_varz_pending_bytes"] > 0 && z["gnatsd_connz_pending_seconds_max"] > 0
	})
}

func TestMetricsHaveWhatIsMissingInTheMesh(t *testing.T) {
	t.Parallel()
	missing := &url.URL{Scheme: "nats-route", Host: "127.0.0.1:1", User: url.UserPassword("me", "canary")}
	s := clusteredMonitor(t, missing)
	eventually(t, "an attempt has failed", func() bool {
		return scrapeOf(t, s)[`gnatsd_mesh_target_failures{configured="true",url="nats-route://[REDACTED]@127.0.0.1:1"}`] > 0
	})
	z := scrapeOf(t, s)
	z.want(t, `gnatsd_mesh_target_connected{configured="true",url="nats-route://[REDACTED]@127.0.0.1:1"}`, 0)
	z.want(t, "gnatsd_mesh_targets", 1)
	z.want(t, "gnatsd_mesh_targets_missing", 1)
	z.want(t, "gnatsd_mesh_headers_lost_total", 0)
}

func TestMetricsBeginWithTheirPrefix(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{MetricsPrefix: "nats"})
	own := 0
	for series := range scrapeOf(t, s) {
		switch prefix, _, _ := strings.Cut(series, "_"); prefix {
		case "nats":
			own++
		case "go", "process":
		default:
			t.Errorf("%s begins with something else", series)
		}
	}
	if own < 80 {
		t.Errorf("got %d metrics", own)
	}
}

func TestMetricsAreATableWithoutRepetitions(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	s, err := NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range s.metrics() {
		if seen[row.Name] || !metricName(row.Name) || !strings.HasSuffix(row.Help, ".") {
			t.Errorf("%q: it is there twice, or no name, or %q is no sentence", row.Name, row.Help)
		}
		seen[row.Name] = true
	}
}
