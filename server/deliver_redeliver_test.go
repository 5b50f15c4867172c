package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// deniedUsers lets a server have a user that may not receive work.secret, and one that may.
func deniedUsers(o *Options) {
	deny := &Permissions{Subscribe: &SubjectPermission{Deny: []string{"work.secret"}}}
	o.Users = []*User{{Username: "all", Password: "p"}, {Username: "denied", Password: "p", Permissions: deny}}
}

// dialUser connects as a user.
func dialUser(t *testing.T, s *Server, user string) *wire.Client {
	t.Helper()
	c := openClient(t, s)
	c.Say(fmt.Sprintf(`CONNECT {"verbose":false,"pedantic":false,"user":%q,"pass":"p"}`, user))
	return c
}

// fullMesh starts servers that have routes to each other.
func fullMesh(t *testing.T, n int, change func(i int, o *Options)) (list []*Server) {
	t.Helper()
	for i := range n {
		list = append(list, startServer(t, func(o *Options) {
			change(i, o)
			for _, s := range list {
				o.Routes = append(o.Routes, routeTo(t, s))
			}
		}))
	}
	meshed(t, list...)
	return list
}

// TestQueueMessageThatAMemberMayNotHave publishes on every server what only some members of a group
// may receive: all of it must reach one of them, wherever they are.
func TestQueueMessageThatAMemberMayNotHave(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		members []string // of each server
		imports []bool   // work.secret
	}{
		{"the publisher's server has the one that may", []string{"all", "denied"}, []bool{true, true}},
		{"one of three servers has it", []string{"denied denied", "denied", "all"}, []bool{true, true, true}},
		{"one of four servers has it, another has no member", []string{"denied", "", "denied all", "denied denied"}, []bool{true, true, true, true}},
		{"two servers do not import it", []string{"all", "all", "all"}, []bool{true, false, false}},
		{"one does not import it, one member may not have it", []string{"denied", "all", "all"}, []bool{true, false, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const messages = 200
			list := fullMesh(t, len(tt.members), func(i int, o *Options) {
				deniedUsers(o)
				if !tt.imports[i] {
					o.Cluster.Permissions = &RoutePermissions{Import: &SubjectPermission{Deny: []string{"work.secret"}}}
				}
			})
			l := &tally{times: map[string]int{}}
			members := 0
			for i, s := range list {
				for user := range strings.FieldsSeq(tt.members[i]) {
					c := dialUser(t, s, user)
					c.Do("SUB work.* g 1")
					go l.read(c) // ends with the connection
					members++
				}
			}
			for _, s := range list {
				interested(t, s, members)
			}
			sent := 0
			for i, s := range list {
				if !tt.imports[i] && !strings.Contains(tt.members[i], "all") {
					continue
				}
				c := dialUser(t, s, "all")
				for k := range messages {
					number := fmt.Sprintf("%d.%d", i, k)
					c.Say(fmt.Sprintf("PUB work.secret %d\r\n%s", len(number), number))
					sent++
				}
				c.Sync()
			}
			l.want(t, sent)
		})
	}
}

// TestQueueMessageThatNoMemberMayHave has three servers with members that may not receive what is
// published: each of the others is asked once.
func TestQueueMessageThatNoMemberMayHave(t *testing.T) {
	t.Parallel()
	const messages = 50
	list := fullMesh(t, 3, func(_ int, o *Options) { deniedUsers(o) })
	for _, s := range list {
		dialUser(t, s, "denied").Do("SUB work.* g 1")
	}
	for _, s := range list {
		interested(t, s, 3)
	}
	c := dialUser(t, list[0], "all")
	for range messages {
		c.Say("PUB work.secret 0\r\n\r\n")
	}
	c.Sync()
	// What circled would still do so when a message in both directions has crossed every route.
	for range 3 {
		for i, s := range list {
			all := dialUser(t, s, "all")
			all.Do(fmt.Sprintf("SUB ping.%d 1", i))
			for _, other := range list {
				eventually(t, "interest", func() bool { return slices.Contains(subjectsOf(other), fmt.Sprintf("ping.%d", i)) })
				dialUser(t, other, "all").Do(fmt.Sprintf("PUB ping.%d 0\r\n\r\n", i))
				if m, err := all.Next(); m == nil || err != nil {
					t.Fatalf("got %v, %v", m, err)
				}
			}
			all.Close()
		}
	}
	received := int64(0)
	for _, s := range list {
		for _, r := range s.cluster.active() {
			received += r.inMsgs.Load()
		}
	}
	if most := int64(3*messages + 3*9); received > most {
		t.Errorf("routes received %d messages, want %d at most", received, most)
	}
}

