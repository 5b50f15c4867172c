package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// quiet returns the facts of a server that has nothing to report.
func quiet(t *testing.T, config *tls.Config) (*Server, *statusFacts) {
	t.Helper()
	o := Defaults()
	o.TLSConfig = config
	s, err := NewServer(o)
	okay(t, err)
	return s, &statusFacts{s: s, o: s.options(), now: time.Now(), routes: RouteCounts{Up: 2, Expected: 2}}
}

// TestStatusSaysWhatIsNotWell brings about every condition of the table.
func TestStatusSaysWhatIsNotWell(t *testing.T) {
	t.Parallel()
	config := mustTLS(t, certOpts(certDir(t), "server"))
	cases := map[string]struct {
		cause func(*Server, *statusFacts)
		text  string
	}{
		"lame_duck": {func(s *Server, _ *statusFacts) { s.lameDuck.Store(true) }, "Lame duck mode: "},
		"routes_missing": {func(_ *Server, f *statusFacts) {
			f.missing, f.routes = []string{"a:1", "b:2", "c:3", "d:4"}, RouteCounts{Up: 2, Expected: 6}
		}, "2 of 6 routes connected, missing: a:1, b:2, c:3 and 1 more"},
		"slow_consumers": {func(_ *Server, f *statusFacts) { f.recent.SlowConsumers = 2 }, "2 slow consumers disconnected in the last 5 minutes"},
		"memory": {func(s *Server, _ *statusFacts) {
			s.memory = memoryLimit{limit: 1000 << 20, live: func() (int64, uint64) { return 700 << 20, 1 }}
		}, "Memory of the heap near the limit: 700 MiB of 750 MiB"},
		"pending": {func(s *Server, f *statusFacts) {
			s.io.Pending.Store(f.o.MaxPendingTotal - 1)
		}, "Pending bytes of all connections near the limit: "},
		"connections": {func(_ *Server, f *statusFacts) { f.clients = f.o.MaxConn }, "Connections near the limit: 65536 of 65536"},
		"descriptors": {func(s *Server, _ *statusFacts) {
			s.descriptors.limit, s.descriptors.clients = 1024, 100
			s.sockets.clients.Store(90)
		}, "File descriptors for clients near the limit: 90 of 100"},
		"reload_failed": {func(s *Server, _ *statusFacts) {
			s.counters.reloads.count(errors.New("a.conf:3:1: no such key\nsecond"))
		}, "failed: a.conf:3:1: no such key"},
		"certificate":    {func(_ *Server, f *statusFacts) { f.now = f.now.Add(100 * 365 * 24 * time.Hour) }, "The TLS certificate expired on "},
		"log_lines_lost": {func(_ *Server, f *statusFacts) { f.recent.LogLinesLost = 7 }, "7 lines of the log lost"},
		"logins_refused": {func(_ *Server, f *statusFacts) { f.recent.RefusedLogins = 1 }, "1 login refused in the last 5 minutes"},
		"events_dropped": {func(_ *Server, f *statusFacts) { f.recent.EventsDropped = 3 }, "3 events of the system account dropped"},
		"no_receivers":   {func(_ *Server, f *statusFacts) { f.recent.NoReceivers = 1 }, "1 message without a receiver in the last 5 minutes"},
	}
	for _, row := range conditions {
		c, known := cases[row.code]
		if !known {
			t.Errorf("no case brings about %s", row.code)
			continue
		}
		s, f := quiet(t, config)
		if got := f.conditions(); len(got) > 0 {
			t.Errorf("%s: before there is %v", row.code, got)
		}
		c.cause(s, f)
		got := f.conditions()
		if len(got) != 1 || got[0].Code != row.code || !strings.Contains(got[0].Text, c.text) || strings.Contains(got[0].Text, "\n") {
			t.Errorf("%s: got %+v, want %q", row.code, got, c.text)
		}
		s.lameDuck.Store(false)
		s.io.Pending.Store(0)
	}
	_, f := quiet(t, nil)
	f.recent = RecentEvents{SlowConsumers: 1, RefusedLogins: 1, NoReceivers: 1}
	f.s.lameDuck.Store(true)
	var codes []string
	for _, c := range f.conditions() {
		codes = append(codes, c.Code)
	}
	if want := []string{"slow_consumers", "lame_duck", "logins_refused", "no_receivers"}; !slices.Equal(codes, want) {
		t.Errorf("got %q, want the most severe first, %q", codes, want)
	}
}

