package server

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/system"
)

// TestNothingAUserSendsClosesTheConnectionOfTheService sends requests of all sizes, with long
// subjects, where little is allowed and where much is, and wants each to be answered.
func TestNothingAUserSendsClosesTheConnectionOfTheService(t *testing.T) {
	t.Parallel()
	const line = 4096
	for name, limits := range map[string]string{"usual": "", "small": "max_payload: 200\nmax_pending: 100000", "long lines": "max_control_line: 1MB"} {
		s := systemBroker(t, systemConfig+limits, nil)
		conn, c := s.system.conn.Load(), as(t, s, "sys")
		c.Do("SUB _INBOX.* 1")
		ask := func(subject, reply, body, want string) {
			t.Helper()
			c.Say(fmt.Sprintf("PUB %s %s %d", subject, reply, len(body)), body)
			m, err := c.Next()
			okay(t, err)
			if m.Subject != reply || !strings.Contains(string(m.Payload), want) {
				t.Errorf("%s: %.60s of %d bytes, reply subject of %d: got %q", name, subject, len(body), len(reply), m.Payload)
			}
		}
		ping, kick := "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER."+s.id+".KICK"
		ask(kick, "_INBOX.x", `{"cid":99999}`, "no such client")
		ask(ping+".VARZ", "_INBOX.x", "", s.id)
		for _, subject := range []string{ping, kick} {
			for less := range 12 {
				used := len(subject) + len("  0_INBOX.")
				ask(subject, "_INBOX."+strings.Repeat("r", line-used-less), "", s.id)
			}
			if limits == "" {
				for size, want := range map[int]string{64 << 10: s.id, 64<<10 + 1: `"code":400`, 1 << 20: `"code":400`} {
					ask(subject, "_INBOX.x", "{}"+strings.Repeat(" ", size-2), want)
				}
			}
			for _, size := range []int{65_520, 70_000, 500_000} {
				if name == "long lines" {
					ask(subject, "_INBOX."+strings.Repeat("r", size), "", s.id)
				}
			}
		}
		if s.system.conn.Load() != conn || conn.ended() {
			t.Errorf("%s: the connection of the service was closed: %v", name, conn.reason())
		}
	}
}

// TestALowerMaxPayloadDoesNotCloseTheConnectionOfTheService lets the service send what was allowed
// when it began.
func TestALowerMaxPayloadDoesNotCloseTheConnectionOfTheService(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	conn, c := s.system.conn.Load(), as(t, s, "sys")
	c.Do("SUB large 1")
	okay(t, os.WriteFile(s.options().ConfigFile, []byte(systemConfig+"max_payload: 1000"), 0o600))
	okay(t, s.Reload())
	text := strings.Repeat("x", 100_000)
	_, err := fmt.Fprintf(conn.peer, "PUB large %d\r\n%s\r\n", len(text), text)
	okay(t, err)
	if m, err := c.Next(); err != nil || string(m.Payload) != text {
		t.Fatalf("got %v, %v", m, err)
	}
	if s.system.conn.Load() != conn || conn.ended() {
		t.Errorf("the connection of the service was closed: %v", conn.reason())
	}
}

// systemInMemory returns a server with a system account that does not run.
func systemInMemory(t *testing.T) *Server {
	o := &Options{}
	okay(t, loadText(t, o, systemConfig+"max_pending: 8MB"))
	s, err := NewServer(o)
	okay(t, err)
	return s
}

// TestTheServiceIsNotStalled publishes many events for a subscriber that reads nothing, on a clock
// of its own: the service goes on at once, and the subscriber is disconnected when it has as much
// pending as it may.
func TestTheServiceIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := systemInMemory(t)
		sub := onFake(t, s, atRate(-1))
		sub.table = s.system.table
		sub.inSystem.Store(true)
		sub.subscribe(newSubscription(&sub.conn, []byte("$SYS.ACCOUNT.>"), nil, []byte("1")))
		c := s.newSystemConn()
		event := "PUB $SYS.ACCOUNT.APP.CONNECT 100000\r\n" + strings.Repeat("x", 100_000) + "\r\n"
		start, sent := time.Now(), 0
		for ; !sub.ended() && sent < 100; sent++ {
			if n := copy(c.in.Space(len(event)), event); n < len(event) {
				t.Fatalf("room for %d bytes of %d", n, len(event))
			}
			c.in.Filled(len(event))
			if r := c.work(); r != keepOpen {
				t.Fatalf("the connection of the service ends: %v", r)
			}
		}
		if took := time.Since(start); took > 0 || s.counters.stalls.Load() > 0 {
			t.Errorf("%d events took %v, with %d stalls", sent, took, s.counters.stalls.Load())
		}
		if r := sub.reason(); r != closeSlowPending || sent < 80 {
			t.Errorf("after %d events the subscriber has ended for reason %d", sent, r)
		}
		sub.out.Finish(0)
		allWritten(t, &sub.out)
		c.peer.Close()
		c.serve()
	})
}

