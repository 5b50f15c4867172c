package server

import (
	"fmt"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
)

// sinkLink is a link whose socket takes everything and keeps nothing.
type sinkLink struct{ nc net.Conn }

func (l sinkLink) Recv(*netio.ReadBuffer, int) (int, error) { return 0, net.ErrClosed }

func (l sinkLink) Conn() net.Conn { return l.nc }

func (l sinkLink) Close() error { return l.nc.Close() }

func (l sinkLink) TrySend(segs []netio.Segment) (n int, err error) {
	for _, s := range segs {
		n += len(s.Bytes)
	}
	return n, nil
}

func (l sinkLink) Unsent() int { return -1 }

func (l sinkLink) EndWork() {}

func (l sinkLink) Yield() {}

func (l sinkLink) EndTurn() {}

func (l sinkLink) Send(segs []netio.Segment, _ time.Time) (int, error) { return l.TrySend(segs) }

// sink makes a connection of s write nowhere and read nothing by itself.
func sink(c *conn) *conn {
	c.link = sinkLink{c.nc}
	c.out.SetLink(c.link)
	return c
}

// watchMachine returns a function that says for how long at most a goroutine with something to do
// had to wait since then: on a machine that is busy with something else that is long.
func watchMachine() (stop func() time.Duration) {
	quit, most := make(chan bool), make(chan time.Duration)
	go func() { // ends with quit
		const step = time.Millisecond
		tick := time.NewTicker(step)
		defer tick.Stop()
		longest, last := time.Duration(0), time.Now()
		for {
			select {
			case <-quit:
				most <- longest
				return
			case <-tick.C:
				now := time.Now()
				longest, last = max(longest, now.Sub(last)-step), now
			}
		}
	}()
	return func() time.Duration {
		close(quit)
		return <-most
	}
}

// deadPipe is a connection without a peer.
func deadPipe(t testing.TB) net.Conn {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return near
}

// sunk returns a client of s without a socket.
func sunk(t testing.TB, s *Server) *conn {
	t.Helper()
	c := newClient(s, deadPipe(t))
	c.verbose, c.pedantic = false, false
	return sink(&c.conn)
}

// registered returns the first client of s, without a socket, which routes can find.
func registered(t testing.TB, s *Server) *conn {
	t.Helper()
	c := sunk(t, s)
	c.id = 1
	if r := s.clients.add(c.ops.(*client)); r != keepOpen {
		t.Fatalf("the client is rejected: %v", r)
	}
	return c
}

// sunkRoute returns a route of s without a socket, to a server that takes headers or not.
func sunkRoute(t testing.TB, s *Server, headers bool) *conn {
	t.Helper()
	r := newRoute(s, deadPipe(t), nil)
	r.headers.Store(headers)
	return sink(&r.conn)
}

// handle gives a connection bytes as if it had read them, and lets it work.
func handle(t testing.TB, c *conn, text string) {
	t.Helper()
	for len(text) > 0 {
		n := copy(c.in.Space(netio.ReadSize), text)
		c.in.Filled(n)
		text = text[n:]
		if r := c.work(); r != keepOpen {
			t.Fatalf("the connection ends: %v", r)
		}
	}
}

// takesHeaders is the CONNECT of a client that does.
const takesHeaders = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n"

// withHeaders is a publication with headers and so many bytes of payload.
func withHeaders(size int) string {
	const block = "NATS/1.0\r\nTrace: 0af7651916cd43dd8448eb211c80319c\r\n\r\n"
	return fmt.Sprintf("HPUB foo %d %d\r\n%s%s\r\n", len(block), len(block)+size, block, strings.Repeat("x", size))
}

