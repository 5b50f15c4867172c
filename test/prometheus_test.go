package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/server"
	"gnatsd/test/certs"
	"gnatsd/test/freeport"
)

// debian returns the path of a program of Debian's package prometheus.
func debian(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, debianPackage(program, "prometheus"))
	}
	return path
}

// secureAndRouted starts a server with monitoring, TLS and a route. dir has the certificates.
func secureAndRouted(t *testing.T) (s *server.Server, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := certs.WriteAll(dir); err != nil {
		t.Fatal(err)
	}
	seed := clustered(t, nil)
	s = clustered(t, func(o *server.Options) {
		o.HTTPHost, o.HTTPPort = "127.0.0.1", anyPort
		o.TLSCert, o.TLSKey = filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem")
		// A client that is too slow on a busy machine would go on to the other server, which has no TLS.
		o.TLSTimeout = 20
		o.Routes = []*url.URL{clusterURL(seed)}
	})
	routed(t, s, 1)
	return s, dir
}

// everyMetric is the /metrics page of a broker that has all there is: TLS, and a route.
func everyMetric(t *testing.T) string {
	t.Helper()
	s, _ := secureAndRouted(t)
	return page(t, s, "/metrics")
}

// page fetches a page of the monitoring port.
func page(t *testing.T, s *server.Server, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + s.MonitorAddr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %s", path, resp.StatusCode, err, body)
	}
	return string(body)
}

// metricNames are the names of the series of a scrape.
func metricNames(scrape string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(scrape) {
		if !strings.HasPrefix(line, "#") {
			names[line[:strings.IndexAny(line, "{ ")]] = true
		}
	}
	return names
}

// dashboard is the part of Grafana's format that says what is asked of Prometheus.
type dashboard struct {
	Panels []struct {
		ID          int
		Title       string
		Type        string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr, RefID, LegendFormat string }
	}
	Templating struct {
		List []struct{ Name, Definition string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("../util/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions are the queries of the dashboard, with its variables filled in.
func (d *dashboard) expressions() (list []string) {
	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			list = append(list, fill.Replace(target.Expr))
		}
	}
	return list
}

// series finds the names of metrics in text; rates that rules record begin with "instance:" and are
// left out.
var series = regexp.MustCompile(`(?:^|[^:_a-z])((?:gnatsd|go|process)_[a-z0-9_]+)`)

// TestDashboardAndRulesAskForMetricsThatExist compares the files in util with a scrape.
func TestDashboardAndRulesAskForMetricsThatExist(t *testing.T) {
	t.Parallel()
	names := metricNames(everyMetric(t))
	rules, err := os.ReadFile("../util/prometheus-rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	d := readDashboard(t)
	texts := d.expressions()
	for _, v := range d.Templating.List {
		texts = append(texts, v.Definition)
	}
	asked := 0
	for line := range strings.Lines(string(rules)) {
		if expr, ok := strings.CutPrefix(strings.TrimSpace(line), "expr: "); ok {
			texts = append(texts, expr)
		}
	}
	for _, text := range texts {
		for _, m := range series.FindAllStringSubmatch(text, -1) {
			asked++
			if !names[m[1]] {
				t.Errorf("%s, asked for by %q, is not on /metrics", m[1], text)
			}
		}
	}
	if asked < 50 {
		t.Errorf("found %d metrics in the files: they were not read", asked)
	}
}

func TestDashboardIsComplete(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H == 0 {
			t.Errorf("panel %d %q: its id is used twice, or it has no title, or it lies outside", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %q does not say what it shows", p.Title)
		}
		for _, target := range p.Targets {
			if target.RefID == "" || target.LegendFormat == "" || !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("panel %q: got %+v", p.Title, target)
			}
		}
	}
	if len(d.Panels) < 20 {
		t.Errorf("got %d panels", len(d.Panels))
	}
}

func TestPromtoolTakesMetricsRulesAndDashboard(t *testing.T) {
	t.Parallel()
	promtool := debian(t, "promtool")
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(everyMetric(t))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("check metrics: got %v\n%s; want no fault found", err, out)
	}
	d := readDashboard(t)
	var asked strings.Builder
	asked.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, expr := range d.expressions() {
		fmt.Fprintf(&asked, "  - {record: panel:%d, expr: %q}\n", i, expr)
	}
	panels := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(panels, []byte(asked.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", "--lint-fatal", "../util/prometheus-rules.yml"},
		{"test", "rules", "../util/testdata/prometheus-rules-test.yml"},
		{"check", "rules", panels},
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// prometheus is a Prometheus that runs until the test ends.
type prometheus struct{ api string }

// startPrometheus runs Debian's Prometheus with the rules in util, scraping target every second.
func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("../util/prometheus-rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: broker, static_configs: [{targets: [%q]}]}]
`, rules, target)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := freeport.Loopback(freePort(t)) // Prometheus does not tell which port it got
	cmd := exec.Command(debian(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus:\n%s", log.String())
		}
	})
	return &prometheus{api: "http://" + addr + "/api/v1/query?query="}
}

// ask returns the first value that a query finds.
func (p *prometheus) ask(query string) (v float64, ok bool) {
	resp, err := http.Get(p.api + url.QueryEscape(query))
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil || len(answer.Data.Result) == 0 {
		return 0, false
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	v, err = strconv.ParseFloat(text, 64)
	return v, err == nil
}

// wants waits until a query finds a value that is fine.
func (p *prometheus) wants(t *testing.T, query string, fine func(float64) bool) {
	t.Helper()
	var last float64
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		v, ok := p.ask(query)
		if ok && fine(v) {
			return
		}
		last = v
		if time.Now().After(end) {
			t.Fatalf("%s: got %v", query, last)
		}
	}
}

// TestPrometheusScrapesALoadedBroker has a real Prometheus watch a broker with clients and traffic,
// and asks it what it saw.
func TestPrometheusScrapesALoadedBroker(t *testing.T) {
	t.Parallel()
	s := Start(t, &server.Options{HTTPHost: "127.0.0.1", HTTPPort: anyPort})
	const subscribers = 20
	for range subscribers {
		nc := connected(t, s)
		if _, err := nc.Subscribe("load", func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
	}
	known(t, s, subscribers)
	stop := make(chan struct{})
	done := make(chan struct{})
	publisher := connected(t, s)
	go func() { // ends with stop, which the test waits for
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				publisher.Publish("load", make([]byte, 128))
				publisher.Flush() // no faster than the broker
			}
		}
	}()
	defer func() { close(stop); <-done }()

	p := startPrometheus(t, s.MonitorAddr().String())
	p.wants(t, "gnatsd_connz_num_connections", func(v float64) bool { return v == subscribers+1 })
	p.wants(t, "rate(gnatsd_varz_in_msgs[10s])", func(v float64) bool { return v > 1 })
	p.wants(t, "rate(gnatsd_varz_out_msgs[10s]) / rate(gnatsd_varz_in_msgs[10s])", func(v float64) bool { return v > subscribers*.9 && v < subscribers*1.1 })
	p.wants(t, "histogram_quantile(0.5, sum by (le) (rate(gnatsd_delivery_latency_seconds_bucket[10s])))", func(v float64) bool { return v > 0 && v < 1 })
	p.wants(t, "instance:gnatsd_in_msgs:rate1m", func(v float64) bool { return v > 0 })
	p.wants(t, `scrape_samples_scraped{job="broker"}`, func(v float64) bool { return v > 100 })
	p.wants(t, `count(ALERTS) or vector(0)`, func(v float64) bool { return v == 0 })
}

// connected is a client of today, until the test ends.
func connected(t *testing.T, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := goClient(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
