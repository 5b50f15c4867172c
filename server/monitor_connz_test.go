package server

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// keysOf returns the keys of a JSON object in their order, those of nested ones
// left out.
func keysOf(page string, indent int) (keys []string) {
	prefix := strings.Repeat(" ", indent) + `"`
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			if key, _, ok := strings.Cut(rest, `": `); ok {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

func TestPagesHaveTheirFieldsInTheClassicOrder(t *testing.T) {
	s := monitored(t, Options{MaxSubs: 7})
	speak(t, s, hello("one"), "SUB foo q 1")
	for _, c := range []struct {
		path   string
		indent int
		want   string
	}{
		{"/varz", 2, `server_id version proto go host addr max_connections max_subscriptions ping_interval ping_max
			http_host http_port https_port auth_timeout max_control_line cluster tls_timeout port max_payload start now uptime
			mem cores cpu connections total_connections routes remotes in_msgs out_msgs in_bytes out_bytes slow_consumers
			max_pending write_deadline subscriptions http_req_stats config_load_time`},
		{"/connz", 2, "server_id now num_connections total offset limit connections"},
		{"/connz?subs=1&auth=1", 6, `cid ip port start last_activity uptime idle pending_bytes in_msgs out_msgs in_bytes out_bytes
			subscriptions name lang version subscriptions_list`},
		{"/routez", 2, "server_id now num_routes routes"},
		{"/subsz", 2, "num_subscriptions num_cache num_inserts num_removes num_matches cache_hit_rate max_fanout avg_fanout"},
		{"/subsz?subs=1", 6, "subject qgroup sid msgs cid"},
	} {
		got := keysOf(ask(t, s, c.path).body, c.indent)
		got = slices.DeleteFunc(got, func(k string) bool { return k == "git_commit" })
		want := strings.Fields(c.want)
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: got\n%v\nwant it to begin with\n%v", c.path, got, want)
		}
	}
}

func TestConnzTellsWhatAClientDid(t *testing.T) {
	s := monitored(t, Options{})
	a := speak(t, s, hello(`<b>&`), "SUB foo.* 1", "SUB bar q 22")
	speak(t, s, hello("publisher"), "PUB foo.x 5", "hello", "PUB bar 2", "hi")
	a.say()
	got := decode[Connz](t, s, "/connz?subs=1")
	if len(got.Conns) != 2 || got.Total != 2 || got.NumConns != 2 || got.Limit != 1024 || got.ID != s.ID() {
		t.Fatalf("got %+v", got)
	}
	sub, pub := got.Conns[0], got.Conns[1]
	if sub.Name != `<b>&` || sub.OutMsgs != 2 || sub.OutBytes != 7 || sub.NumSubs != 2 || fmt.Sprint(sub.Subs) != "[foo.* bar]" {
		t.Errorf("subscriber: got %+v", sub)
	}
	if pub.InMsgs != 2 || pub.InBytes != 7 || pub.OutMsgs != 0 || pub.Subs != nil || pub.Lang != "go" || pub.Version != "1.2" {
		t.Errorf("publisher: got %+v", pub)
	}
	if body := ask(t, s, "/connz").body; !strings.Contains(body, `"name": "\u003cb\u003e\u0026"`) {
		t.Error("HTML is not escaped in JSON")
	}
	detail := decode[Connz](t, s, "/connz?subs=detail&cid=1").Conns[0].SubsDetail
	want := []SubDetail{{Subject: "foo.*", Sid: "1", Msgs: 1, Cid: 1}, {Subject: "bar", Queue: "q", Sid: "22", Msgs: 1, Cid: 1}}
	if !slices.Equal(detail, want) {
		t.Errorf("detail: got %+v, want %+v", detail, want)
	}
}

func TestConnzSortsByEveryKey(t *testing.T) {
	now := time.Now()
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	rows := []*connRow{
		{cid: 1, start: at(-30), active: at(-9), stop: at(-3), reason: closeStale, subs: 1, inMsgs: 3, inBytes: 2, rtt: 2, out: outStats{msgs: 1, bytes: 3, pending: 2}},
		{cid: 2, start: at(-20), active: at(-1), stop: at(-1), reason: closeClient, subs: 3, inMsgs: 1, inBytes: 3, rtt: 1, out: outStats{msgs: 3, bytes: 2, pending: 1}},
		{cid: 3, start: at(-10), active: at(-5), stop: at(-2), reason: closeReadError, subs: 2, inMsgs: 2, inBytes: 1, rtt: 3, out: outStats{msgs: 2, bytes: 1, pending: 3}},
		{cid: 4, start: at(-10), active: at(-5), stop: at(-2), reason: closeReadError, subs: 2, inMsgs: 2, inBytes: 1, rtt: 3, out: outStats{msgs: 2, bytes: 1, pending: 3}},
	}
	want := map[SortOpt]string{
		ByCid: "1234", ByStart: "1234", BySubs: "2341", ByPending: "3412", ByOutMsgs: "2341", ByInMsgs: "1342",
		ByOutBytes: "1234", ByInBytes: "2134", ByLast: "2341", ByIdle: "1342", ByUptime: "3421", ByRTT: "3412",
		ByStop: "2341", ByReason: "2341",
	}
	for _, r := range sortRows {
		sorted := slices.Clone(rows)
		slices.SortFunc(sorted, func(a, b *connRow) int {
			if n := r.order(a, b, now); n != 0 {
				return n
			}
			return int(a.cid) - int(b.cid)
		})
		got := ""
		for _, row := range sorted {
			got += fmt.Sprint(row.cid)
		}
		if got != want[r.opt] {
			t.Errorf("%s: got %s, want %s", r.opt, got, want[r.opt])
		}
	}
	if len(sortRows) != len(want) {
		t.Errorf("%d orders, want %d", len(sortRows), len(want))
	}
}

func TestConnzTakesEveryWordThatNatsTopSends(t *testing.T) {
	s := monitored(t, Options{})
	for word := range strings.FieldsSeq("cid start subs pending msgs_to msgs_from bytes_to bytes_from last idle uptime rtt") {
		if got := ask(t, s, "/connz?limit=1024&sort="+word); got.status != 200 {
			t.Errorf("%s: got %d %s", word, got.status, got.body)
		}
		if !SortOpt(word).IsValid() {
			t.Errorf("%s is not valid", word)
		}
	}
	for word := range strings.FieldsSeq("stop reason") {
		if got := ask(t, s, "/connz?sort="+word); got.status != 400 || !strings.HasSuffix(got.body, "\n") {
			t.Errorf("%s: got %d %q, want 400 and a line end", word, got.status, got.body)
		}
	}
}

func TestPagesAnswerExtremesOfOffsetAndLimit(t *testing.T) {
	s := monitored(t, Options{})
	for i := range 3 {
		speak(t, s, hello("c"), fmt.Sprintf("SUB foo.%d 1", i))
	}
	extremes := []int{0, 1, 2, 3, -1, math.MaxInt32, math.MinInt32, math.MaxInt, math.MinInt, math.MaxInt - 1}
	for _, offset := range extremes {
		for _, limit := range extremes {
			want := 3 - min(max(offset, 0), 3)
			if limit > 0 {
				want = min(want, limit)
			}
			for _, page := range []string{"/connz", "/connz?subs=1", "/connz?state=any&sort=idle"} {
				join := "?"
				if strings.Contains(page, "?") {
					join = "&"
				}
				path := fmt.Sprintf("%s%soffset=%d&limit=%d", page, join, offset, limit)
				if got := decode[Connz](t, s, path); len(got.Conns) != want || got.NumConns != want || got.Total != 3 {
					t.Errorf("%s: got %d of %d, want %d", path, len(got.Conns), got.Total, want)
				}
			}
			path := fmt.Sprintf("/subsz?subs=1&offset=%d&limit=%d", offset, limit)
			if got := decode[Subsz](t, s, path); len(got.Subs) != want {
				t.Errorf("%s: got %d, want %d", path, len(got.Subs), want)
			}
		}
	}
}

func TestConnzFindsOneClientInEveryState(t *testing.T) {
	s := monitored(t, Options{})
	a := speak(t, s, hello("gone"), "SUB foo 1", "SUB bar 2")
	speak(t, s, `CONNECT {"verbose":false,"name":"here","user":"anna"}`)
	a.nc.Close()
	eventually(t, "one client is left", func() bool { return s.NumClients() == 1 })
	for _, c := range []struct {
		query string
		cids  string
		total int
	}{
		{"state=open&cid=2", "[2]", 1},
		{"state=open&cid=1", "[]", 1},
		{"state=closed&cid=1", "[1]", 1},
		{"state=all&cid=1", "[1]", 2},
		{"state=all&cid=2", "[2]", 2},
		{"state=any", "[1 2]", 2},
		{"state=all&search=HERE", "[2]", 1},
		{"state=all&search=nobody", "[]", 0},
		{"state=all&search=ANNA", "[2]", 1},
		{"state=all&reason=client", "[1]", 1},
		{"state=all&reason=Slow+Consumer", "[]", 0},
		{"state=open&reason=Unknown", "[]", 0},
	} {
		z := decode[Connz](t, s, "/connz?"+c.query)
		cids := []uint64{}
		for _, i := range z.Conns {
			cids = append(cids, i.Cid)
		}
		if fmt.Sprint(cids) != c.cids || z.Total != c.total {
			t.Errorf("%s: got %v of %d, want %s of %d", c.query, cids, z.Total, c.cids, c.total)
		}
		if strings.Contains(c.query, "cid=") && z.Limit != 1 {
			t.Errorf("%s: got limit %d, want 1", c.query, z.Limit)
		}
	}
	gone := decode[Connz](t, s, "/connz?state=closed&subs=1&auth=1").Conns[0]
	if gone.Reason != "Client" || gone.Stop == nil || gone.NumSubs != 2 || fmt.Sprint(gone.Subs) != "[foo bar]" {
		t.Errorf("got %+v", gone)
	}
}

func TestConnzRemembersTheLastClosedClients(t *testing.T) {
	s := monitored(t, Options{MaxClosedClients: 8, MaxConn: 1})
	keep := speak(t, s, hello("keeps its place"))
	for range 20 {
		refused := speakRefused(t, s)
		refused.nc.Close()
	}
	eventually(t, "all are filed", func() bool { return s.closed.count(closeMaxConnections) == 20 })
	z := decode[Connz](t, s, "/connz?state=closed")
	if z.Total != 4 || z.Conns[3].Cid != 21 || z.Conns[0].Reason != "Maximum Connections Exceeded" {
		t.Errorf("got %d, last %+v", z.Total, z.Conns[len(z.Conns)-1])
	}
	keep.say()
}

// speakRefused connects a client that the server has no place for.
func speakRefused(t *testing.T, s *Server) *speaker {
	t.Helper()
	nc := dialPort(t, s)
	c := &speaker{t: t, nc: nc}
	buf := make([]byte, 4096)
	for {
		if _, err := nc.Read(buf); err != nil {
			return c
		}
	}
}

func TestClosedRecordsOfSlowConsumersOutliveChurn(t *testing.T) {
	var z closedConns
	z.limit(10)
	record := func(cid uint64, r closeReason) { z.file(&closedConn{row: connRow{cid: cid, reason: r}}) }
	for cid := range uint64(3) {
		record(cid, closeSlowPending)
	}
	for cid := range uint64(20000) {
		record(100+cid, closeClient)
	}
	slow := 0
	for _, rec := range z.records() {
		if slowEnd(rec.row.reason) {
			slow++
		}
	}
	if slow != 3 || len(z.records()) != 3+5 {
		t.Errorf("got %d slow of %d, want 3 of 8", slow, len(z.records()))
	}
}

func TestClosedRecordsHoldABoundedNumberOfSubjects(t *testing.T) {
	var z closedConns
	z.limit(100)
	for range 50 {
		z.file(&closedConn{row: connRow{reason: closeClient}, subs: make([]SubDetail, maxClosedSubjects/10)})
	}
	if z.subjects > maxClosedSubjects || z.subjects == 0 {
		t.Errorf("got %d", z.subjects)
	}
	for range 100 {
		z.file(&closedConn{row: connRow{reason: closeClient}})
	}
	if z.subjects != 0 {
		t.Errorf("%d subjects are counted, but none are held", z.subjects)
	}
}

func TestSlowConsumersAreListedWithTheirCause(t *testing.T) {
	s := monitored(t, Options{MaxPending: 64 << 10, WriteDeadline: time.Minute})
	speak(t, s, hello("sleeper"), "SUB flood.> 1")
	p := speak(t, s, hello("publisher"))
	payload := strings.Repeat("x", 32<<10)
	for s.NumSlowConsumers() == 0 {
		p.say(fmt.Sprintf("PUB flood.one %d", len(payload)), payload)
	}
	var z Connz
	eventually(t, "the record is filed", func() bool {
		z = decode[Connz](t, s, "/connz?state=closed")
		return z.Total == 1
	})
	got := z.Conns[0]
	if got.Name != "sleeper" || got.Reason != "Slow Consumer (Pending Bytes)" || got.Pending <= 64<<10 || got.PendingSubject != "flood.one" || got.PendingFor == "" {
		t.Errorf("got %+v", got)
	}
	v := decode[Varz](t, s, "/varz")
	if v.SlowConsumers != 1 || v.SlowStats.Clients != 1 {
		t.Errorf("varz: got %d, %+v", v.SlowConsumers, v.SlowStats)
	}
}

func TestSubszListsWhatASubjectReaches(t *testing.T) {
	s := monitored(t, Options{})
	speak(t, s, hello("a"), "SUB foo.* 1", "SUB > 2", "SUB bar 3", "UNSUB 3 5")
	speak(t, s, hello("b"), "SUB foo.x q 10", "SUB foo.y 9")
	for _, c := range []struct{ query, want string }{
		{"", "[]"},
		{"?test=foo.x", "[]"},
		{"?subs=1", "[1:1 1:2 1:3 2:9 2:10]"},
		{"?subs=true&test=foo.x", "[1:1 1:2 2:10]"},
		{"?subs=1&test=foo.x&offset=1&limit=1", "[1:2]"},
		{"?subs=1&test=bar", "[1:2 1:3]"},
		{"?subs=1&offset=2&limit=2", "[1:3 2:9]"},
		{"?subs=1&offset=3", "[2:9 2:10]"},
	} {
		z := decode[Subsz](t, s, "/subsz"+c.query)
		got := []string{}
		for _, d := range z.Subs {
			got = append(got, fmt.Sprintf("%d:%s", d.Cid, d.Sid))
		}
		if fmt.Sprint(got) != c.want || z.Total != len(got) {
			t.Errorf("%s: got %v (total %d), want %s", c.query, got, z.Total, c.want)
		}
	}
	if body := ask(t, s, "/subsz").body; strings.Contains(body, `"total"`) || strings.Contains(body, "subscriptions_list") {
		t.Errorf("list fields without a list: %s", body)
	}
}

func TestSubszAndConnzListConnectionsWithManySubscriptions(t *testing.T) {
	s := monitored(t, Options{})
	many := maxSubsCopy + 500
	lines := []string{hello("many")}
	for i := range many {
		lines = append(lines, fmt.Sprintf("SUB foo.%d.* %d", i, i))
	}
	speak(t, s, lines...)
	speak(t, s, hello("few"), "SUB foo 1")
	z := decode[Connz](t, s, "/connz?subs=1")
	if len(z.Conns[0].Subs) != many || len(z.Conns[1].Subs) != 1 || z.Conns[0].Subs[7] != "foo.7.*" {
		t.Errorf("connz: got %d and %d", len(z.Conns[0].Subs), len(z.Conns[1].Subs))
	}
	sub := decode[Subsz](t, s, fmt.Sprintf("/subsz?subs=1&offset=%d&limit=100000", many-1))
	if len(sub.Subs) != 2 || sub.Subs[1].Subject != "foo" {
		t.Errorf("subsz: got %+v", sub.Subs)
	}
}

func TestDurationsAreShownAsTheyAlwaysWere(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second:                         "0s",
		0:                                    "0s",
		5*time.Second + 999*time.Millisecond: "5s",
		2*time.Minute + 5*time.Second:        "2m5s",
		3*time.Hour + 5*time.Second:          "3h0m5s",
		4*day + 3*time.Hour + 2*time.Minute:  "4d3h2m0s",
		369*day + 3*time.Hour + 2*time.Minute + 5: "1y4d3h2m0s",
	} {
		if got := spanText(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "", 999: "0s", 12345: "12µs", 2_345_678: "2ms", 1_234_567_890: "1.234s"} {
		if got := rttText(d); got != want {
			t.Errorf("rtt %d: got %q, want %q", d, got, want)
		}
	}
}

func FuzzConnzQuery(f *testing.F) {
	for _, seed := range []string{"sort=idle&offset=1&limit=2", "cid=18446744073709551615&state=ALL", "subs=detail&auth=T", "offset=-9223372036854775808", "search=%00", "state=any&reason=%C5%BF"} {
		f.Add(seed)
	}
	s, err := New(nil)
	if err != nil {
		f.Fatal(err)
	}
	for cid := range uint64(5) {
		s.closed.file(&closedConn{row: connRow{cid: cid, reason: closeClient, stop: time.Now()}})
	}
	f.Fuzz(func(t *testing.T, query string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/connz", nil)
		r.URL.RawQuery = query
		s.HandleConnz(w, r)
		if r.URL.Query().Has("callback") || w.Code == http.StatusBadRequest {
			return
		}
		var z Connz
		if err := json.Unmarshal(w.Body.Bytes(), &z); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%q: status %d, %v", query, w.Code, err)
		}
		if z.NumConns != len(z.Conns) || z.NumConns > z.Limit || z.Offset < 0 || z.Limit <= 0 {
			t.Errorf("%q: %d entries, offset %d, limit %d", query, z.NumConns, z.Offset, z.Limit)
		}
	})
}