// TestSpeedNoAllocations runs the walk of a message, from bytes that were read to bytes that are
// handed to the socket, and wants no memory taken on the way.
func TestSpeedNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates; make test runs this again without it")
	}
	tests := []struct {
		name string
		subs func(i int) string // what client i sends first
		n    int
		pub  string
	}{
		{"published without subscriptions", nil, 0, "PUB foo 2\r\nhi\r\n"},
		{"one subscriber", func(int) string { return "SUB foo 1\r\n" }, 1, "PUB foo 2\r\nhi\r\n"},
		{"one hundred subscribers with the same sid", func(int) string { return "SUB foo 1\r\n" }, 100, "PUB foo 2\r\nhi\r\n"},
		{"a queue group of eight", func(i int) string { return fmt.Sprintf("SUB foo g %d\r\n", i) }, 8, "PUB foo 2\r\nhi\r\n"},
		{"two subjects in turn", func(i int) string { return fmt.Sprintf("SUB foo.%d 1\r\n", i) }, 2, "PUB foo.0 2\r\nhi\r\nPUB foo.1 2\r\nhi\r\n"},
		{"headers to one subscriber", func(int) string { return takesHeaders + "SUB foo 1\r\n" }, 1, withHeaders(2)},
		{"headers to one hundred subscribers, half of which take them", func(i int) string {
			if i%2 == 0 {
				return "SUB foo 1\r\n"
			}
			return takesHeaders + "SUB foo 1\r\n"
		}, 100, withHeaders(2)},
		{"headers to a queue group of eight", func(i int) string { return takesHeaders + fmt.Sprintf("SUB foo g %d\r\n", i) }, 8, withHeaders(2)},
		{"headers and a large payload by reference", func(i int) string { return takesHeaders + "SUB foo 1\r\n" }, 2, withHeaders(16384)},
		{"a large payload by reference", func(int) string { return "SUB foo 1\r\n" }, 2, "PUB foo 16384\r\n" + strings.Repeat("x", 16384) + "\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewServer(nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range tt.n {
				handle(t, sunk(t, s), tt.subs(i))
			}
			p := sunk(t, s)
			handle(t, p, takesHeaders)
			batch := strings.Repeat(tt.pub, max(1, 8192/len(tt.pub)))
			handle(t, p, batch)
			// Pools may be emptied by a collection meanwhile: a few are allowed per
			// batch of thousands of messages, none per message.
			if got := testing.AllocsPerRun(100, func() { handle(t, p, batch) }); got > 2 {
				t.Errorf("got %v allocations per batch, want none", got)
			}
		})
	}
}

// TestSpeedHeadersCostNoMore publishes the same bytes as PUB and as HPUB, in turn.
func TestSpeedHeadersCostNoMore(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has its own speed; make test runs this again without it")
	}
	const rounds, most = 41, 1.25
	for _, size := range []int{16, 128, 1024, 16384} {
		for _, subs := range []int{1, 10} {
			t.Run(fmt.Sprintf("size=%d/subs=%d", size, subs), func(t *testing.T) {
				s, err := NewServer(nil)
				if err != nil {
					t.Fatal(err)
				}
				for range subs {
					handle(t, sunk(t, s), takesHeaders+"SUB foo 1\r\n")
				}
				p := sunk(t, s)
				handle(t, p, takesHeaders)
				headed := withHeaders(size)
				_, body, _ := strings.Cut(headed, "\r\n")
				plain := fmt.Sprintf("PUB foo %d\r\n%s", len(body)-2, body)
				per := max(1, 256<<10/len(plain))
				took := func(msg string) time.Duration {
					batch := strings.Repeat(msg, per)
					begin := time.Now()
					handle(t, p, batch)
					return time.Since(begin)
				}
				// The fastest of each, at three times: other programs on the machine only add, and a
				// processor that becomes faster for a moment favours one of the two.
				got := math.Inf(1)
				for range 3 {
					best := [2]time.Duration{took(headed), took(plain)}
					for range rounds {
						best[0], best[1] = min(best[0], took(headed)), min(best[1], took(plain))
					}
					got = min(got, float64(best[0])/float64(best[1]))
				}
				t.Logf("headers cost %.2f times as much", got)
				if got > most {
					t.Errorf("headers cost %.2f times as much, want at most %v", got, most)
				}
			})
		}
	}
}

