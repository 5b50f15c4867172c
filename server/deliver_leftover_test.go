package server

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/test/wire"
)

// tally counts the members of a queue group that have received each message.
type tally struct {
	mu    sync.Mutex
	times map[string]int
}

// read notes the messages that a member receives until its connection ends.
func (l *tally) read(c *wire.Client) {
	for {
		m, err := c.Next()
		if err != nil {
			return
		}
		if m != nil {
			l.add(m)
		}
	}
}

func (l *tally) add(m *wire.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times[strings.TrimSpace(string(m.Payload))]++
}

func (l *tally) known() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.times)
}

func (l *tally) has(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.times[name] > 0
}

// want waits until each of n messages has been received, and wants none of them twice.
func (l *tally) want(t *testing.T, n int) {
	t.Helper()
	l.wantBut(t, n, 0)
}

// wantBut is want, where some may be lost.
func (l *tally) wantBut(t *testing.T, n, lost int) {
	t.Helper()
	if !comesTrue(func() bool { return l.known() <= n && l.known() >= n-lost }) {
		t.Errorf("%d of %d messages are lost", n-l.known(), n)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, times := range l.times {
		if times > 1 {
			t.Errorf("message %s was received %d times", number, times)
		}
	}
}

// publishNumbers publishes messages of some size until it is told to stop, or so many, and returns
// how many.
func publishNumbers(t *testing.T, s *Server, name string, count, size int, stop <-chan bool) (n int) {
	c := dialClient(t, s)
	for n < count {
		select {
		case <-stop:
			return n
		default:
		}
		var text strings.Builder
		for range 20 {
			fmt.Fprintf(&text, "PUB work %d\r\n%*s\r\n", size, size, fmt.Sprintf("%s%d", name, n))
			n++
		}
		c.Say(text.String())
		if _, err := c.Fence(); err != nil {
			t.Error(err)
			return n
		}
	}
	return n
}

// TestQueueMembersThatDisconnectLoseNothing has members of a group disconnect while messages are on
// their way to them: they end what they send, and read what there still is for them. Others are on
// the same server, on another one, or on both.
func TestQueueMembersThatDisconnectLoseNothing(t *testing.T) {
	t.Parallel()
	const publishers, leaving = 3, 30
	for _, tt := range []struct {
		name         string
		leave, stays []int // servers
		size         int
	}{
		{"on one server", []int{0}, []int{0}, 100},
		{"on one server, with large messages", []int{0}, []int{0}, 5000},
		{"on another server", []int{1}, []int{1}, 100},
		{"on another server, where none stays", []int{1}, []int{0}, 100},
		{"on both", []int{0, 1}, []int{0, 1}, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := func(o *Options) { o.MaxPending, o.WriteDeadline = 256<<20, patience }
			a := startServer(t, set)
			list := []*Server{a, startServer(t, func(o *Options) { set(o); o.Routes = []*url.URL{routeTo(t, a)} })}
			meshed(t, list...)
			l := &tally{times: map[string]int{}}
			var readers, publishing sync.WaitGroup
			for _, n := range tt.stays {
				c := dialClient(t, list[n])
				c.Do("SUB work g 1")
				go l.read(c) // ends with the connection
			}
			for _, s := range list {
				interested(t, s, len(tt.stays))
			}
			stop := make(chan bool)
			var published atomic.Int64
			for i := range publishers {
				publishing.Go(func() {
					published.Add(int64(publishNumbers(t, list[i%2], fmt.Sprintf("p%d.", i), math.MaxInt, tt.size, stop)))
				})
			}
			for i := range leaving {
				c := dialClient(t, list[tt.leave[i%len(tt.leave)]])
				c.Say(fmt.Sprintf("SUB work g %d", i))
				m, err := c.Next() // so that it is known everywhere
				if err != nil {
					t.Error(err)
					break
				}
				l.add(m)
				c.Conn.Conn.(*net.TCPConn).CloseWrite()
				readers.Go(func() { l.read(c) })
			}
			close(stop)
			publishing.Wait()
			readers.Wait()
			l.want(t, int(published.Load()))
		})
	}
}

