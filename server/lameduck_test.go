package server

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/test/wire"
)

// duckBroker runs a server on a network in memory whose lame duck mode takes 30 s after a grace
// period of 1 s.
func duckBroker(t *testing.T) (*Server, *lineLog) {
	t.Helper()
	s := broker(t, func(o *Options) {
		o.network = newPipeNet()
		o.PingInterval = time.Hour
		o.LameDuckDuration, o.LameDuckGracePeriod = 30*time.Second, time.Second
	})
	log := newLineLog()
	s.SetLogger(log, false, false)
	return s, log
}

// patient is a client that waits for as long as the bubble's clock runs.
func patient(t *testing.T, s *Server, connect string) *wire.Client {
	t.Helper()
	c := dialClient(t, s)
	okay(t, c.SetDeadline(time.Time{}))
	okay(t, c.Send("CONNECT "+connect+"\r\n"))
	c.Drain()
	return c
}

// TestLameDuckSpreadsTheClients runs on the clock of a bubble, which makes the bounds exact.
func TestLameDuckSpreadsTheClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		s, log := duckBroker(t)
		ends := make(chan time.Duration, n)
		begin := time.Now()
		for range n {
			c := patient(t, s, `{"verbose":false,"protocol":1}`)
			go func() { // ends with the connection
				line, _ := c.Line()
				rest, err := io.ReadAll(c.In)
				if !strings.Contains(line, `"ldm":true`) || len(rest) > 0 || err != nil {
					t.Errorf("got %q, then %q, %v; want INFO with ldm, then the end", line, rest, err)
				}
				ends <- time.Since(begin)
			}()
		}
		s.lameDuckMode()
		s.WaitForShutdown()
		share := 30 * time.Second / n
		last := time.Second // the grace period
		if got := <-ends; got != last {
			t.Errorf("first client: got closed after %v, want %v", got, last)
		}
		for i := 1; i < n; i++ {
			at := <-ends
			if pause := at - last; pause < share/2 || pause >= share {
				t.Errorf("pause %d: got %v, want at least %v and less than %v", i, pause, share/2, share)
			}
			last = at
		}
		for _, want := range []string{
			"Entering lame duck mode, stop accepting new clients", "Closing existing clients", "Initiating Shutdown...", "Server Exiting..",
		} {
			if got := <-log.lines; got != want {
				t.Errorf("log: got %q, want %q", got, want)
			}
		}
	})
}

func TestLameDuckTellsOnlyWhoAskedForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := duckBroker(t)
		old := patient(t, s, `{"verbose":false}`)
		late := dialClient(t, s)
		okay(t, late.SetDeadline(time.Time{}))
		okay(t, late.Send(`CONNECT {"verbose":false,"protocol":1}`+"\r\n"))
		synctest.Wait()
		s.lameDuckMode()
		synctest.Wait()
		okay(t, late.Send("PING\r\n"))
		for _, want := range []string{"PONG\r\n", `"ldm":true`} {
			if line, err := late.Line(); err != nil || !strings.Contains(line, want) {
				t.Errorf("client that had not pinged: got %q, %v; want %q", line, err, want)
			}
		}
		go io.Copy(io.Discard, late.In) // ends with the connection
		if rest, err := io.ReadAll(old.In); len(rest) > 0 || err != nil {
			t.Errorf("client of protocol 0: got %q, %v; want the end only", rest, err)
		}
		s.WaitForShutdown()
	})
}

func TestLameDuckWithoutClientsEndsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := duckBroker(t)
		begin := time.Now()
		s.LameDuckShutdown()
		if took := time.Since(begin); took != 0 {
			t.Errorf("got %v, want no wait", took)
		}
		s.LameDuckShutdown()
	})
}

func TestShutdownEndsLameDuck(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 10 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := duckBroker(t)
				begin := time.Now()
				for range 3 {
					c := patient(t, s, `{"verbose":false}`)
					go io.Copy(io.Discard, c.In) // ends with the connection
				}
				s.lameDuckMode()
				synctest.Wait()
				s.lameDuckMode() // again changes nothing
				time.Sleep(after)
				s.Shutdown()
				if took := time.Since(begin); took != after {
					t.Errorf("got %v, want %v", took, after)
				}
			})
		})
	}
}

func TestLameDuckRefusesClientsAndIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := duckBroker(t)
		c := patient(t, s, `{"verbose":false}`)
		go io.Copy(io.Discard, c.In) // ends with the connection
		n := s.options().network
		s.lameDuckMode()
		synctest.Wait()
		if _, err := n.Dial("", 0); err == nil {
			t.Error("a client could connect")
		}
		if !s.lameDuck.Load() || s.ReadyForConnections(0) || s.Addr() != nil || s.PortsInfo(0) != nil {
			t.Error("the server still looks ready")
		}
		s.WaitForShutdown()
	})
}

func TestLameDuckDoesNothingBeforeTheStart(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	s.LameDuckShutdown()
	if s.lameDuck.Load() || s.ended() {
		t.Error("got lame duck mode, want none")
	}
}

func TestLameDuckPause(t *testing.T) {
	t.Parallel()
	least := func(int64) int64 { return 0 }
	most := func(n int64) int64 { return n - 1 }
	for _, tt := range []struct {
		name   string
		d      time.Duration
		n      int
		random func(int64) int64
		want   time.Duration
	}{
		{"at least half of the share", 30 * time.Second, 3, least, 5 * time.Second},
		{"less than the whole share", 30 * time.Second, 3, most, 10*time.Second - 1},
		{"no pause when there is no time", 0, 3, most, 0},
		{"no pause when the clients are too many", time.Second, 1 << 30, most, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := lameDuckPause(tt.d, tt.n, tt.random); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// addressOf is a route that gave urls.
func addressOf(urls ...string) (*route, []string) { return &route{}, urls }

func TestLameDuckLeavesOwnAddressesOut(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	a := &s.cluster.adverts
	a.own = []string{"me:1"}
	a.add(addressOf("other:1"))
	if got := strings.Join(a.urls(), " "); got != "me:1 other:1" {
		t.Errorf("before: got %q", got)
	}
	s.lameDuck.Store(true)
	if got := strings.Join(a.urls(), " "); got != "other:1" {
		t.Errorf("in lame duck mode: got %q, want the other only", got)
	}
}

// errDisk is an error of a log file.
var errDisk = errors.New("disk full")

// TestLameDuckLosesNoQueueMessages has a member of a queue group on a server that goes, and another one
// on a server that stays, where messages are published all the while: each is received by one of them.
func TestLameDuckLosesNoQueueMessages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pool, size int
		reads      bool // the member that goes
	}{
		"of a member that reads":                    {1, 100, true},
		"of one that does not":                      {1, 5000, false},
		"of a member that reads, over several":      {3, 100, true},
		"of a member that does not, over several":   {3, 5000, false},
		"of one that does not, with large messages": {1, 100_000, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := func(o *Options) {
				o.Cluster.PoolSize = tt.pool
				o.MaxPending, o.WriteDeadline, o.quiesce = 256<<20, patience, patience
				o.LameDuckGracePeriod, o.LameDuckDuration = time.Millisecond, time.Millisecond
			}
			a := startServer(t, set)
			b := startServer(t, func(o *Options) { set(o); o.Routes = []*url.URL{routeTo(t, a)} })
			connected(t, tt.pool, a, b)
			l := &tally{times: map[string]int{}}
			stays, goes := dialClient(t, a), dialClient(t, b)
			stays.Do("SUB work g 1")
			goes.Do("SUB work g 1")
			interested(t, a, 2)
			go l.read(stays) // ends with the connection
			var readers, publishing sync.WaitGroup
			if tt.reads {
				readers.Go(func() { l.read(goes) })
			}
			stop := make(chan bool)
			var published atomic.Int64
			for i := range 3 {
				publishing.Go(func() {
					published.Add(int64(publishNumbers(t, a, fmt.Sprintf("p%d.", i), 1<<20/tt.size*20, tt.size, stop)))
				})
			}
			eventually(t, "messages for both", func() bool {
				clients, _ := b.counters.sum()
				return l.known() > 200 && clients.outMsgs > 200
			})
			b.LameDuckShutdown()
			close(stop)
			publishing.Wait()
			if !tt.reads {
				l.read(goes)
			}
			readers.Wait()
			lost := 0
			if !tt.reads {
				lost = 1 // of which it took a part, and the rest not in time
			}
			l.wantBut(t, int(published.Load()), lost)
		})
	}
}
