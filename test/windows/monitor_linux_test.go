package windows

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// page returns a page of the monitoring port.
func page(t *testing.T, addr, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + addr + path)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s\n%s", path, resp.Status, text)
	}
	return string(text)
}

// TestPages looks at all pages, and at what Windows says of the process.
func TestPages(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	b := m.start(t, "-m", "-1")
	pages := b.port("Starting http monitor on")
	c := wire.Dial(t, b.ready())
	c.Do("SUB foo 1", "PUB foo 2", "hi")
	for _, path := range []string{"/", "/varz", "/connz?subs=1", "/routez", "/subsz?list=1", "/subjectz", "/statusz", "/clusterz", "/historyz",
		"/healthz", "/metrics", "/stacksz", "/openapi.json"} {
		if text := page(t, pages, path); len(text) < 10 {
			t.Errorf("%s: got %q", path, text)
		}
	}
	var varz struct {
		Mem         int64 `json:"mem"`
		Cores       int   `json:"cores"`
		Connections int   `json:"connections"`
		InMsgs      int   `json:"in_msgs"`
	}
	must(t, json.Unmarshal([]byte(page(t, pages, "/varz")), &varz))
	if varz.Mem < 1<<20 || varz.Cores < 1 || varz.Connections != 1 || varz.InMsgs != 1 {
		t.Errorf("/varz: got %+v", varz)
	}
	metrics := page(t, pages, "/metrics")
	for _, name := range []string{"process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds", "process_cpu_seconds_total"} {
		if !strings.Contains(metrics, "\n"+name+" ") {
			t.Errorf("/metrics has no %s", name)
		}
	}
}