// TestSlowQueueMemberLosesNothing has a member of a group stop reading until it is disconnected.
func TestSlowQueueMemberLosesNothing(t *testing.T) {
	t.Parallel()
	const messages, size = 600, 100_000
	for name, change := range map[string]func(*Options){
		"by max_pending":       func(o *Options) { o.MaxPending = 1 << 20; o.WriteDeadline = patience },
		"by write_deadline":    func(o *Options) { o.WriteDeadline = time.Second },
		"by max_pending_total": func(o *Options) { o.MaxPendingTotal = 3 << 20; o.WriteDeadline = patience },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, change)
			l := &tally{times: map[string]int{}}
			slow := dialClient(t, s)
			slow.Do("SUB work g 1")
			for range 3 {
				c := dialClient(t, s)
				c.Do("SUB work g 1")
				go l.read(c) // ends with the connection
			}
			publishNumbers(t, s, "m", messages, size, nil)
			eventually(t, "the slow member is disconnected", func() bool { return s.NumSlowConsumers() > 0 && s.NumClients() <= 4 })
			l.read(slow)
			l.want(t, messages)
		})
	}
}

// TestLeftoversHaveALimit has members of a group leave more than may be kept, while none is passed on.
func TestLeftoversHaveALimit(t *testing.T) {
	t.Parallel()
	const size, each, members = 50_000, 40, 7 // 2 MB of each
	for name, tt := range map[string]struct {
		total       int64
		drop        bool // all, when they have left
		least, most int  // messages that are passed on
		log         string
	}{
		"by max_pending_total": {4 << 20, false, 20, 4 << 20 * 5 / 4 / size, ": MaxPendingTotal of 4194304 Exceeded"},
		"at once":              {64 << 20, true, 0, 0, ": queues hold too much"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, func(o *Options) {
				o.MaxPending, o.MaxPendingTotal, o.WriteDeadline, o.network = 3<<20, tt.total, patience, smallSockets{}
			})
			log := newLineLog()
			s.SetLogger(log, false, false)
			for range maxPassedOn {
				s.leftovers.slots <- struct{}{}
			}
			for i := range members {
				c := dialClient(t, s)
				c.Do("SUB work g 1")
				publishNumbers(t, s, fmt.Sprintf("%d.", i), each, size, nil)
				okay(t, c.Conn.Conn.(*net.TCPConn).SetLinger(0))
				c.Close()
				eventually(t, "nothing is queued", func() bool { return s.io.Pending.Load() == 0 })
			}
			eventually(t, "what is too much is given up", func() bool { return s.io.SetAside.Load() <= tt.total*5/4 })
			l, c := &tally{times: map[string]int{}}, dialClient(t, s)
			c.Do("SUB work g 1")
			go l.read(c) // ends with the connection
			if tt.drop {
				s.leftovers.drop()
				eventually(t, "nothing waits for its turn", func() bool { return s.io.SetAside.Load() == 0 })
			}
			for range maxPassedOn {
				<-s.leftovers.slots
			}
			eventually(t, "nothing is left", func() bool { return s.io.SetAside.Load() == 0 && s.io.Pending.Load() == 0 })
			if given := log.linesWith("Gave up"); len(given) == 0 || !strings.Contains(given[0], tt.log) {
				t.Errorf("the log has %q, want %q", given, tt.log)
			}
			publishNumbers(t, s, "last", 20, 10, nil)
			eventually(t, "the last messages", func() bool { return l.has("last19") })
			if got := l.known() - 20; got < tt.least || got > tt.most {
				t.Errorf("%d messages were passed on, want %d to %d", got, tt.least, tt.most)
			}
		})
	}
}

// TestLeftoversEndWithTheServer has a leftover wait for its turn when the server ends.
func TestLeftoversEndWithTheServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *Options) { o.WriteDeadline, o.network = patience, smallSockets{} })
	for range maxPassedOn {
		s.leftovers.slots <- struct{}{}
	}
	c := dialClient(t, s)
	c.Do("SUB work g 1")
	publishNumbers(t, s, "m", 20, 50_000, nil)
	c.Close()
	eventually(t, "what it leaves is kept", func() bool { return s.io.SetAside.Load() > 0 })
	s.Shutdown()
	if got := s.io.SetAside.Load(); got != 0 {
		t.Errorf("%d bytes are kept", got)
	}
}

