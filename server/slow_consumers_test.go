package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/test/wire"
)

// smallSockets is the network of the machine with sockets that take little, so that a server often
// finds them full.
type smallSockets struct{ osNetwork }

func (n smallSockets) Listen(addr string) (net.Listener, error) {
	l, err := n.osNetwork.Listen(addr)
	return smallListener{l}, err
}

type smallListener struct{ net.Listener }

func (l smallListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetWriteBuffer(4 << 10)
	}
	return nc, err
}

// TestSlowConsumerDoesNotStallThePublisher has a subscriber that stopped reading and one that
// reads: no batch may wait for the first. A batch that did would take stallStep.
func TestSlowConsumerDoesNotStallThePublisher(t *testing.T) {
	t.Parallel()
	const batches = 300
	s := broker(t, func(o *Options) { o.WriteDeadline = time.Minute })
	slow, fast, p := dialClient(t, s), dialClient(t, s), dialClient(t, s)
	slow.Conn.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	for _, w := range []*wire.Client{slow, fast} {
		okay(t, w.Send("SUB foo 1\r\n"))
		w.Drain()
	}
	text := "PUB foo 50000\r\n" + strings.Repeat("x", 50000) + "\r\nPING\r\n"
	start := time.Now()
	for range batches {
		okay(t, p.Send(text))
		if d, err := p.Next(); d != nil || err != nil {
			t.Fatalf("got %v, %v, want PONG", d, err)
		}
		if d, err := fast.Next(); d == nil || err != nil {
			t.Fatalf("got %v, %v, want a message", d, err)
		}
	}
	if took := time.Since(start); took > batches*stallStep/3 {
		t.Errorf("%d batches took %v: the publisher was held", batches, took)
	}
	if got := s.NumSlowConsumers(); got != 0 {
		t.Errorf("got %d slow consumers, want 0", got)
	}
	if got := s.io.Pending.Load(); got < highWater {
		t.Errorf("got %d bytes pending, want more than the high-water mark: none lagged", got)
	}
}

// TestHealthyReaderSurvivesLargeBatches has readers that read all the time, and batches that are
// large compared with what may be pending.
func TestHealthyReaderSurvivesLargeBatches(t *testing.T) {
	t.Parallel()
	const n = 400
	cases := []struct {
		name    string
		network network
		size    int
		subs    int // on the one connection
	}{
		{"large payloads over a direct link", nil, 30000, 1},
		{"large payloads over a plain link", newPipeNet(), 30000, 1},
		{"overlapping subscriptions over a plain link", newPipeNet(), 9000, 3},
		{"short messages over a plain link", newPipeNet(), 100, 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := broker(t, func(o *Options) { o.MaxPending = 256 << 10; o.network = orOS(c.network) })
			sub, p := dialClient(t, s), dialClient(t, s)
			for i := range c.subs {
				okay(t, sub.Send(fmt.Sprintf("SUB foo %d\r\n", i)))
			}
			sub.Drain()
			sent := make(chan error, 1)
			go func() { // ends when all is sent
				sent <- p.Send(strings.Repeat(fmt.Sprintf("PUB foo %d\r\n%s\r\n", c.size, strings.Repeat("x", c.size)), n))
			}()
			for i := range n * c.subs {
				if _, err := sub.Next(); err != nil {
					t.Fatalf("message %d of %d: %v (slow consumers: %d)", i, n*c.subs, err, s.NumSlowConsumers())
				}
			}
			okay(t, <-sent)
		})
	}
}

func orOS(n network) network {
	if n == nil {
		return osNetwork{}
	}
	return n
}

func TestMessageLargerThanMaxPendingDisconnects(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]network{"over a direct link": nil, "over a plain link": newPipeNet()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := broker(t, func(o *Options) { o.MaxPending = 10000; o.network = orOS(n) })
			log := newLineLog()
			s.SetLogger(log, false, false)
			sub, other, p := dialClient(t, s), dialClient(t, s), dialClient(t, s)
			okay(t, sub.Send("SUB foo 1\r\n"))
			sub.Drain()
			okay(t, other.Send("SUB bar 1\r\n"))
			other.Drain()
			okay(t, p.Send("PUB bar 5\r\nhello\r\nPUB foo 10001\r\n"+strings.Repeat("x", 10001)+"\r\nPUB bar 5\r\nworld\r\n"))
			p.Drain()
			if line := log.wait(t, "Slow Consumer"); !strings.Contains(line, "MaxPending of 10000 Exceeded") {
				t.Errorf("got %q", line)
			}
			if _, err := sub.UntilPong(); err == nil {
				t.Error("the subscriber is still connected")
			}
			if got := len(other.Drain()); got != 2 {
				t.Errorf("the other subscriber got %d messages, want 2", got)
			}
		})
	}
}