// subjectsOf returns the subjects that a server knows subscriptions of.
func subjectsOf(s *Server) (list []string) {
	for e := range s.subs.All {
		list = append(list, e.Value.subject())
	}
	return list
}

// TestRedeliveredMessageOnTheWire has servers of both kinds send messages for a member that may not
// have them.
func TestRedeliveredMessageOnTheWire(t *testing.T) {
	t.Parallel()
	s := startServer(t, deniedUsers)
	ours, old := wire.Listen(t, "~ours", false), wire.Listen(t, "~old", false)
	a := ours.Dial(s.ClusterAddr())
	a.Say(ours.Connect(), strings.Replace(ours.Info(), "1.4.1", "1.5.0", 1))
	eventually(t, "a route", func() bool { return s.NumRoutes() == 1 })
	b := old.Join(s.ClusterAddr())
	eventually(t, "two routes", func() bool { return s.NumRoutes() == 2 })
	denied := dialUser(t, s, "denied")
	denied.Do("SUB work.* g 1")
	id := fmt.Sprintf("%d:1", clientsOf(s)[0])
	a.Say("SUB work.* g QRSID:7:8")
	interested(t, s, 2)
	b.Say("MSG work.secret QRSID:" + id + " 1\r\nx")
	a.HearAfter("MSG work.secret QRSID+1:7:8 1\r\n")
	a.Hear("x")
	b.Say("SUB work.* g QRSID:7:9")
	interested(t, s, 3)
	a.Say("MSG work.secret QRSID+1:" + id + " reply 1\r\ny") // both have had it
	b.HearAfter("MSG work.secret QRSID:7:9 reply 1\r\n")
	b.Hear("y")
	for _, bad := range []string{"QRSID+", "QRSID+:" + id, "QRSID+x:" + id, "QRSID+-1:" + id, "QRSID+99999999999999999999:" + id} {
		a.Say("MSG work.ok " + bad + " 0\r\n\r\n")
	}
	a.Say("MSG work.ok QRSID+3:" + id + " 0\r\n\r\n")
	a.Sync()
	denied.Hear("MSG work.ok 1 0\r\n")
	denied.Hear("\r\n")
	denied.Sync()
}

// TestQueueMessageOfAServerThatHasNoMemberLeft has a server send on a message that its own member,
// the last it had, did not take: those that come later in the ring are still asked.
func TestQueueMessageOfAServerThatHasNoMemberLeft(t *testing.T) {
	t.Parallel()
	s := startServer(t, deniedUsers)
	join := func(id string) *wire.Client { // ids that come behind that of s
		w := wire.Listen(t, id, false)
		c := w.Dial(s.ClusterAddr())
		c.Say(w.Connect(), strings.Replace(w.Info(), "1.4.1", "1.5.0", 1))
		return c
	}
	next, last := join("~1"), join("~2")
	eventually(t, "two routes", func() bool { return s.NumRoutes() == 2 })
	dialUser(t, s, "denied").Do("SUB work.* g 1")
	next.Say("SUB work.* g QRSID:7:8")
	interested(t, s, 2)
	last.Say(fmt.Sprintf("MSG work.secret QRSID+1:%d:1 1\r\nx", clientsOf(s)[0])) // from there s is next
	next.HearAfter("MSG work.secret QRSID+2:7:8 1\r\n")
	next.Hear("x")
	for _, far := range []string{"2", "9223372036854775807"} {
		last.Say(fmt.Sprintf("MSG work.secret QRSID+%s:%d:1 1\r\ny", far, clientsOf(s)[0])) // all have had it
	}
	last.Do()
	next.Sync()
}

// clientsOf returns the ids of the clients of a server.
func clientsOf(s *Server) (list []uint64) {
	for _, c := range s.clients.all() {
		list = append(list, c.id)
	}
	return list
}