// TestQueueMembersBehindALostRouteLoseNothing has a server with a member that does not read until the
// route to it is cut. What the socket had taken by then it still gets; the rest goes to another
// member.
func TestQueueMembersBehindALostRouteLoseNothing(t *testing.T) {
	t.Parallel()
	const messages, size = 80, 50_000
	s := startServer(t, func(o *Options) { o.WriteDeadline, o.network = patience, smallSockets{} })
	peer, _ := manualPeer(t, s)
	peer.Say("SUB work g QRSID:5:2\r\n")
	interested(t, s, 2)
	l := &tally{times: map[string]int{}}
	c := dialClient(t, s)
	c.Do("SUB work g 1")
	go l.read(c) // ends with the connection
	publishNumbers(t, s, "m", messages, size, nil)
	for _, r := range s.cluster.all() {
		r.close(closeSlowDeadline) // what is queued is dropped
	}
	eventually(t, "the route is cut", func() bool { return s.NumRoutes() == 0 })
	for {
		line, err := peer.Line()
		if err != nil {
			if !wire.IsEnd(err) && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			break
		}
		if strings.HasPrefix(line, "MSG work QRSID:5:2 ") {
			if text, err := peer.Line(); err == nil {
				l.mu.Lock()
				l.times[strings.TrimSpace(text)]++
				l.mu.Unlock()
			}
		}
	}
	l.want(t, messages)
}

// TestQueueMembersBehindALostServerLoseNothing cuts all connections to a server at a time, which had taken
// nothing for a while: only what the sockets held is lost.
func TestQueueMembersBehindALostServerLoseNothing(t *testing.T) {
	t.Parallel()
	for _, pool := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(pool), func(t *testing.T) {
			t.Parallel()
			const publishers, each, size, inSockets = 3, 40, 50_000, 8
			b, a, p := pooled(t, pool, nil, func(o *Options) { o.WriteDeadline, o.network = patience, smallSockets{} })
			l := &tally{times: map[string]int{}}
			for _, s := range []*Server{a, b} {
				c := dialClient(t, s)
				c.Do("SUB work g 1")
				go l.read(c) // ends with the connection
			}
			interested(t, b, 2)
			for n := range pool {
				p.hold(n)
			}
			for i := range publishers {
				publishNumbers(t, b, fmt.Sprintf("%d.", i), each, size, nil)
			}
			pending := int64(0)
			for _, r := range b.cluster.all() {
				pending += r.out.Stats().Pending
			}
			if pending < publishers*each*size/4 {
				t.Fatalf("%d bytes are pending: the sockets have taken the rest", pending)
			}
			lost := b.cluster.active()[0].pool
			for n := range pool {
				p.cut(func(int) int { return n })
			}
			l.wantBut(t, publishers*each, pool*inSockets)
			eventually(t, "nothing is kept of the subscriptions", func() bool {
				b.cluster.mu.Lock()
				defer b.cluster.mu.Unlock()
				return lost.open == 0 && lost.subs.len() == 0
			})
		})
	}
}

// TestWhatWaitedBeforeAQueueSubscriptionArrives has a client become a member of a queue group while
// messages wait for it, and end its connection in order, with a part of one sent.
func TestWhatWaitedBeforeAQueueSubscriptionArrives(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	c, pub := dialClient(t, s), dialClient(t, s)
	c.Say("SUB x 1")
	c.Sync()
	text := func(n int) string { return fmt.Sprintf("%d %s", n, strings.Repeat("p", 10_000)) }
	published := 0
	publish := func() {
		pub.Say(fmt.Sprintf("PUB x %d", len(text(published))), text(published))
		pub.Sync()
		published++
	}
	for s.io.Pending.Load() < 900<<10 { // above that publishers wait
		publish()
	}
	c.Say("SUB work group 2")
	eventually(t, "the member", func() bool { return s.NumSubscriptions() == 2 })
	for range 10 {
		publish()
	}
	okay(t, c.Conn.Conn.(*net.TCPConn).CloseWrite())
	for n := range published {
		m, err := c.Next()
		if err != nil || string(m.Payload) != text(n) {
			t.Fatalf("message %d of %d: %.40q, %v", n, published, m, err)
		}
	}
}