// lagPatience bounds how long a test waits for a reader that is slow on purpose.
const lagPatience = 30 * time.Second

// stuck connects a client that subscribes to subject and reads nothing more.
func stuck(t *testing.T, s *Server, subject string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	r := bufio.NewReaderSize(nc, 16)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(nc, "CONNECT {\"verbose\":false,\"name\":\"slow\",\"user\":\"joe\"}\r\nSUB %s 7\r\nPING\r\n", subject)
	if line, err := r.ReadString('\n'); err != nil || line != "PONG\r\n" {
		t.Fatalf("got %q, %v, want PONG", line, err)
	}
	return nc
}

func TestSlowConsumerIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	const client = ` - cid:\d+ - Slow Consumer Detected: `
	const what = ` \(name "slow", user "joe", \d+ bytes pending for [^,]+, most on subject "much\.noise"\)$`
	tests := []struct {
		name   string
		change func(*Options)
		want   string
		reason closeReason
	}{
		{"by the bytes that wait for it", func(o *Options) { o.MaxPending = 4 << 20; o.WriteDeadline = time.Minute },
			client + `MaxPending of 4194304 Exceeded` + what, closeSlowPending},
		{"by the time that a write takes", func(o *Options) { o.WriteDeadline = 50 * time.Millisecond },
			client + `WriteDeadline of 50ms Exceeded` + what, closeSlowDeadline},
		{"by the bytes that wait for all", func(o *Options) { o.MaxPendingTotal = 3 << 20; o.WriteDeadline = time.Minute },
			client + `MaxPendingTotal of 3145728 Exceeded` + what, closeSlowTotal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := broker(t, tt.change)
			log := newLineLog()
			s.SetLogger(log, false, false)
			stuck(t, s, "much.noise")
			p := dialClient(t, s)
			msg := "PUB much.noise 65536\r\n" + strings.Repeat("x", 65536) + "\r\n"
			done := make(chan struct{})
			go func() { // ends when the consumer is disconnected, or the connection closes
				defer close(done)
				for s.NumSlowConsumers() == 0 {
					if p.Send(msg) != nil {
						return
					}
				}
			}()
			line := log.wait(t, "Slow Consumer")
			if !regexp.MustCompile(tt.want).MatchString(line) {
				t.Errorf("got  %s\nwant %s", line, tt.want)
			}
			<-done
			if got := s.counters.slowBy[tt.reason].Load(); got != 1 {
				t.Errorf("got %d slow consumers by %v, want 1", got, tt.reason)
			}
			p.Drain() // the publisher goes on
			eventually(t, "nothing is pending after the only slow one was disconnected", func() bool { return s.io.Pending.Load() == 0 })
		})
	}
}

