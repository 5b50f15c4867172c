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
	if z.Total != 8 || z.Conns[7].Cid != 21 || z.Conns[0].Reason != "Maximum Connections Exceeded" {
		t.Errorf("got %d, last %+v", z.Total, z.Conns[len(z.Conns)-1])
	}
	keep.Do()
}

// A subscription keeps what it is when its client is gone: that it has ended is not a limit.
func TestClosedClientsKeepTheLimitsOfTheirSubscriptions(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	c := openClient(t, s)
	c.Do(hello("leaver"), "SUB foo 1", "SUB bar 2", "UNSUB 2 5")
	c.Close()
	var list []SubDetail
	eventually(t, "it is filed", func() bool {
		z := decode[Connz](t, s, "/connz?state=closed&subs=detail")
		if len(z.Conns) == 1 {
			list = z.Conns[0].SubsDetail
		}
		return len(list) == 2
	})
	if list[0].Max != 0 || list[1].Max != 5 {
		t.Errorf("got limits of %d and %d, want none and 5", list[0].Max, list[1].Max)
	}
}

// The subscriptions of a closed client are listed in the order of their sids.
func TestSubscriptionsOfClosedClientsAreSorted(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	c := openClient(t, s)
	c.Do(hello("leaver"))
	want := []string{"1", "2", "3", "9", "a", "10", "11", "b2", "100"}
	for _, i := range []int{3, 8, 0, 5, 7, 1, 6, 4, 2} {
		c.Do("SUB sub." + want[i] + " " + want[i])
	}
	c.Close()
	eventually(t, "it is filed", func() bool { return s.closed.count(closeClient) == 1 })
	z := decode[Connz](t, s, "/connz?state=closed&subs=detail")
	for i, d := range z.Conns[0].SubsDetail {
		if d.Sid != want[i] || d.Subject != "sub."+d.Sid || d.Cid != z.Conns[0].Cid {
			t.Errorf("got %+v at %d, want sid %s", d, i, want[i])
		}
	}
	if n := len(z.Conns[0].SubsDetail); n != len(want) {
		t.Errorf("got %d, want %d", n, len(want))
	}
	if z := decode[Connz](t, s, "/connz?state=closed"); len(z.Conns[0].SubsDetail)+len(z.Conns[0].Subs) > 0 {
		t.Error("the subscriptions are listed though they were not asked for")
	}
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
	if slow != 3 || len(z.records()) != 10 {
		t.Errorf("got %d slow of %d, want 3 of 10", slow, len(z.records()))
	}
}

// TestClosedRecordsAreBoundedInBytes has clients close that said as much as they can, and checks what
// is kept of them by the size of the heap.
func TestClosedRecordsAreBoundedInBytes(t *testing.T) {
	text := strings.Repeat("x", 4000)
	for _, tt := range []struct {
		name    string
		clients int
		reason  closeReason
		client  func(c *client, i int) *subscriptions
	}{
		{"many long subscriptions", 3, closeClient, func(c *client, _ int) *subscriptions {
			return subscriptionsOf(c, 20_000, text)
		}},
		{"few long subscriptions each", 2000, closeClient, func(c *client, _ int) *subscriptions {
			return subscriptionsOf(c, 10, text)
		}},
		{"short subscriptions", 50, closeClient, func(c *client, _ int) *subscriptions {
			return subscriptionsOf(c, 10_000, "")
		}},
		{"long names", 20_000, closeClient, func(c *client, i int) *subscriptions {
			c.opts = &ConnectOptions{Name: text[:3990] + fmt.Sprint(i)}
			return &subscriptions{}
		}},
		{"slow consumers", 2000, closeSlowPending, func(c *client, i int) *subscriptions {
			c.opts = &ConnectOptions{Name: text[:3990] + fmt.Sprint(i)}
			return subscriptionsOf(c, 10, text)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewServer(&Options{MaxClosedClients: 30_000})
			okay(t, err)
			nc := deadPipe(t)
			before := int64(liveHeap())
			for i := range tt.clients {
				c := newClient(s, nc)
				c.recordClosed(tt.reason, tt.client(c, i))
			}
			want := int64(maxClosedBytes + maxClosedListBytes)
			if held := int64(liveHeap()) - before; held > want*5/4 {
				t.Errorf("%d bytes are held, want at most %d", held, want)
			}
			last := s.closed.records()
			if len(last) == 0 {
				t.Error("no record is left")
			}
			for len(last) > 0 {
				s.closed.mu.Lock()
				for _, q := range []*closedQueue{&s.closed.other, &s.closed.slow} {
					if len(q.records) > 0 {
						q.take()
					}
				}
				s.closed.mu.Unlock()
				last = s.closed.records()
			}
			if z := &s.closed; z.other.bytes != 0 || z.slow.bytes != 0 || z.other.listBytes != 0 || z.slow.listBytes != 0 {
				t.Errorf("got %+v, want that nothing is counted", z)
			}
		})
	}
}

// subscriptionsOf returns n subscriptions with sids of their own that end in text.
func subscriptionsOf(c *client, n int, text string) *subscriptions {
	subs := &subscriptions{}
	for i := range n {
		subs.add(newSubscription(&c.conn, []byte("foo"), nil, fmt.Appendf(nil, "%d%s", i, text)))
	}
	return subs
}

func TestLatestClosedRecordsKeepTheirSubscriptions(t *testing.T) {
	t.Parallel()
	var z closedConns
	z.limit(100)
	list := make([]subRecord, 1)
	for cid := range uint64(50) {
		z.add(&closedConn{row: connRow{reason: closeClient, cid: cid}, subs: list, listBytes: maxClosedListBytes / 10})
	}
	kept := 0
	for _, rec := range z.records() {
		if len(rec.subs) > 0 {
			kept++
			if rec.row.cid < 40 {
				t.Errorf("record %d has its subscriptions, which are not among the latest", rec.row.cid)
			}
		}
	}
	if kept != 10 || len(z.records()) != 50 {
		t.Errorf("got %d of %d records with subscriptions, want 10 of 50", kept, len(z.records()))
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
	if found != 3 || z.Total != s.options().MaxClosedClients {
		t.Errorf("found %d slow consumers of 3 among %d", found, z.Total)
	}
}

// TestClosedClientsThatCouldNotLogInAreWhomTheySaidToBe has one with a wrong password, and one that is
// one too many of its user.
func TestClosedClientsThatCouldNotLogInAreWhomTheySaidToBe(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{Users: []*User{{Username: "a", Password: "b", Limits: &UserLimits{MaxConnections: 1}}}})
	first := openClient(t, s)
	first.Do(`CONNECT {"user":"a","pass":"b","verbose":false}`)
	for i, pass := range []string{"wrong", "b"} {
		c := openClient(t, s)
		c.Say(fmt.Sprintf(`CONNECT {"user":"a","pass":%q,"name":"n%d","lang":"go","version":"9"}`, pass, i))
		okay(t, c.Dropped())
		eventually(t, "it is filed", func() bool { return len(decode[Connz](t, s, "/connz?state=closed").Conns) == i+1 })
		got := decode[Connz](t, s, "/connz?state=closed&auth=1&sort=stop").Conns[0] // the last one
		if got.AuthorizedUser != "a" || got.Name != fmt.Sprintf("n%d", i) || got.Lang != "go" || got.Version != "9" {
			t.Errorf("%s: got %+v", pass, got)
		}
	}
}
