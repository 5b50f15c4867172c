package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/netio"
)

func TestConnzShowsWhatAClientDid(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	a := speak(t, s, hello(`<b>&`), "SUB foo.* 1", "SUB bar q 22")
	speak(t, s, hello("publisher"), "PUB foo.x 5", "hello", "PUB bar 2", "hi")
	a.Do()
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
	t.Parallel()
	now := time.Now()
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	rows := []*connRow{
		{cid: 1, start: at(-30), active: at(-9), stop: at(-3), reason: closeStale, subs: 1, inMsgs: 3, inBytes: 2, rtt: 2, out: netio.Stats{Messages: 1, Payload: 3, Pending: 2}},
		{cid: 2, start: at(-20), active: at(-1), stop: at(-1), reason: closeClient, subs: 3, inMsgs: 1, inBytes: 3, rtt: 1, out: netio.Stats{Messages: 3, Payload: 2, Pending: 1}},
		{cid: 3, start: at(-10), active: at(-5), stop: at(-2), reason: closeReadError, subs: 2, inMsgs: 2, inBytes: 1, rtt: 3, out: netio.Stats{Messages: 2, Payload: 1, Pending: 3}},
		{cid: 4, start: at(-10), active: at(-5), stop: at(-2), reason: closeReadError, subs: 2, inMsgs: 2, inBytes: 1, rtt: 3, out: netio.Stats{Messages: 2, Payload: 1, Pending: 3}},
	}
	for i, rates := range []ConnRates{{1, 3, 1, 3}, {2, 1, 3, 1}, {3, 2, 2, 2}} { // those of the last are not known
		rows[i].rates = &rates
	}
	want := map[SortOpt]string{
		ByCid: "1234", ByStart: "1234", BySubs: "2341", ByPending: "3412", ByOutMsgs: "2341", ByInMsgs: "1342",
		ByOutBytes: "1234", ByInBytes: "2134", ByLast: "2341", ByIdle: "1342", ByUptime: "3421", ByRTT: "3412",
		ByStop: "2341", ByReason: "2341",
		ByRate: "3124", ByInMsgsRate: "3214", ByOutMsgsRate: "1324", ByInBytesRate: "2314", ByOutBytesRate: "1324",
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
	t.Parallel()
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

func TestConnzFindsOneClientInEveryState(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	a := speak(t, s, hello("gone"), "SUB foo 1", "SUB bar 2")
	speak(t, s, `CONNECT {"verbose":false,"name":"here","user":"anna"}`)
	a.Close()
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
		{"state=all&search=nothing", "[]", 0},
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

func FuzzConnzQuery(f *testing.F) {
	for _, seed := range []string{"sort=idle&offset=1&limit=2", "cid=18446744073709551615&state=ALL", "subs=detail&auth=T", "offset=-9223372036854775808", "search=%00", "state=any&reason=%C5%BF"} {
		f.Add(seed)
	}
	s, err := NewServer(nil)
	if err != nil {
		f.Fatal(err)
	}
	for cid := range uint64(5) {
		s.closed.add(&closedConn{row: connRow{cid: cid, reason: closeClient, stop: time.Now()}})
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

// TestPagesWithSubscriptionsAreEncodedLikeEverything compares pages whose lists are encoded one element
// after the other with what the standard library makes of them.
func TestPagesWithSubscriptionsAreEncodedLikeEverything(t *testing.T) {
	t.Parallel()
	a := startServer(t, nil)
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	meshed(t, a, b)
	var many strings.Builder // more than are looked at under a lock
	for i := range maxSubsCopy + 100 {
		fmt.Fprintf(&many, "SUB many.%d %d\r\n", i, i)
	}
	for _, subs := range []string{"", "SUB one 1\r\n", "SUB one 1\r\nSUB <two>.> q 2\r\nUNSUB 2 5\r\nSUB \" 3\r\n", many.String()} {
		c := dialClient(t, a)
		c.Say(subs + "PING")
		c.Want("PONG")
	}
	interested(t, b, 4+maxSubsCopy+100)
	for _, detail := range []bool{false, true} {
		wantEncoded(t, func() (*Connz, error) {
			return a.connz(&ConnzOptions{Subscriptions: true, SubscriptionsDetail: detail})
		})
		wantEncoded(t, func() (*Routez, error) {
			return b.routez(&RoutezOptions{Subscriptions: true, SubscriptionsDetail: detail})
		})
		wantEncoded(t, func() (*Subsz, error) { return a.subsz(&SubszOptions{Subscriptions: detail}) })
	}
}

// completePage is a page whose lists can be put into it.
type completePage interface {
	encoder
	complete()
}

// wantEncoded compares what a page is encoded to, in both forms, with what the standard library makes of
// the page with everything in it.
func wantEncoded[P completePage](t *testing.T, page func() (P, error)) {
	t.Helper()
	z, err := page()
	okay(t, err)
	var indented, compact bytes.Buffer
	okay(t, z.encode(&indented, monitor.Indented))
	okay(t, z.encode(&compact, monitor.Compact))
	z.complete()
	var all any = z
	if subs, ok := all.(*Subsz); ok && subs.Total == 0 {
		all = subs.numbers()
	}
	want, err := json.MarshalIndent(all, "", "  ")
	okay(t, err)
	if indented.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", &indented, want)
	}
	want, err = json.Marshal(all)
	okay(t, err)
	if compact.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", &compact, want)
	}
}
