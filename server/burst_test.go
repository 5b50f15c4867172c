package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// TestLastMessageOfABurstArrives sends bursts and waits for the last message of
// each while nothing else happens: a wake-up that is lost would leave it behind.
// Bursts larger than the sockets of the server end in the writer goroutine.
func TestLastMessageOfABurstArrives(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(*Options)
		bursts int
	}{
		{"over direct links", func(o *Options) { o.network = smallSockets{} }, 150},
		{"over plain links", func(o *Options) { o.network = newPipeNet() }, 600},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := broker(t, c.change)
			sub, pubs := dialClient(t, s), []*wire.Client{dialClient(t, s), dialClient(t, s)}
			okay(t, sub.Send("SUB foo 1\r\n"))
			sub.Drain()
			r := rand.New(rand.NewPCG(1, 1))
			for range c.bursts {
				n, size := 1+r.IntN(4), []int{2, 500, 20000}[r.IntN(3)]
				burst := strings.Repeat(fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size)), n)
				done := make(chan error, len(pubs))
				for _, p := range pubs {
					go func() { done <- p.Send(burst) }() // ends when it is sent
				}
				sub.SetReadDeadline(time.Now().Add(patience))
				for range n * len(pubs) {
					if _, err := sub.Next(); err != nil {
						t.Fatalf("the last message of a burst: %v", err)
					}
				}
				for range pubs {
					okay(t, <-done)
				}
			}
		})
	}
}

// smallSockets is the network of the machine with sockets that take little, so
// that a server often finds them full.
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

// TestPongFollowsAllThatWasPublished checks, on another connection than the
// publisher's, that a PONG means: in the queues of all subscribers. A PING of
// the subscriber that is sent after the publisher has its PONG is answered
// after the messages.
func TestPongFollowsAllThatWasPublished(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	p := dialClient(t, s)
	var subs []*wire.Client
	for i := range 8 {
		w := dialClient(t, s)
		okay(t, w.Send(fmt.Sprintf("SUB foo %d\r\nSUB f* %d\r\n", i, i+100)))
		w.Drain()
		subs = append(subs, w)
	}
	for round := range 100 {
		size := []int{3, 3000, 30000}[round%3]
		okay(t, p.Send(strings.Repeat(fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size)), 3)))
		p.Drain()
		for i, w := range subs {
			if got := len(w.Drain()); got != 3 && got != 6 {
				t.Fatalf("round %d, subscriber %d: got %d messages before the PONG", round, i, got)
			}
		}
	}
}

// TestSlowOneDoesNotHoldThePublisher has a subscriber that stopped reading and
// one that reads: no batch may wait for the first. A batch that did would take
// stallStep.
func TestSlowOneDoesNotHoldThePublisher(t *testing.T) {
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
		t.Errorf("got %d bytes pending, want more than the high-water mark: nobody lagged", got)
	}
}

// TestHealthyReaderSurvivesLargeBatches has readers that read all the time, and
// batches that are large compared with what may be pending.
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

func TestMessageLargerThanMaxPendingCuts(t *testing.T) {
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