// TestWhatIsLeftMayGoToItsPublisher has a publisher that wants no echo be the only other member: what
// it has published is not lost.
func TestWhatIsLeftMayGoToItsPublisher(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	goneLink, link := new(fakeLink), new(fakeLink)
	gone, publisher := onFake(t, s, goneLink), onFake(t, s, link)
	deliverTo(t, gone, "SUB work q 1\r\n")
	deliverTo(t, publisher, `CONNECT {"verbose":false,"echo":false}`+"\r\nSUB work q 9\r\nPUB work 2\r\nhi\r\n")
	frame := "MSG work 1 2\r\nhi\r\n"
	sent, _ := goneLink.taken()
	if echo, _ := link.taken(); string(sent) != frame || len(echo) > 0 {
		t.Fatalf("the other member was sent %q, the publisher %q", sent, echo)
	}
	subs := gone.dropSubs()
	l := &leftover{c: &gone.conn, subs: &subs}
	l.out.Segments = []netio.Segment{{Bytes: []byte(frame)}}
	l.pass()
	allWritten(t, &publisher.out)
	if out, _ := link.taken(); string(out) != "MSG work 9 2\r\nhi\r\n" {
		t.Errorf("the publisher is given %q", out)
	}
}

// TestWhatIsLeftGoesToOthers has random frames left of a client, cut into random segments, of which
// the socket has taken any number of bytes, and compares what another member of the group receives,
// and what is still sent to the client, with what each frame alone requires.
func TestWhatIsLeftGoesToOthers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		leftoverOf(t, rand.New(rand.NewPCG(seed, 3)))
	}
}

func leftoverOf(t *testing.T, r *rand.Rand) {
	s, err := NewServer(nil)
	okay(t, err)
	gone, link := onFake(t, s, new(fakeLink)), new(fakeLink)
	member := onFake(t, s, link)
	deliverTo(t, gone, "SUB work q 1\r\nSUB work 2\r\nSUB alone other 3\r\n")
	subs := gone.dropSubs()
	deliverTo(t, member, takesHeaders+"SUB * q 9\r\nSUB work 8\r\n")
	link.out = nil
	var frames []string
	var others []string // what another member is sent of each frame, if anything
	for i := range 1 + r.IntN(12) {
		size := []int{0, 3, 50, 3000, 30_000, 90_000}[r.IntN(6)]
		payload := fmt.Sprintf("%0*d", size, i)[:size] + "\r\n"
		frame, other := "", ""
		switch r.IntN(7) {
		case 0, 1:
			frame = fmt.Sprintf("MSG work 1 %d\r\n", size)
			other = fmt.Sprintf("MSG work 9 %d\r\n", size)
		case 2:
			frame = fmt.Sprintf("MSG work 1 reply %d\r\n", size)
			other = fmt.Sprintf("MSG work 9 reply %d\r\n", size)
		case 3:
			head := "NATS/1.0\r\n\r\n"
			frame = fmt.Sprintf("HMSG work 1 %d %d\r\n%s", len(head), len(head)+size, head)
			other = fmt.Sprintf("HMSG work 9 %d %d\r\n%s", len(head), len(head)+size, head)
		case 4:
			frame = fmt.Sprintf("MSG %s %d\r\n", []string{"work 2", "alone 3", "work 77"}[r.IntN(3)]+[]string{"", " reply"}[r.IntN(2)], size)
		default:
			frame, payload = []string{"PONG\r\n", "+OK\r\n", "PING\r\n"}[r.IntN(3)], ""
		}
		if other != "" {
			other += payload
		}
		frames, others = append(frames, frame+payload), append(others, other)
	}
	all := strings.Join(frames, "")
	sent := r.IntN(len(all) + 1)
	if r.IntN(3) == 0 { // where a frame ends
		sent = len(strings.Join(frames[:r.IntN(len(frames)+1)], ""))
	}
	l := &leftover{c: &gone.conn, subs: &subs, open: r.IntN(2) == 0}
	l.out.Sent = sent
	for rest := all; rest != ""; {
		n := 1 + r.IntN(min(len(rest), 100_000))
		l.out.Segments = append(l.out.Segments, netio.Segment{Bytes: []byte(rest[:n])})
		rest = rest[n:]
	}
	var want, rest string
	begin := 0
	for i, f := range frames {
		end := begin + len(f)
		switch {
		case end <= sent:
		case others[i] != "" && (begin >= sent || !l.open):
			want += others[i]
		case l.open:
			rest += f[max(0, sent-begin):]
		}
		begin = end
	}
	l.pass()
	allWritten(t, &member.out)
	if out, _ := link.taken(); string(out) != want {
		t.Errorf("%d of %d bytes sent, goes on %v: another member got %.200q, want %.200q", sent, len(all), l.open, out, want)
	}
	if string(l.rest) != rest {
		t.Errorf("%d of %d bytes sent, goes on %v: the client is sent %.200q, want %.200q", sent, len(all), l.open, l.rest, rest)
	}
	if got := s.grace.Pinned(); got != 0 || gone.in.Chunk() != nil {
		t.Errorf("%d batches are pinned, or a read buffer is kept", got)
	}
}

