package main

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestSurveyorGetsWhatItsMetricsAreMadeOf asks one server and a mesh of three.
func TestSurveyorGetsWhatItsMetricsAreMadeOf(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "gnatsd")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", binary, "gnatsd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	want := map[string]int{}
	for _, r := range surveyRequests {
		for _, f := range r.fields {
			if f.metric != "" && !f.later {
				want[f.metric]++
			}
		}
	}
	for _, n := range systemShapes {
		w := &work{ctx: ctx, dir: t.TempDir()}
		got, err := w.surveyOf(binary, n, true)
		if err != nil {
			t.Fatalf("%d server(s): %v", n, err)
		}
		for metric := range want {
			found := false
			for name := range got {
				found = found || strings.HasPrefix(name, metric+"{")
			}
			if routes := strings.Contains(metric, "_route_"); found != (n > 1 || !routes) {
				t.Errorf("%d server(s): metric %s: %v", n, metric, found)
			}
		}
	}
}

// TestSurveyNoticesWhatIsMissing takes answers of which a field is gone, or of another type.
func TestSurveyNoticesWhatIsMissing(t *testing.T) {
	t.Parallel()
	const good = `{"server":{"cluster":"C","name":"n","id":"i","host":"h","ver":"1","seq":1,"time":"2026-11-29T00:00:00Z","jetstream":false},
		"statsz":{"routes":[{"rid":1,"name":"m","sent":{"msgs":1,"bytes":1},"received":{"msgs":1,"bytes":1},"pending":0}]}}`
	r := surveyRequest{list: "statsz.routes", fields: ofRoutes}
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{`"pending":0`, `"pending":"0"`, "pending is 0, want a number"},
		{`,"pending":0`, ``, "pending is <nil>"},
		{`"seq":1`, `"seq":0`, "server.seq is 0"},
		{`"2026-11-29T00:00:00Z"`, `"now"`, "server.time is now, want a time"},
		{`"jetstream":false`, `"jetstream":0`, "server.jetstream is 0, want a truth"},
		{`"id":"i"`, `"id":""`, "server.id is , want a text"},
		{`"routes":[`, `"others":[`, "statsz.routes has 0 elements, of 2 servers"},
		{`"statsz":`, `"error":{"code":500},"statsz":`, "an error"},
	} {
		var v any
		if err := json.Unmarshal([]byte(strings.Replace(good, c.old, c.new, 1)), &v); err != nil {
			t.Fatal(err)
		}
		err := r.read(v, 2, true, map[string]bool{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q in it", c.new, err, c.want)
		}
	}
}
