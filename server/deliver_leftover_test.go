package server

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// want waits until each of n messages has been received, and wants none of them twice.
func (l *tally) want(t *testing.T, n int) {
	t.Helper()
	if !comesTrue(func() bool { return l.known() == n }) {
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