// TestPublisherWaitsForItsOnlySubscriber has publishers that are much faster than their subscriber, few
// and many, and more to send than may be pending. It is not parallel: among all the other tests the
// subscriber may not run for two seconds, and is too slow then.
func TestPublisherWaitsForItsOnlySubscriber(t *testing.T) {
	for _, tt := range []struct {
		publishers, messages, size int
		maxPending                 int64
	}{
		{1, 1000, 64 << 10, 16 << 20},
		{4, 50, 64 << 10, 256 << 10},
		{16, 1000, 1000, 256 << 10},
		{64, 2000, 100, 1 << 20},
		{64, 10, 64 << 10, 1 << 20},
	} {
		t.Run(fmt.Sprint(tt.publishers, "x", tt.size), func(t *testing.T) {
			s := broker(t, func(o *Options) { o.MaxPending = tt.maxPending })
			nc := dialClient(t, s)
			_, err := io.WriteString(nc, "SUB foo 7\r\nPING\r\n")
			okay(t, err)
			_, err = io.ReadFull(nc, make([]byte, len("PONG\r\n")))
			okay(t, err)
			sent := make(chan error, tt.publishers)
			text := strings.Repeat(fmt.Sprintf("PUB foo %d\r\n%s\r\n", tt.size, strings.Repeat("x", tt.size)), tt.messages)
			pubs := make([]*wire.Client, tt.publishers) // this goroutine reads for the subscriber, and does not while it dials
			for i := range pubs {
				pubs[i] = dialClient(t, s)
			}
			for _, p := range pubs {
				go func() { // ends when all is sent
					err := p.Send(text)
					if err == nil {
						_, err = p.Fence()
					}
					sent <- err
				}()
			}
			head := len(fmt.Sprintf("MSG foo 7 %d\r\n", tt.size))
			nc.SetReadDeadline(time.Now().Add(2 * lagPatience))
			// So little at a time that publishers are much faster, and so much that a part of what the socket
			// holds is taken in write_deadline where many others run.
			sip := make([]byte, 64+tt.size/16)
			for left := tt.publishers * tt.messages * (head + tt.size + 2); left > 0; {
				k, err := nc.Read(sip[:min(left, len(sip))])
				if err != nil {
					t.Fatalf("the subscriber: %v (slow consumers: %d)", err, s.NumSlowConsumers())
				}
				left -= k
			}
			for range tt.publishers {
				okay(t, <-sent)
			}
			if got := s.NumSlowConsumers(); got != 0 {
				t.Errorf("got %d slow consumers, want 0", got)
			}
		})
	}
}

// TestAFastPublisherElsewhereHurtsItsSubscriberOnly has a subscriber that does not read, and a
// publisher on another server, which is held back by the route and not by the subscriber: that one
// is disconnected at max_pending. The route stays, and messages for others arrive.
func TestAFastPublisherElsewhereHurtsItsSubscriberOnly(t *testing.T) {
	t.Parallel()
	const most, size = 1 << 20, 16 << 10
	a := startServer(t, nil)
	b := startServer(t, func(o *Options) { o.Routes, o.MaxPending = []*url.URL{routeTo(t, a)}, most })
	meshed(t, a, b)
	slow, other, pub := dialClient(t, b), dialClient(t, b), dialClient(t, a)
	slow.Do("SUB fast 1")
	other.Do("SUB other 1")
	interested(t, a, 2)
	text := fmt.Sprintf("PUB fast %d\r\n%s\r\nPUB other 1\r\nx\r\n", size, strings.Repeat("x", size))
	for sent := 0; b.NumSlowConsumers() == 0; sent += size {
		if sent > 256<<20 {
			t.Fatalf("after %d bytes the subscriber is still there", sent)
		}
		pub.Say(text)
		other.Want("MSG other 1 1", "x")
		for _, c := range b.clients.all() {
			if n := c.out.Stats().Pending; n > most+netio.ReadSize {
				t.Fatalf("%d bytes are pending, want %d at most", n, most)
			}
		}
	}
	pub.Say("PUB other 4\r\nlast\r\n")
	other.Want("MSG other 1 4", "last")
	if a.NumRoutes() != 1 || b.NumRoutes() != 1 || a.NumSlowConsumers() != 0 || b.NumSlowConsumers() != 1 {
		t.Errorf("got %d and %d routes, %d and %d slow consumers; want the subscriber disconnected only",
			a.NumRoutes(), b.NumRoutes(), a.NumSlowConsumers(), b.NumSlowConsumers())
	}
}

// relay runs one publisher and ten subscribers until each that reads has n messages, and returns
// how long that took.
func relay(t *testing.T, oneStops bool) time.Duration {
	t.Helper()
	const subscribers, n, size = 10, 40000, 128
	s := broker(t, func(o *Options) { o.WriteDeadline = time.Minute })
	reading := subscribers
	if oneStops {
		reading--
		stuck(t, s, "foo")
	}
	var subs []*wire.Client
	for range reading {
		w := dialClient(t, s)
		okay(t, w.Send("SUB foo 1\r\n"))
		w.Drain()
		subs = append(subs, w)
	}
	p := dialClient(t, s)
	p.Drain()
	batch := strings.Repeat(fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size)), 100)
	bytes := int64(n * (len(fmt.Sprintf("MSG foo 1 %d\r\n", size)) + size + 2))
	start := time.Now()
	done := make(chan error, reading)
	for _, w := range subs {
		go func() { // ends when it has everything
			_, err := io.CopyN(io.Discard, w.In, bytes)
			done <- err
		}()
	}
	for range n / 100 {
		okay(t, p.Send(batch))
	}
	for range reading {
		okay(t, <-done)
	}
	took := time.Since(start)
	if got := s.NumSlowConsumers(); got != 0 {
		t.Errorf("got %d slow consumers, want none yet: the queue was to grow", got)
	}
	s.Shutdown()
	return took
}

