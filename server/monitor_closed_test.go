package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestConnzRemembersTheLastClosedClients(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{MaxClosedClients: 8, MaxConn: 1})
	keep := speak(t, s, hello("keeps its place"))
	for range 20 {
		okay(t, openClient(t, s).Dropped()) // there is no place for it
	}
	eventually(t, "all are filed", func() bool { return s.closed.count(closeMaxConnections) == 20 })
	z := decode[Connz](t, s, "/connz?state=closed")
	if z.Total != 4 || z.Conns[3].Cid != 21 || z.Conns[0].Reason != "Maximum Connections Exceeded" {
		t.Errorf("got %d, last %+v", z.Total, z.Conns[len(z.Conns)-1])
	}
	keep.Do()
}

func TestClosedRecordsOfSlowConsumersOutliveChurn(t *testing.T) {
	t.Parallel()
	var z closedConns
	z.limit(10)
	record := func(cid uint64, r closeReason) { z.add(&closedConn{row: connRow{cid: cid, reason: r}}) }
	for cid := range uint64(3) {
		record(cid, closeSlowPending)
	}
	for cid := range uint64(20000) {
		record(100+cid, closeClient)
	}
	slow := 0
	for _, rec := range z.records() {
		if rec.row.reason.ofSlowConsumer() {
			slow++
		}
	}
	if slow != 3 || len(z.records()) != 3+5 {
		t.Errorf("got %d slow of %d, want 3 of 8", slow, len(z.records()))
	}
}

func TestClosedRecordsHoldABoundedNumberOfSubjects(t *testing.T) {
	t.Parallel()
	var z closedConns
	z.limit(100)
	for range 50 {
		z.add(&closedConn{row: connRow{reason: closeClient}, subs: make([]SubDetail, maxClosedSubscriptions/10)})
	}
	if z.subscriptions > maxClosedSubscriptions || z.subscriptions == 0 {
		t.Errorf("got %d", z.subscriptions)
	}
	for range 100 {
		z.add(&closedConn{row: connRow{reason: closeClient}})
	}
	if z.subscriptions != 0 {
		t.Errorf("%d subjects are counted, but none are held", z.subscriptions)
	}
}

func TestSlowConsumersAreListedWithTheirCause(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{MaxPending: 64 << 10, WriteDeadline: time.Minute})
	speak(t, s, hello("sleeper"), "SUB flood.> 1")
	p := speak(t, s, hello("publisher"))
	payload := strings.Repeat("x", 32<<10)
	for s.NumSlowConsumers() == 0 {
		p.Do(fmt.Sprintf("PUB flood.one %d", len(payload)), payload)
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

// TestSlowConsumersStayListed has three clients that are too slow, then 20 000 others that come and
// go: the three are what an operator looks for.
func TestSlowConsumersStayListed(t *testing.T) {
	t.Parallel()
	const others = 3000
	s := monitored(t, Options{MaxPending: 64 << 10, WriteDeadline: time.Minute, MaxClosedClients: others / 2})
	p := speak(t, s, hello("publisher"))
	payload := strings.Repeat("x", 32<<10)
	for i := range 3 {
		speak(t, s, hello(fmt.Sprint("sleeper-", i)), fmt.Sprintf("SUB slow.%d.> 1", i))
		for s.NumSlowConsumers() == int64(i) {
			p.Do(fmt.Sprintf("PUB slow.%d.news %d", i, len(payload)), payload)
		}
	}
	for range others {
		nc, _ := inMemory(t, s)
		nc.Close()
	}
	eventually(t, "all others are gone", func() bool { return s.closed.count(closeClient) == others && s.NumClients() == 1 })
	z := decode[Connz](t, s, "/connz?state=closed&subs=1&limit=100000")
	found := 0
	for _, c := range z.Conns {
		var i int
		if n, _ := fmt.Sscanf(c.Name, "sleeper-%d", &i); n == 0 {
			continue
		}
		found++
		if c.Reason != "Slow Consumer (Pending Bytes)" || c.Pending <= 64<<10 || c.PendingSubject != fmt.Sprintf("slow.%d.news", i) || len(c.Subs) != 1 {
			t.Errorf("got %+v", c)
		}
	}
	if found != 3 || z.Total != s.options().MaxClosedClients-maxClosedSlow+3 {
		t.Errorf("found %d slow consumers of 3 among %d", found, z.Total)
	}
}
