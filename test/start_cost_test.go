package test

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// initLine is what GODEBUG=inittrace=1 has the runtime print of each package.
var initLine = regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes, (\d+) allocs$`)

// TestPackagesDoNoWorkBeforeMain bounds what this module's packages allocate before main, which every
// run of the program waits for: tables and patterns are made when they are first used.
func TestPackagesDoNoWorkBeforeMain(t *testing.T) {
	t.Parallel()
	const most = 100 // one regular expression takes more
	cmd := command(t, "-v")
	cmd.Env = append(cmd.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	must(t, cmd.Run())
	own := 0
	for _, m := range initLine.FindAllStringSubmatch(trace.String(), -1) {
		if !strings.HasPrefix(m[1], "gnatsd/") {
			continue
		}
		own++
		if n, _ := strconv.Atoi(m[3]); n > most {
			t.Errorf("%s: got %d allocations before main, want at most %d", m[1], n, most)
		}
	}
	if own == 0 {
		t.Errorf("no package of gnatsd is in the trace:\n%s", trace.String())
	}
}

// TestStartAllocatesLittle bounds what a start with a monitoring port allocates, with the first
// request to it: some 2 600 objects. One page read ahead, or the defaults of all settings once more,
// is 1 000.
func TestStartAllocatesLittle(t *testing.T) {
	t.Parallel()
	const most = 3600
	p := spawn(t, "-m", "-1")
	monitor := p.await(t, `http monitor on (\S+)$`)[1]
	p.addr(t)
	resp, err := http.Get("http://" + monitor + "/metrics")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	m := regexp.MustCompile(`(?m)^go_memstats_mallocs_total (\S+)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no count of allocations in %s", text)
	}
	if n, err := strconv.ParseFloat(string(m[1]), 64); err != nil || n > most {
		t.Errorf("got %s allocations, %v, want at most %d", m[1], err, most)
	}
}