// slowView is a server that takes long to say anything about itself.
type slowView struct {
	systemView
	asked, answer chan bool
}

func (v *slowView) Stats() *system.Stats {
	v.asked <- true
	<-v.answer
	return &system.Stats{}
}

// TestTheServiceRunsOnce closes its connection while it is busy with a request.
func TestTheServiceRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := systemInMemory(t)
		v := &slowView{systemView{s}, make(chan bool, 2), make(chan bool)}
		s.system.running.Store(system.New(v, s.id))
		asks := onFake(t, s, new(fakeLink))
		asks.table = s.system.table
		asks.subscribe(newSubscription(&asks.conn, []byte("reply"), nil, []byte("1")))
		c := s.newSystemConn()
		over := make(chan bool)
		go func() { s.runSystem(c); close(over) }() // ends with Shutdown
		c.send("MSG $SYS.REQ.SERVER.PING 0 reply 0\r\n\r\n")
		<-v.asked
		c.close(closeClient)
		time.Sleep(10 * stallStep)
		if s.system.conn.Load() != nil {
			t.Error("it has a new connection before it has ended what it was doing")
		}
		close(v.answer)
		time.Sleep(10 * stallStep)
		if again := s.system.conn.Load(); again == nil {
			t.Error("it has no new connection")
		} else {
			again.send("MSG $SYS.REQ.SERVER.PING 0 reply 0\r\n\r\n")
			<-v.asked
		}
		s.Shutdown()
		<-over
	})
}

// TestForWhomPublishersAreStalled has a client and a route that lag, and one of each that do not.
func TestForWhomPublishersAreStalled(t *testing.T) {
	t.Parallel()
	s := systemInMemory(t)
	service, publisher := s.newSystemConn(), onFake(t, s, new(fakeLink))
	slow, route, quick := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
	route.role = roleRoute
	slow.out.Reserve(200)
	route.out.Reserve(200)
	for _, c := range []struct {
		name   string
		from   *conn
		others []*client // all of which lag but quick
		want   int
	}{
		{"a client for all of them", &publisher.conn, []*client{slow, route}, 2},
		{"a client for none if one does not lag", &publisher.conn, []*client{slow, route, quick}, 0},
		{"a route for none", &route.conn, []*client{slow}, 0},
		{"the service for no client", &service.conn, []*client{slow}, 0},
		{"the service for no route", &service.conn, []*client{route}, 0},
	} {
		b := &batch{srv: s, from: c.from}
		var receivers []target
		for _, to := range c.others {
			receivers = append(receivers, target{c: &to.conn})
			to.out.SetLimits(&netio.Limits{MaxPending: 1 << 20, HighWater: 100})
		}
		room, got := b.lagging(receivers, 1)
		if len(got) != c.want {
			t.Errorf("%s: got %d, want %d", c.name, len(got), c.want)
		}
		room.Release()
	}
	b, room := &batch{srv: s, from: &publisher.conn}, service.out.Limits().HighWater+1
	service.out.Reserve(int(room))
	if _, lag := b.lagging([]target{{c: &service.conn}}, 1); len(lag) != 1 || !service.dropsMessages() {
		t.Error("a client that sends requests is not stalled for the service, or closes its connection")
	}
	service.peer.Close()
	service.serve()
}

// TestAnswersDoNotFillUpARoute has the service publish for a client of its own and a route whose peer takes
// nothing: the route gets no more than half of what may be pending, and no page behind another one.
func TestAnswersDoNotFillUpARoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := systemInMemory(t)
		v := &systemView{s}
		s.system.running.Store(system.New(v, s.id))
		r := newRoute(s, deadPipe(t), nil)
		l := &fakeLink{
			try:  func(int) (int, error) { return 0, netio.ErrWouldBlock },
			wait: func(n int) (int, error) { time.Sleep(time.Hour); return n, nil },
		}
		r.out.SetLink(fakeConn{l, nil})
		r.out.SetLimits(&netio.Limits{MaxPending: 1 << 20, HighWater: 100_000, WriteDeadline: 2 * time.Hour})
		sub := onFake(t, s, atRate(100<<20))
		subscribe := func(c *conn, subject, sid string) {
			c.table = s.system.table
			c.subscribe(newSubscription(c, []byte(subject), nil, []byte(sid)))
		}
		subscribe(&r.conn, "far.*", "QRSID:$7:1")
		subscribe(&r.conn, "far.wide", "QRSID:$q8:1")
		subscribe(&sub.conn, "far.*", "1")
		subscribe(&sub.conn, "near", "2")
		c := s.newSystemConn()
		answer := func(subject string) {
			t.Helper()
			text := "PUB " + subject + " 60000\r\n" + strings.Repeat("x", 60_000) + "\r\n"
			copy(c.in.Space(len(text)), text)
			c.in.Filled(len(text))
			if end := c.work(); end != keepOpen {
				t.Fatalf("the connection of the service ends: %v", end)
			}
		}
		for n := range 100 {
			if near := v.NearFull("far.x"); near != (n >= 2) || v.NearFull("near") {
				t.Fatalf("with %d answers the route is near full: %v", n, near)
			}
			answer("far.x")
		}
		const most = 1<<20/2/60_000 + 1
		if got := r.out.Stats(); r.ended() || got.Messages != most || s.system.service().Dropped() != 100-most {
			t.Errorf("ended: %v; %d messages for the route, %d dropped", r.ended(), got.Messages, s.system.service().Dropped())
		}
		answer("near")
		if got := sub.out.Stats().Messages; got != 101 {
			t.Errorf("the client of this server got %d messages", got)
		}
		for reply, want := range map[string]string{"far.wide": fmt.Sprintf("%d 8", r.id), "near": fmt.Sprint(sub.id), "none": ""} {
			if got := v.Reader(reply); got != want {
				t.Errorf("the reader of %s is %q, want %q", reply, got, want)
			}
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if v.NearFull("far.x") {
			t.Error("a route that has sent everything is near full")
		}
		allWritten(t, &r.out)
		sub.out.Finish(0)
		allWritten(t, &sub.out)
		c.peer.Close()
		c.serve()
	})
}

