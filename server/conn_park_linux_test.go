package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// idleBroker runs a server that parks clients soon.
func idleBroker(t testing.TB, change func(*Options)) *Server {
	return broker(t, func(o *Options) {
		o.idle = 25 * time.Millisecond
		if change != nil {
			change(o)
		}
	})
}

func awaitParked(t testing.TB, s *Server, n int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d parked clients", n), func() bool { return s.parking.parked.Load() == n })
}

// TestIdleClientsHaveNoReader has idle clients, over TLS and without, do what clients do.
func TestIdleClientsHaveNoReader(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	for name, dial := range map[string]func(testing.TB, *Server) *wire.Client{"plain": dialClient, "TLS": probingTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := idleBroker(t, func(o *Options) {
				o.MaxPending, o.WriteDeadline = 1<<20, time.Minute
				if name == "TLS" {
					o.TLSCert, o.TLSKey = filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem")
				}
			})
			const n = 50
			clients := make([]*wire.Client, n)
			for i := range clients {
				clients[i] = dial(t, s)
				clients[i].Do("SUB all 7", fmt.Sprintf("SUB own.%d 8", i))
			}
			awaitParked(t, s, n)

			pub := clients[0] // it publishes, and so it has a reader; what others receive needs none
			pub.Do("PUB all 2", "hi")
			if pub.Drain(); s.parking.parked.Load() < n-1 {
				t.Errorf("%d are parked after a message to all, want %d", s.parking.parked.Load(), n-1)
			}
			for _, c := range clients[1:] {
				if m, err := c.Next(); err != nil || m == nil || m.Sid != "7" {
					t.Fatalf("got %+v, %v, want the message to all", m, err)
				}
			}
			awaitParked(t, s, n)

			okay(t, clients[1].Send("PUB own.2 3\r\na")) // parked in the middle of an operation
			awaitParked(t, s, n)
			okay(t, clients[1].Send("bc\r\n"))
			if m, err := clients[2].Next(); err != nil || m == nil || m.Sid != "8" || string(m.Payload) != "abc" {
				t.Fatalf("got %+v, %v, want abc", m, err)
			}

			awaitParked(t, s, n)
			okay(t, clients[3].Close()) // the peer ends
			eventually(t, "one client less", func() bool { return s.clients.len() == n-1 })
			var kicked uint64
			for _, c := range s.clients.all() {
				kicked = max(kicked, c.id)
			}
			okay(t, s.DisconnectClientByID(kicked))
			eventually(t, "one client less", func() bool { return s.clients.len() == n-2 })
			clients = clients[:n-1]
			for i, c := range clients[5:] {
				c.Do("UNSUB 7", fmt.Sprintf("UNSUB %d", 8))
				if i%2 == 0 {
					okay(t, c.Send("nonsense\r\n"))
					c.Hear("-ERR")
					okay(t, c.Ended())
				}
			}
			s.Shutdown()
			for i, c := range clients[5:] {
				if i%2 == 1 {
					okay(t, c.Ended())
				}
			}
			if got := s.parking.parked.Load(); got != 0 {
				t.Errorf("%d are parked after the end", got)
			}
		})
	}
}

// TestFewClientsKeepTheirReaders connects one client after the other: they are parked when there are
// enough. What is kept of those that have ended is given up in any case.
func TestFewClientsKeepTheirReaders(t *testing.T) {
	t.Parallel()
	s := idleBroker(t, nil)
	s.parking.least = 3
	watched := func() (clients int, swept bool) {
		s.parking.mu.Lock()
		defer s.parking.mu.Unlock()
		return len(s.parking.young) + len(s.parking.readers), s.parking.timer != nil
	}
	one, two := dialClient(t, s), dialClient(t, s)
	one.Sync()
	two.Sync()
	eventually(t, "two clients with readers", func() bool { n, _ := watched(); return n == 2 })
	if _, swept := watched(); swept {
		t.Error("two clients are to be parked")
	}
	okay(t, one.Close())
	eventually(t, "an end of one", func() bool { n, _ := watched(); return n == 1 })
	for range 2 {
		dialClient(t, s).Sync()
	}
	awaitParked(t, s, 3)
	okay(t, two.Close())
	eventually(t, "no sweeps", func() bool { n, swept := watched(); return n == 0 && !swept })
}