// The link of every condition leads to a part of the dashboard, or to a page that is answered.
func TestLinksOfConditionsLeadSomewhere(t *testing.T) {
	t.Parallel()
	dashboard, err := os.ReadFile(filepath.Join("internal", "monitor", "ui", "index.html"))
	okay(t, err)
	s := monitored(t, Options{})
	for _, c := range conditions {
		if part, found := strings.CutPrefix(c.link, "#"); found {
			if !strings.Contains(string(dashboard), fmt.Sprintf(" id=%q", part)) {
				t.Errorf("%s: the dashboard has no part %s", c.code, c.link)
			}
			continue
		}
		answer, err := http.Get("http://" + s.MonitorAddr().String() + "/" + c.link)
		okay(t, err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s is answered with %s", c.code, c.link, answer.Status)
		}
	}
}

func TestStatusCountsWhatHappenedRecently(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{Username: "me", Password: "pw"})
	if z := decode[Statusz](t, s, "/statusz"); z.Status != StatusOK || len(z.Conditions) != 0 {
		t.Fatalf("at first: got %+v", z)
	}
	speak(t, s, `CONNECT {"verbose":false,"user":"me","pass":"pw"}`, "PUB nothing 2\r\nhi", "PUB nothing 2\r\nhi", "SUB something 1", "PUB something 2\r\nhi")
	c := openClient(t, s)
	c.Say(`CONNECT {"verbose":false,"user":"me","pass":"wrong"}`)
	c.End("-ERR 'Authorization Violation'")
	var z Statusz
	eventually(t, "the refused login", func() bool {
		z = decode[Statusz](t, s, "/statusz")
		return z.Recent.RefusedLogins == 1
	})
	if z.Status != StatusWarning || z.Recent.NoReceivers != 2 || len(z.Conditions) != 2 {
		t.Errorf("got %+v", z)
	}
	// What was counted before is not recent any more.
	forget(&s.history)
	s.history.add(s.sample(time.Now().Add(-recently - time.Second)))
	if f := s.statusFacts(time.Now()); f.recent != (RecentEvents{}) {
		t.Errorf("later: got %+v", f.recent)
	}
}

// forget empties a history.
func forget(h *history) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples, h.next = nil, 0
}

func TestHistoryHasTheRatesOfAnHour(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	var h history // not that of the server, which adds to it
	begin := time.Now().Add(-2 * time.Hour).UnixNano()
	for i := range int64(1000) { // 5000 s
		h.add(historySample{
			at: begin + i*int64(sampleInterval), traffic: trafficSum{inMsgs: 10 * i, outMsgs: 20 * i, inBytes: 30 * i, outBytes: 40 * i},
			cpu: time.Duration(i) * sampleInterval / 2, mem: 7, pending: i, connections: 3,
		})
	}
	all := h.all()
	if len(all) != maxSamples || all[0].pending != int64(1000-maxSamples) || all[len(all)-1].pending != 999 {
		t.Fatalf("got %d samples, from %d to %d", len(all), all[0].pending, all[len(all)-1].pending)
	}
	if got := fmt.Sprint(all[5].row(&all[4])[1:]); got != fmt.Sprint([]float64{2, 4, 6, 8, 3, float64(all[5].pending), 50, 7}) {
		t.Errorf("got the row %s", got)
	}
	forget(&s.history)
	for i := range int64(maxSamples) {
		s.history.add(historySample{at: time.Now().Add(-time.Hour).UnixNano() + i*int64(sampleInterval), traffic: trafficSum{inMsgs: i * i}})
	}
	for query, want := range map[string][2]int{"": {715, 721}, "?minutes=15": {178, 181}, "?minutes=1": {10, 13}, "?minutes=-3": {715, 721}} {
		z := decode[Historyz](t, s, "/historyz"+query)
		if n := len(z.Rows); n < want[0] || n > want[1] || len(z.Rows[0]) != len(z.Columns) || z.Interval != 5 {
			t.Errorf("%s: got %d rows of %d columns, want %v", query, n, len(z.Rows[0]), want)
		}
	}
	if body := ask(t, s, "/historyz").body; len(body) > 100<<10 {
		t.Errorf("the page has %d bytes", len(body))
	}
}