// TestEventsWaitForARouteThatReads looks at a route whose peer takes nothing, on a clock of its own:
// events wait for it for two seconds.
func TestEventsWaitForARouteThatReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := systemInMemory(t)
		r, v := newRoute(s, deadPipe(t), nil), &systemView{s}
		l := &fakeLink{
			try:  func(int) (int, error) { return 0, netio.ErrWouldBlock },
			wait: func(n int) (int, error) { time.Sleep(10 * time.Second); return n, nil },
		}
		r.out.SetLink(fakeConn{l, nil})
		r.out.SetLimits(&netio.Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: time.Minute})
		s.cluster.interest.Store(&[]*route{r})
		near := func(when string, want bool) {
			t.Helper()
			if got := v.RoutesNearFull(); got != want {
				t.Errorf("%s: a route is near full: %v", when, got)
			}
		}
		r.push(make([]byte, 500))
		near("half of what may be pending", false)
		r.push(make([]byte, 100))
		near("more than half", true)
		r.leaves.Store(1)
		near("it has left its pool", false)
		r.leaves.Store(0)
		time.Sleep(time.Second)
		near("nothing is taken for a second", true)
		time.Sleep(time.Second)
		near("it is too slow", false)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		near("much is taken", false)
		allWritten(t, &r.out)
	})
}

// TestWhatARouteRefusesIsNotDropped has routes that take nothing any more, and that are near full: what the
// service publishes goes to another one only in the first case.
func TestWhatARouteRefusesIsNotDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := systemInMemory(t)
		s.system.running.Store(system.New(&systemView{s}, s.id))
		c := s.newSystemConn()
		l := &fakeLink{forgets: true, try: func(int) (int, error) { return 0, netio.ErrWouldBlock }, wait: func(int) (int, error) {
			time.Sleep(time.Second)
			return 0, os.ErrDeadlineExceeded
		}}
		full, lost := newRoute(s, deadPipe(t), nil), newRoute(s, deadPipe(t), nil)
		full.out.SetLink(fakeConn{l, nil})
		full.out.SetLimits(&netio.Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: time.Minute})
		full.push(make([]byte, 600))
		lost.out.Refuse()
		got := c.ready(new(batch), []target{{c: &full.conn}, {c: &lost.conn}})
		if len(got) != 1 || got[0].c != &lost.conn {
			t.Errorf("got %d targets, want the one that is lost", len(got))
		}
		r := newRoute(s, deadPipe(t), nil)
		c.noteSent(&batch{single: longAnswer - 1}, []target{{c: &r.conn}})
		r.out.SetLink(fakeConn{&fakeLink{forgets: true}, nil})
		r.push(make([]byte, 100))
		c.noteSent(&batch{single: longAnswer - 1}, []target{{c: &r.conn}})
		if n := r.systemSent.Load(); n != 0 {
			t.Errorf("a long answer waits for %d bytes though there was none before", n)
		}
		c.noteSent(&batch{single: longAnswer}, []target{{c: &r.conn}})
		if n := r.systemSent.Load(); n != 100 {
			t.Errorf("a long answer waits for %d bytes, want 100", n)
		}
		full.out.Finish(0)
		allWritten(t, &full.out)
		c.peer.Close()
		c.serve()
	})
}

// TestTheServiceHasTheLimitsOfAReload reloads how long a write may take.
func TestTheServiceHasTheLimitsOfAReload(t *testing.T) {
	t.Parallel()
	r := startReloader(t, systemConfig)
	r.okay(t, systemConfig+"write_deadline: 7s\n")
	if got := r.system.conn.Load().out.Limits(); got.WriteDeadline != 7*time.Second || !got.Stalls {
		t.Errorf("got %+v, want a deadline of 7s", *got)
	}
}