// TestNextServerInTheRing has three servers behind this one in the ring, and two that do not count
// places. Each message goes to the first server behind those that have had it which has a member that
// takes it, with the places that are behind the message then, and else to one of the old servers.
func TestNextServerInTheRing(t *testing.T) {
	t.Parallel()
	s := startServer(t, deniedUsers)
	peers := map[string]*wire.Client{}
	for i, id := range []string{"~1", "~2", "~3", "~old1", "~old2"} {
		w := wire.Listen(t, id, false)
		if strings.HasPrefix(id, "~old") {
			peers[id] = w.Join(s.ClusterAddr())
		} else {
			peers[id] = w.Dial(s.ClusterAddr())
			peers[id].Say(w.Connect(), strings.Replace(w.Info(), "1.4.1", "1.5.0", 1))
		}
		eventually(t, "a route", func() bool { return s.NumRoutes() == i+1 })
	}
	dialUser(t, s, "denied").Do("SUB work.* g 1")
	own := fmt.Sprintf("%d:1", clientsOf(s)[0])
	subs := 1
	join := func(ids ...string) {
		for _, id := range ids {
			peers[id].Say("SUB work.* g QRSID:" + id[1:] + ":1")
			subs++
			interested(t, s, subs)
		}
	}
	number := 0
	send := func(from string, servers int) string {
		number++
		id := "QRSID:" + own
		if servers > 0 {
			id = fmt.Sprintf("QRSID+%d:%s", servers, own)
		}
		peers[from].Say(fmt.Sprintf("MSG work.secret %s 3\r\n%03d", id, number))
		return fmt.Sprintf("%03d", number)
	}
	expect := func(to, id, payload string) {
		t.Helper()
		peers[to].HearAfter("MSG work.secret " + id + " 3\r\n")
		peers[to].Hear(payload)
	}
	join("~3")
	expect("~3", "QRSID+3:3:1", send("~old1", 0)) // ~1 and ~2 have no member, but their places
	join("~1")
	expect("~1", "QRSID+1:1:1", send("~old1", 0))
	expect("~1", "QRSID+3:1:1", send("~3", 2))
	join("~2")
	expect("~1", "QRSID+1:1:1", send("~old2", 0))
	ends := func(id string) {
		for e := range s.subs.All {
			if r, ok := e.Value.conn.ops.(*route); ok && strings.HasPrefix(r.remoteID(), id+" ") && e.Value.queue() == "g" {
				e.Value.limit.Or(endedBit) // as if it had ended since the match
			}
		}
	}
	ends("~1")
	expect("~2", "QRSID+2:2:1", send("~old2", 0))
	ends("~2")
	expect("~3", "QRSID+3:3:1", send("~old2", 0))
	join("~old1", "~old2")
	last := send("~1", 3) // all that count have had it
	peers["~1"].Do()
	got := 0
	for _, id := range []string{"~old1", "~old2"} {
		c := peers[id]
		c.Say("PING")
		for line := c.Hear(""); line != "PONG\r\n"; line = c.Hear("") {
			if strings.HasPrefix(line, "MSG work.secret QRSID:"+id[1:]+":1 3") {
				c.Hear(last)
				got++
			}
		}
	}
	if got != 1 {
		t.Errorf("%d old servers were sent the message, want one", got)
	}
}

// TestTheRingBeginsBehindThisServer compares with all orders of three ids.
func TestTheRingBeginsBehindThisServer(t *testing.T) {
	t.Parallel()
	for _, self := range []string{"a", "b", "c", "d", "e"} {
		ids := []string{"a", "b", "c", "d", "e"}
		at := slices.Index(ids, self)
		ring := slices.Concat(ids[at+1:], ids[:at])
		for i, a := range ring {
			for k, b := range ring {
				if got := comesNext(self, a, b); got != (i < k) {
					t.Errorf("behind %s, %s comes before %s is %v", self, a, b, got)
				}
			}
		}
	}
}

