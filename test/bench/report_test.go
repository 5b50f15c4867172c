package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exampleReport has two rounds of one scenario that went well, and one that did not.
func exampleReport() *report {
	r := newReport([]string{"./gnatsd", "/usr/sbin/nats-server"})
	r.setVersion(0, "1.5.0")
	r.setVersion(1, "2.9.10")
	r.add("1-1/16", 0, 0, measures{throughput: 4_000_000, serverCPU: 80}, nil)
	r.add("1-1/16", 1, 0, measures{throughput: 1_000_000, serverCPU: 320}, nil)
	r.add("1-1/16", 0, 1, measures{throughput: 6_000_000, serverCPU: 90}, nil)
	r.add("1-1/16", 1, 1, measures{throughput: 1_000_000, serverCPU: 360}, nil)
	r.add("idle-5000", 0, 0, measures{bytesEach: 4400}, nil)
	r.add("idle-5000", 1, 0, nil, errors.New("connection refused"))
	return r
}

func TestReportTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	exampleReport().print(&b)
	want := `gnatsd: ./gnatsd, version 1.5.0
nats-server: /usr/sbin/nats-server, version 2.9.10
Medians over the rounds; a ratio is the first broker's value divided by the peer's, round by round.
scenario   measure              unit     gnatsd  nats-server  ratio
1-1/16     throughput           /s    5 000 000    1 000 000   5.00
           server cpu           ns         85.0          340   0.25
idle-5000  memory each          B         4 400            -      -
           failed: nats-server
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReportFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "results.json")
	if err := exampleReport().save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Results []struct {
			Scenario, Measure string
			Rounds            [][]*float64
			Ratios            []*float64
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Results); n != 3 {
		t.Fatalf("%d results, want 3:\n%s", n, text)
	}
	first, last := got.Results[0], got.Results[2]
	if first.Measure != "throughput" || *first.Rounds[0][1] != 6_000_000 || *first.Ratios[0] != 5 {
		t.Errorf("first result %+v, want the throughput of 1-1/16:\n%s", first, text)
	}
	if last.Scenario != "idle-5000" || last.Rounds[1][0] != nil || last.Ratios[0] != nil {
		t.Errorf("last result %+v, want null for what was not measured:\n%s", last, text)
	}
}

func TestReportNamesFailures(t *testing.T) {
	t.Parallel()
	want := []string{"idle-5000: nats-server, round 1: connection refused"}
	if got := exampleReport().failures(); !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
}

func TestBrokersOfTheSameNameAreNumbered(t *testing.T) {
	t.Parallel()
	want := []string{"gnatsd", "gnatsd#2"}
	if got := newReport([]string{"./gnatsd", "/old/gnatsd"}).names; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
}

func TestEveryMetricHasARow(t *testing.T) {
	t.Parallel()
	for k, m := range metricTable() {
		if m.name == "" || m.unit == "" {
			t.Errorf("metric %d has no name or no unit", k)
		}
	}
}

func TestEveryThresholdNamesAScenario(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, sc := range scenarios() {
		if known[sc.name] {
			t.Errorf("two scenarios are called %s", sc.name)
		}
		known[sc.name] = true
	}
	for _, th := range thresholds() {
		if !known[th.scenario] {
			t.Errorf("threshold of %s, which is no scenario", th.scenario)
		}
	}
}

func TestMisses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		want threshold
		miss string
	}{
		{"enough throughput", threshold{"1-1/16", throughput, 4, false}, ""},
		{"too little throughput", threshold{"1-1/16", throughput, 6, false}, "1-1/16: throughput: ratio 5.00, want at least 6.00"},
		{"little enough CPU", threshold{"1-1/16", serverCPU, 0.3, false}, ""},
		{"too much CPU", threshold{"1-1/16", serverCPU, 0.2, false}, "1-1/16: server cpu: ratio 0.25, want at most 0.20"},
		{"enough of its own", threshold{"1-1/16", throughput, 5_000_000, true}, ""},
		{"too little of its own", threshold{"1-1/16", throughput, 5_000_001, true}, "1-1/16: throughput: 5000000.0, want at least 5000001.0"},
		{"a peer that failed", threshold{"idle-5000", bytesEach, 1, false}, "idle-5000: memory each: not measured"},
		{"a scenario that was not run", threshold{"pub/0", throughput, 2, false}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(misses([]threshold{tc.want}, exampleReport()), "; ")
			if got != tc.miss {
				t.Errorf("misses %q, want %q", got, tc.miss)
			}
		})
	}
}

func TestABusyMachineIsMentioned(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		others float64
		want   bool
	}{
		{"a machine of our own is not", 1, false},
		{"one that others use is", 40, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newReport([]string{"gnatsd"})
			r.add("pub/0", 0, 0, measures{throughput: 1, othersCPU: tc.others}, nil)
			var b strings.Builder
			r.print(&b)
			if got := strings.Contains(b.String(), "Other processes used"); got != tc.want {
				t.Errorf("mentioned: %v, want %v:\n%s", got, tc.want, b.String())
			}
		})
	}
}