// TestSpeedOneOfTenStopsReading compares, in turn, ten subscribers that read with ten of which one
// stops. The others must not notice. The one that stops costs the server nothing to write to, so
// its share is taken off.
func TestSpeedOneOfTenStopsReading(t *testing.T) {
	if raceEnabled {
		t.Skip("speed under the race detector says nothing; make test runs this again without it")
	}
	relay(t, false) // warm
	const most = 25
	var with, without []time.Duration
	for i := range most {
		without = append(without, relay(t, false))
		with = append(with, relay(t, true))
		slices.Sort(with)
		slices.Sort(without)
		if ratio := float64(with[i/2]) / float64(without[i/2]); i >= 4 && ratio <= 1.1 {
			t.Logf("median with one that stops %v, without %v: ratio %.2f over %d pairs", with[i/2], without[i/2], ratio, i+1)
			return
		}
	}
	t.Errorf("median with one that stops %v, without %v: more than 1.1 over %d pairs", with[most/2], without[most/2], most)
}

// TestSlowRouteIsLoggedWithItsOwnLimits has a route exceed each of its limits.
func TestSlowRouteIsLoggedWithItsOwnLimits(t *testing.T) {
	t.Parallel()
	for reason, want := range map[closeReason]string{
		closeSlowPending: "MaxPending of 4194304 Exceeded", closeSlowDeadline: "WriteDeadline of 10s Exceeded",
	} {
		s := startServer(t, func(o *Options) { o.MaxPending, o.WriteDeadline = 1<<20, time.Second })
		log := newLineLog()
		s.SetLogger(log, false, false)
		_, r := manualPeer(t, s)
		r.slowConsumer(reason)
		if line := log.wait(t, "Slow Consumer"); !strings.Contains(line, want) {
			t.Errorf("got %q, want %q", line, want)
		}
	}
}

// TestTheLongestQueueIsClosedFirst has three subscribers that read nothing, and more queued for them
// than all may have: the one with the longest queue is disconnected, not the one that is sent the
// message that was too much.
func TestTheLongestQueueIsClosedFirst(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) {
		o.MaxPendingTotal, o.WriteDeadline, o.network = 900<<10, time.Minute, newPipeNet()
	})
	log := newLineLog()
	s.SetLogger(log, false, false)
	pub := dialClient(t, s)
	publish := func(subject string, size int) {
		okay(t, pub.Send(fmt.Sprintf("PUB %s %d\r\n%s\r\n", subject, size, strings.Repeat("x", size))))
		pub.Drain()
	}
	subs := map[string]*wire.Client{}
	for _, subject := range []string{"short", "longest", "middle"} {
		subs[subject] = dialClient(t, s)
		okay(t, subs[subject].Send("SUB "+subject+" 1\r\n"))
		subs[subject].Drain()
	}
	publish("short", 100<<10)
	publish("longest", 450<<10)
	publish("middle", 250<<10)
	if got := s.NumSlowConsumers(); got != 0 {
		t.Fatalf("%d slow consumers below the limit", got)
	}
	publish("short", 200<<10)
	if line := log.wait(t, "Slow Consumer"); !strings.Contains(line, `MaxPendingTotal of 921600 Exceeded`) || !strings.Contains(line, `most on subject "longest"`) {
		t.Errorf("got %q in the log", line)
	}
	okay(t, subs["longest"].Dropped())
	for subject, sizes := range map[string][]int{"short": {100 << 10, 200 << 10}, "middle": {250 << 10}} {
		for _, size := range sizes {
			if m, err := subs[subject].Next(); err != nil || m == nil || len(m.Payload) != size {
				t.Errorf("%s: got %v, want a message of %d bytes", subject, err, size)
			}
		}
	}
	if got := s.NumSlowConsumers(); got != 1 {
		t.Errorf("got %d slow consumers, want 1", got)
	}
}