// TestParkedSlowConsumerIsDisconnected has a parked client that does not read.
func TestParkedSlowConsumerIsDisconnected(t *testing.T) {
	t.Parallel()
	s := idleBroker(t, func(o *Options) { o.MaxPending = 1 << 20 })
	slow := dialClient(t, s)
	slow.Do("SUB flood 1")
	awaitParked(t, s, 1)
	p := dialClient(t, s)
	text := "PUB flood 100000\r\n" + strings.Repeat("x", 100_000) + "\r\n"
	for s.clients.len() == 2 {
		okay(t, p.Send(strings.Repeat(text, 10)))
		p.Sync()
	}
	if got := s.NumSlowConsumers(); got != 1 {
		t.Errorf("%d slow consumers, want 1", got)
	}
}

// TestParkingSavesGoroutines counts them while clients are idle, and when they have left.
func TestParkingSavesGoroutines(t *testing.T) {
	s := idleBroker(t, nil)
	base := runtime.NumGoroutine()
	const n = 200
	clients := make([]*wire.Client, n)
	for i := range clients {
		clients[i] = dialClient(t, s)
		clients[i].Sync()
	}
	awaitParked(t, s, n)
	eventually(t, "few goroutines", func() bool { return runtime.NumGoroutine() < base+n/4 })
	for _, c := range clients {
		okay(t, c.Close())
	}
	eventually(t, "no clients", func() bool { return s.clients.len() == 0 && s.parking.parked.Load() == 0 })
	eventually(t, "an end of the sweeps", func() bool {
		s.parking.mu.Lock()
		defer s.parking.mu.Unlock()
		return len(s.parking.young)+len(s.parking.readers) == 0 && s.parking.timer == nil
	})
}

// TestMessagesAtTheMomentOfParking has clients publish, ping and leave when they are about to be
// parked, and others close them at that time.
func TestMessagesAtTheMomentOfParking(t *testing.T) {
	t.Parallel()
	s := idleBroker(t, func(o *Options) { o.idle = time.Millisecond })
	sub := dialClient(t, s)
	sub.Do("SUB n.* 1")
	const publishers, each = 8, 300
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(p)))
			nc, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			go io.Copy(io.Discard, nc) // ends with nc
			fmt.Fprintf(nc, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")
			pause := time.NewTimer(0)
			for i := range each {
				text := fmt.Sprintf("PUB n.%d %d\r\n%d\r\n", p, len(fmt.Sprint(i)), i)
				cut := random.IntN(len(text))
				fmt.Fprint(nc, text[:cut])
				pause.Reset(time.Duration(random.IntN(2500)) * time.Microsecond)
				<-pause.C
				fmt.Fprint(nc, text[cut:])
			}
		})
	}
	next := map[string]int{}
	for range publishers * each {
		m, err := sub.Next()
		if err != nil || m == nil {
			t.Fatalf("got %v, %v, want a message", m, err)
		}
		if want := fmt.Sprint(next[m.Subject]); string(m.Payload) != want {
			t.Fatalf("%s: got %s, want %s", m.Subject, m.Payload, want)
		}
		next[m.Subject]++
	}
	all.Wait()
	for range 100 { // closed by both sides
		c := dialClient(t, s)
		c.Sync()
		id := c.CID()
		go c.Close()                  // ends at once
		go s.DisconnectClientByID(id) // the same
	}
	eventually(t, "one client", func() bool { return s.clients.len() == 1 })
	s.Shutdown()
}
