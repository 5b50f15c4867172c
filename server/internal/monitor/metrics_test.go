package monitor

import (
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestMetricsComeInTheFormatThatIsAskedFor(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{MetricsPrefix: "gnatsd"}, func(c *Config) {
		c.Process = func() []Metric { return []Metric{Gauge("process_open_fds", "Files.", 7)} }
		c.Metrics = func() []Metric {
			return []Metric{
				Gauge("deadline", "A time.", 2*time.Second), Counter("sent_total", "Total.", uint64(3)), Text("name", "Name.", "a\xff\"b\n"),
				{Name: "empty", Help: "No samples."},
				{Name: "up", Help: "Whether it is up.", Labels: []string{"url"}, Samples: []Sample{{Value: Bool(true), Labels: []string{"a"}}, {Value: Bool(false), Labels: []string{"b"}}}},
				{Name: "latency_seconds", Help: "Time.", Labels: []string{"to"}, Samples: []Sample{{Labels: []string{"client"}, Histogram: &Histogram{Count: 3, Sum: 1.5, UpTo: map[float64]uint64{0.1: 2}}}}},
			}
		}
	})
	series := []string{
		`gnatsd_deadline{server_id="S1"} 2e+09`, `gnatsd_sent_total{server_id="S1"} 3`, `gnatsd_name{server_id="S1",value="a�\"b\n"} 1`,
		`gnatsd_up{server_id="S1",url="a"} 1`, `gnatsd_up{server_id="S1",url="b"} 0`,
		`gnatsd_latency_seconds_bucket{server_id="S1",to="client",le="0.1"} 2`, `gnatsd_latency_seconds_bucket{server_id="S1",to="client",le="+Inf"} 3`,
		`gnatsd_latency_seconds_sum{server_id="S1",to="client"} 1.5`, "# TYPE gnatsd_deadline gauge", "# TYPE gnatsd_latency_seconds histogram",
		"# HELP gnatsd_up Whether it is up.", "go_goroutines ", "process_open_fds ",
	}
	for _, c := range []struct{ accept, kind, counter, end string }{
		{"", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "# TYPE gnatsd_sent_total counter", "\n"},
		{"text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "# TYPE gnatsd_sent_total counter", "\n"},
		{"application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores", "# TYPE gnatsd_sent counter", "\n# EOF\n"},
	} {
		got := ask(t, m, "/metrics", "Accept", c.accept)
		if got.status != 200 || got.contentType != c.kind || !strings.HasSuffix(got.body, c.end) {
			t.Errorf("%q: got %d %q, ends with %q", c.accept, got.status, got.contentType, got.body[max(0, len(got.body)-20):])
		}
		for _, line := range append(series, c.counter) {
			if c.end != "\n" && !strings.HasPrefix(line, "#") {
				line = line[:strings.LastIndexByte(line, ' ')+1] // OpenMetrics writes 3.0
			}
			if !strings.Contains(got.body, "\n"+line) {
				t.Errorf("%q: no %q", c.accept, line)
			}
		}
		if strings.Contains(got.body, "gnatsd_empty") {
			t.Errorf("%q: a metric without samples is there", c.accept)
		}
	}
}

func TestMetricsNeedNoPrefix(t *testing.T) {
	t.Parallel()
	if got := ask(t, started(t, Settings{}, nil), "/metrics"); !strings.Contains(got.body, "\nanswers{server_id=\"S1\"} 42\n") {
		t.Errorf("got %s", got.body)
	}
}

func TestMetricsAreCompressedForThoseThatAccept(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
	for accept, want := range map[string]string{"": "", "gzip": "gzip", "deflate, GZIP;q=0.5": "gzip", "gzip;q=0": "", "identity": ""} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		m.ServePage("/metrics", w, r)
		if got := w.Header().Get("Content-Encoding"); got != want {
			t.Errorf("%q: got %q, want %q", accept, got, want)
		}
		var body io.Reader = w.Body
		if want != "" {
			zip, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = zip
		}
		if text, err := io.ReadAll(body); err != nil || !strings.Contains(string(text), "\ngo_goroutines ") {
			t.Errorf("%q: %v, got %q", accept, err, text)
		}
	}
}