// TestALimitOfAMemberThatComesWhenMessagesAreChosen has a member of a queue group get a limit between
// the choice of its messages and the push: what is beyond goes to another member, in order, and
// nothing to both.
func TestALimitOfAMemberThatComesWhenMessagesAreChosen(t *testing.T) {
	t.Parallel()
	const messages = 40
	for _, tt := range []struct {
		name      string
		subs      string // of the member that gets the limit
		delivered int64  // to it before
		others    string
	}{
		{"one other member", "SUB a q 1\r\n", 0, "SUB a q 1\r\n"},
		{"a limit that is reached already", "SUB a q 1\r\n", 50, "SUB a q 1\r\n"},
		{"among plain subscriptions", "SUB a q 1\r\nSUB a 8\r\n", 0, "SUB * 8\r\nSUB a q 1\r\n"},
		{"among plain subscriptions to one subject", "SUB a q 1\r\nSUB a 8\r\n", 0, "SUB a 8\r\nSUB a q 1\r\n"},
		{"another member of the same client", "SUB a q 1\r\nSUB > q 3\r\nSUB a q 4\r\n", 0, ""},
		{"another member with a limit", "SUB a q 1\r\n", 0, "SUB a q 1\r\nUNSUB 1 5\r\nSUB a q 2\r\n"},
	} {
		for _, limit := range []int64{1, 3, 45} {
			s, err := NewServer(nil)
			okay(t, err)
			links := [2]*fakeLink{{}, {}}
			c, other, p := onFake(t, s, links[0]), onFake(t, s, links[1]), onFake(t, s, new(fakeLink))
			deliverTo(t, c, tt.subs)
			deliverTo(t, other, tt.others)
			text := ""
			for i := range messages {
				text += fmt.Sprintf("PUB a 2\r\n%02d\r\n", i)
			}
			b := batchOf(p, text)
			actOn(t, p, b, text)
			sub := c.subOf([]byte("1"))
			sub.delivered.Store(tt.delivered)
			c.unsubscribeAfter(sub, limit)
			b.end()
			times, ofLimited := map[string]int{}, int64(0)
			for i, l := range links {
				out, _ := l.taken()
				all, err := wire.Messages(out)
				okay(t, err)
				last := map[string]string{}
				for _, m := range all {
					if last[m.Sid] >= string(m.Payload) {
						t.Errorf("%s, limit %d: message %s after %s", tt.name, limit, m.Payload, last[m.Sid])
					}
					last[m.Sid] = string(m.Payload)
					if m.Sid != "8" { // that of a plain subscription
						times[string(m.Payload)]++
					}
					if i == 0 && m.Sid == "1" {
						ofLimited++
					}
				}
			}
			for _, c := range []*client{c, other} {
				if plain := c.subOf([]byte("8")); plain != nil && plain.delivered.Load() != messages {
					t.Errorf("%s, limit %d: %d messages are counted for a plain subscription, want %d", tt.name, limit, plain.delivered.Load(), messages)
				}
			}
			if len(times) != messages || ofLimited > max(0, limit-tt.delivered) {
				t.Errorf("%s, limit %d: %d messages came, %d of them to the member with the limit", tt.name, limit, len(times), ofLimited)
			}
			for m, n := range times {
				if n != 1 {
					t.Errorf("%s, limit %d: message %s came %d times", tt.name, limit, m, n)
				}
			}
		}
	}
}

// TestAMessageThatPassedServersIsCountedOnce changes the ids that messages are sent with: of the
// subscription that was chosen they are counted then, unless they were before.
func TestAMessageThatPassedServersIsCountedOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id, want  string
		n, counts uint32
	}{
		{"QRSID:5:7", "QRSID+2:5:7", 1, 1},
		{"QRSID:5:7", "QRSID+2:5:7", 1 | claimed, 0},
		{"7", "7", 1, 0}, // it is counted when it is handed over
	} {
		sub := newSubscription(new(conn), []byte("a"), []byte("q"), []byte(tt.id))
		e := entry{place: place{n: tt.n}, sub: sub}
		e.passed(2)
		if e.sub.sid() != tt.want || e.sub.subject() != "a" || e.sub.queue() != "q" || e.sub.conn != sub.conn {
			t.Errorf("%s: it is sent to %q of %q as %q, want %q", tt.id, e.sub.subject(), e.sub.queue(), e.sub.sid(), tt.want)
		}
		if got := sub.delivered.Load(); got != int64(tt.counts) || (e.sub != sub) != (e.n&claimed != 0) || e.n&^claimed != 1 {
			t.Errorf("%s: %d messages are counted, want %d; n is %#x", tt.id, got, tt.counts, e.n)
		}
	}
}