// TestWhatIsLeftGoesToMembersWithRoom has members of which all but one are nearly as full as may be,
// and then all: what is left of one slow consumer does not end the next.
func TestWhatIsLeftGoesToMembersWithRoom(t *testing.T) {
	t.Parallel()
	s, err := NewServer(&Options{MaxPending: 10_000})
	okay(t, err)
	gone := onFake(t, s, new(fakeLink))
	deliverTo(t, gone, "SUB work q 1\r\n")
	subs := gone.dropSubs()
	full := func() *client {
		release := make(chan bool)
		l := &fakeLink{try: func(int) (int, error) { return 0, netio.ErrWouldBlock }, wait: func(n int) (int, error) { <-release; return n, nil }}
		c := onFake(t, s, l)
		deliverTo(t, c, "SUB work q 1\r\n")
		c.send(strings.Repeat("+OK\r\n", 1001)) // more than half
		t.Cleanup(func() { close(release); allWritten(t, &c.out) })
		return c
	}
	busy := []*client{full(), full(), full()}
	roomy := onFake(t, s, new(fakeLink))
	deliverTo(t, roomy, "SUB work q 1\r\n")
	const messages = 20
	text := strings.Repeat("MSG work 1 2\r\nhi\r\n", messages)
	pass := func() (rest string) {
		l := &leftover{c: &gone.conn, subs: &subs, open: true, out: s.io.NewLeftover([]byte(text)), dropped: s.leftovers.drops()}
		l.pass()
		return string(l.rest)
	}
	if rest := pass(); rest != "" || roomy.out.Stats().Messages != messages {
		t.Errorf("the member with room got %d of %d messages, %d bytes are left", roomy.out.Stats().Messages, messages, len(rest))
	}
	roomy.dropSubs()
	if rest := pass(); rest != text {
		t.Errorf("without room anywhere %d of %d bytes are left", len(rest), len(text))
	}
	for _, c := range busy {
		if got := c.out.Stats().Messages; got != 0 {
			t.Errorf("a member without room got %d messages", got)
		}
	}
}

// TestFindingMembersWithRoomIsBounded has much left for members of a large group, of which few or none
// have room: they are looked at a few times, not for each message, and those with room get everything.
func TestFindingMembersWithRoomIsBounded(t *testing.T) {
	t.Parallel()
	const members, messages = 2000, 20_000 // in 5 reads
	for _, tt := range []struct {
		name   string
		groups int // others
		roomy  int // members
		differ bool
		looks  int // at most
	}{
		{"there is no room", 0, 0, false, 10 * (members + 1)},
		{"one of them has room", 0, 1, false, 10 * (members + 2)},
		{"half of them have room", 0, members, false, 10 * (2*members + 1)},
		{"there are many groups", members, 0, false, 10 * (2*members + 1)},
		{"the subjects differ", 0, 0, true, freeLooks + looksPerMessage*messages},
	} {
		s, err := NewServer(&Options{MaxPending: 10_000, MaxPendingTotal: 1 << 30})
		okay(t, err)
		gone := onFake(t, s, new(fakeLink))
		deliverTo(t, gone, "SUB work.> q 1\r\n")
		subs := gone.dropSubs()
		release := make(chan bool)
		full := onFake(t, s, &fakeLink{try: func(int) (int, error) { return 0, netio.ErrWouldBlock }, wait: func(n int) (int, error) { <-release; return n, nil }})
		roomy := onFake(t, s, new(fakeLink))
		var text strings.Builder
		for i := range members {
			fmt.Fprintf(&text, "SUB work.> q %d\r\n", i)
		}
		deliverTo(t, full, text.String())
		text.Reset()
		for i := range tt.roomy {
			fmt.Fprintf(&text, "SUB work.> q %d\r\n", i)
		}
		for i := range tt.groups {
			fmt.Fprintf(&text, "SUB work.> group%d x%d\r\n", i, i)
		}
		deliverTo(t, roomy, text.String())
		full.send(strings.Repeat("+OK\r\n", 1001)) // more than half
		text.Reset()
		for i := range messages {
			if !tt.differ {
				i = 0
			}
			fmt.Fprintf(&text, "MSG work.%d 1 0\r\n\r\n", i)
		}
		l := &leftover{c: &gone.conn, subs: &subs, open: true, out: s.io.NewLeftover([]byte(text.String())), dropped: s.leftovers.drops()}
		l.pass()
		got, want := roomy.out.Stats().Messages, int64(0)
		if tt.roomy > 0 {
			want = messages
		}
		if got != want || l.looks > tt.looks || full.out.Stats().Messages != 0 {
			t.Errorf("%s: %d messages are passed on with %d looks, want %d and %d at most", tt.name, got, l.looks, want, tt.looks)
		}
		if rest := text.Len(); want == 0 && len(l.rest) != rest {
			t.Errorf("%s: %d bytes are left, want %d", tt.name, len(l.rest), rest)
		}
		close(release)
		allWritten(t, &full.out)
	}
}