// TestSpeedNoAllocationsAcrossRoutes is TestSpeedNoAllocations for messages to and from other
// servers.
func TestSpeedNoAllocationsAcrossRoutes(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates; make test runs this again without it")
	}
	const block = "NATS/1.0\r\n\r\n"
	for _, tt := range []struct {
		name     string
		from, to func(s *Server) *conn
		sub, pub string
	}{
		{"to a server of ours", func(s *Server) *conn { return sunk(t, s) }, func(s *Server) *conn { return sunkRoute(t, s, true) },
			"SUB foo  RSID:1:1\r\n", "HPUB foo 12 14\r\n" + block + "hi\r\n"},
		{"to a classic server", func(s *Server) *conn { return sunk(t, s) }, func(s *Server) *conn { return sunkRoute(t, s, false) },
			"SUB foo  RSID:1:1\r\n", "HPUB foo 12 14\r\n" + block + "hi\r\n"},
		{"from a server of ours", func(s *Server) *conn { return sunkRoute(t, s, true) }, func(s *Server) *conn { return sunk(t, s) },
			takesHeaders + "SUB foo 1\r\n", "HMSG foo RSID:1:1 12 14\r\n" + block + "hi\r\n"},
		{"to a queue member of a server of ours", func(s *Server) *conn { return sunk(t, s) }, func(s *Server) *conn { return sunkRoute(t, s, true) },
			"SUB foo g QRSID:1:1\r\n", "PUB foo 2\r\nhi\r\n"},
		{"from a server of ours to a queue member", func(s *Server) *conn { return sunkRoute(t, s, true) }, func(s *Server) *conn { return registered(t, s) },
			"SUB foo g 1\r\n", "MSG foo QRSID:1:1 2\r\nhi\r\nMSG foo QRSID:1:1 3\r\nyou\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewServer(&Options{Cluster: ClusterOpts{Port: RandomPort}})
			if err != nil {
				t.Fatal(err)
			}
			to, from := tt.to(s), tt.from(s)
			handle(t, to, tt.sub)
			if from.role == roleClient {
				handle(t, from, takesHeaders)
			}
			batch := strings.Repeat(tt.pub, 8192/len(tt.pub))
			handle(t, from, batch)
			before := to.out.Stats().Messages
			if got := testing.AllocsPerRun(100, func() { handle(t, from, batch) }); got > 2 {
				t.Errorf("got %v allocations per batch, want none", got)
			}
			perText := strings.Count(tt.pub, " foo ")
			if got, want := to.out.Stats().Messages-before, int64(101*perText*(8192/len(tt.pub))); got != want {
				t.Errorf("got %d messages, want %d", got, want)
			}
		})
	}
}

// TestSpeedWithPermissions publishes in turn with permissions and without, and compares the best of
// many rounds of each.
func TestSpeedWithPermissions(t *testing.T) {
	if raceEnabled {
		t.Skip("needs real speed; make test runs this again without the race detector")
	}
	const rounds, want = 400, 0.9
	p := mustCompile(t, &Permissions{Publish: list("req.foo", "req.bar", "orders.*.created", "!orders.secret.>")})
	for _, tt := range []struct{ name, subjects string }{
		{"the same subject", "orders.eu.created"},
		{"subjects in turn", "orders.eu.created orders.us.created req.foo req.bar orders.asia.created"},
	} {
		s, err := NewServer(nil)
		okay(t, err)
		handle(t, sunk(t, s), "SUB > 1\r\n")
		var batch strings.Builder
		for subjects := strings.Fields(tt.subjects); batch.Len() < 16<<10; {
			for _, subject := range subjects {
				fmt.Fprintf(&batch, "PUB %s 16\r\n0123456789abcdef\r\n", subject)
			}
		}
		free, limited := sunk(t, s), sunk(t, s)
		limited.ops.(*client).permissions.Store(p)
		fastest := [2]time.Duration{time.Hour, time.Hour}
		for range rounds {
			for i, c := range []*conn{free, limited} {
				start := time.Now()
				handle(t, c, batch.String())
				fastest[i] = min(fastest[i], time.Since(start))
			}
		}
		got := float64(fastest[0]) / float64(fastest[1])
		t.Logf("%s: %.1f %% of the throughput without permissions (%v and %v for a batch)", tt.name, 100*got, fastest[1], fastest[0])
		if got < want {
			t.Errorf("%s: %.1f %% of the throughput without permissions, want %.0f %%", tt.name, 100*got, 100*want)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, size := range []int{16, 128, 1024, 16384} {
		for _, subs := range []int{0, 1, 10, 100} {
			b.Run(fmt.Sprintf("size=%d/subs=%d", size, subs), func(b *testing.B) {
				s, err := NewServer(nil)
				if err != nil {
					b.Fatal(err)
				}
				for range subs {
					handle(b, sunk(b, s), "SUB foo 1\r\n")
				}
				p := sunk(b, s)
				msg := fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size))
				per := max(1, 32<<10/len(msg))
				batch := strings.Repeat(msg, per)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; i < b.N; i += per {
					handle(b, p, batch)
				}
			})
		}
	}
}