// TestWhoIsGivenWhatIsLeft ends a client, for several reasons, that has queue messages and others
// pending, and looks what another member of the group gets. What none gets is still sent, unless the
// client is ended because of it.
func TestWhoIsGivenWhatIsLeft(t *testing.T) {
	t.Parallel()
	const messages = 3
	for _, tt := range []struct {
		name   string
		reason closeReason
		want   int64 // messages of the other member
	}{
		{"it has closed its side", closeClient, messages},
		{"it is too slow", closeSlowPending, messages},
		{"the server shuts down", closeShutdown, 0},
	} {
		s, err := NewServer(nil)
		okay(t, err)
		l := &fakeLink{try: func(int) (int, error) { return 0, netio.ErrWouldBlock }}
		var over atomic.Bool
		l.wait = func(n int) (int, error) { // nothing for a moment, again and again
			if over.Load() {
				return n, nil
			}
			<-time.After(time.Millisecond)
			return 0, nil
		}
		gone := onFake(t, s, l)
		deliverTo(t, gone, "SUB work q 1\r\nSUB news 2\r\n")
		p := onFake(t, s, new(fakeLink))
		deliverTo(t, p, strings.Repeat("PUB work 2\r\nhi\r\n", messages)+"PUB news 2\r\nho\r\n")
		member := onFake(t, s, new(fakeLink))
		deliverTo(t, member, "SUB work q 1\r\nSUB news 2\r\n")
		gone.close(tt.reason)
		subs := gone.dropSubs()
		row := &closeRows[tt.reason]
		wait := gone.out.Stats().Pending
		gone.passOn(row, &subs)
		if got := member.out.Stats().Messages; got != tt.want {
			t.Errorf("%s: another member got %d of %d messages", tt.name, got, tt.want)
		}
		left := int64(len("MSG news 2 2\r\nho\r\n")) // if the rest goes on
		switch {
		case tt.reason == closeShutdown:
			left = wait
		case row.abrupt:
			left = 0
		}
		if got := gone.out.Stats().Pending; got != left {
			t.Errorf("%s: %d bytes are still sent to the client, want %d", tt.name, got, left)
		}
		over.Store(true)
		allWritten(t, &gone.out)
	}
}

// TestLargeMessagesOfALeftoverArrive has messages that are segments of their own, for a large group of
// which one member has room.
func TestLargeMessagesOfALeftoverArrive(t *testing.T) {
	t.Parallel()
	const members, messages, size = 10_000, 400, 60_000
	s, err := NewServer(nil)
	okay(t, err)
	full, roomy, lost := onFake(t, s, new(fakeLink)), onFake(t, s, &fakeLink{forgets: true}), onFake(t, s, new(fakeLink))
	var text strings.Builder
	for i := range members {
		fmt.Fprintf(&text, "SUB foo g %d\r\n", i)
	}
	handle(t, &full.conn, text.String())
	deliverTo(t, roomy, "SUB foo g 1\r\n")
	deliverTo(t, lost, "SUB foo g 1\r\n")
	full.out.Reserve(int(s.options().MaxPending/2 + 1))
	subs := lost.dropSubs()
	l := &leftover{c: &lost.conn, subs: &subs}
	payload := []byte(strings.Repeat("x", size) + "\r\n")
	for range messages {
		l.out.Segments = append(l.out.Segments, netio.Segment{Bytes: fmt.Appendf(nil, "MSG foo 1 %d\r\n", size)}, netio.Segment{Bytes: payload})
	}
	l.pass()
	if got := roomy.out.Stats().Messages; got != messages {
		t.Errorf("%d of %d messages are passed on, after %d looks", got, messages, l.looks)
	}
}
