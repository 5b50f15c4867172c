package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// This file has attackers that connect and do not log in, in the ways in which such connections
// stay open.

// attack opens a connection from an address of this machine and sends text.
func attack(t *testing.T, from string, to net.Addr, text string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	nc, err := d.Dial("tcp", to.String())
	if err != nil {
		missing(t, fmt.Sprintf("a connection from %s: %v", from, err))
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(nc, text) // it may have been closed already
	return nc
}

// arrived waits until the server has dealt with all that connected before: it accepts them in order.
func arrived(t *testing.T, s *Server) {
	t.Helper()
	nc := attack(t, "127.0.0.1", s.Addr(), "")
	_, err := bufio.NewReader(nc).ReadString('\n')
	okay(t, err)
	okay(t, nc.Close())
}

// silences are what connections send that do not log in.
var silences = map[string]string{
	"that say nothing":             "",
	"in the middle of CONNECT":     `CONNECT {"user":"u`,
	"in the middle of a TLS hello": "\x16\x03\x01\x02\x00\x01\x00",
}

// TestSilentConnectionsMakeRoom has more of them than may connect: a client that logs in always
// gets in, and a client that is logged in stays.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	const most, many = 20, 100
	for name, text := range silences {
		for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
			t.Run(name+" from "+from, func(t *testing.T) {
				t.Parallel()
				s := broker(t, func(o *Options) {
					o.MaxConn, o.AuthTimeout = most, 600
					o.Username, o.Password = "u", "p"
				})
				login := `CONNECT {"verbose":false,"user":"u","pass":"p"}` + "\r\nPING\r\n"
				first := openClient(t, s)
				okay(t, first.Send(login))
				if line, err := first.Line(); err != nil || line != "PONG\r\n" {
					t.Fatalf("got %q, %v", line, err)
				}
				for i := range many {
					attack(t, from, s.Addr(), text)
					if i%20 != 19 {
						continue
					}
					arrived(t, s)
					honest := openClient(t, s)
					okay(t, honest.Send(login))
					if line, err := honest.Line(); err != nil || line != "PONG\r\n" {
						t.Fatalf("after %d connections: got %q, %v, want PONG", i+1, line, err)
					}
				}
				okay(t, first.Send("PING\r\n"))
				if line, err := first.Line(); err != nil || line != "PONG\r\n" {
					t.Errorf("the first client: got %q, %v, want PONG", line, err)
				}
				s.clients.mu.Lock()
				defer s.clients.mu.Unlock()
				if got := len(s.clients.byID) - s.clients.leaving; got > most {
					t.Errorf("%d are connected, want %d at most", got, most)
				}
			})
		}
	}
}

// TestSilentConnectionsMakeRoomWithoutALogin is the same for a server that asks for no login.
func TestSilentConnectionsMakeRoomWithoutALogin(t *testing.T) {
	t.Parallel()
	for name, text := range silences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := broker(t, func(o *Options) { o.MaxConn = 20 })
			for range 100 {
				attack(t, "127.0.0.1", s.Addr(), text)
			}
			arrived(t, s)
			w := dialClient(t, s)
			okay(t, w.Send("PING\r\n"))
			if line, err := w.Line(); err != nil || line != "PONG\r\n" {
				t.Errorf("got %q, %v, want PONG", line, err)
			}
		})
	}
}

// TestAClientThatIsBeingClosedDoesNotCount has the only client that may connect end, and its end take long.
func TestAClientThatIsBeingClosedDoesNotCount(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) { o.MaxConn = 1 })
	first := openClient(t, s)
	s.closed.mu.Lock()
	defer s.closed.mu.Unlock()
	okay(t, first.Conn.Close())
	eventually(t, "the end of the first client", func() bool {
		s.clients.mu.Lock()
		defer s.clients.mu.Unlock()
		return s.clients.leaving == 1
	})
	next := openClient(t, s)
	okay(t, next.Send("CONNECT {\"verbose\":false}\r\nPING\r\n"))
	if line, err := next.Line(); err != nil || line != "PONG\r\n" {
		t.Errorf("got %q, %v, want PONG", line, err)
	}
}

// TestClientsThatLoggedInAreNotEvicted has as many as may connect.
func TestClientsThatLoggedInAreNotEvicted(t *testing.T) {
	t.Parallel()
	const most = 5
	s := broker(t, func(o *Options) { o.MaxConn = most })
	var all []*wire.Client
	for range most {
		c := dialClient(t, s)
		c.Drain()
		all = append(all, c)
	}
	nc := attack(t, "127.0.0.1", s.Addr(), "")
	if text, err := io.ReadAll(nc); err != nil || !strings.HasSuffix(string(text), "-ERR 'maximum connections exceeded'\r\n") {
		t.Errorf("one more got %q, %v", text, err)
	}
	for _, c := range all {
		c.Drain()
	}
}

// TestTimeLimitsHoldForAnyNumberOfSilentConnections has a thousand of them. In the order in which
// they came, none outlives a client that came later and has a longer limit.
func TestTimeLimitsHoldForAnyNumberOfSilentConnections(t *testing.T) {
	t.Parallel()
	const many = 1000
	s := broker(t, func(o *Options) {
		o.AuthTimeout = 0.5
		o.Username, o.Password = "u", "p"
	})
	var all []net.Conn
	for range many {
		nc, err := net.Dial("tcp", s.Addr().String())
		okay(t, err)
		defer nc.Close()
		okay(t, nc.SetDeadline(time.Now().Add(patience)))
		all = append(all, nc)
	}
	start := time.Now()
	for _, nc := range all {
		if text, err := io.ReadAll(nc); err != nil || !strings.HasSuffix(string(text), "-ERR 'authorization timeout'\r\n") {
			t.Fatalf("got %q, %v", text, err)
		}
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("the last one was closed after %v", took)
	}
}

// TestSilentRoutesMakeRoom has connections to the port for routes that say nothing.
func TestSilentRoutesMakeRoom(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) { o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort })
	for range maxArrivals + 50 {
		nc, err := net.Dial("tcp", s.ClusterAddr().String())
		okay(t, err)
		defer nc.Close()
	}
	other := broker(t, func(o *Options) {
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.Routes = RoutesFromStr("nats://" + s.ClusterAddr().String())
	})
	eventually(t, "the route is there", func() bool { return other.NumRoutes() == 1 && s.NumRoutes() == 1 })
	eventually(t, "few are left", func() bool { return len(s.cluster.all()) <= maxArrivals+1 })
}

// TestClientsDoNotUseUpTheDescriptors has a server that may open few files.
func TestClientsDoNotUseUpTheDescriptors(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	s.clients.mu.Lock()
	s.clients.maxSockets = 10
	s.clients.mu.Unlock()
	var all []*wire.Client
	for i := range 10 {
		c := dialClient(t, s)
		okay(t, c.Send("PING\r\n"))
		if line, err := c.Line(); err != nil || line != "PONG\r\n" {
			t.Fatalf("client %d: got %q, %v", i, line, err)
		}
		all = append(all, c)
	}
	nc := attack(t, "127.0.0.1", s.Addr(), "")
	if text, err := io.ReadAll(nc); err != nil || !strings.HasSuffix(string(text), "-ERR 'maximum connections exceeded'\r\n") {
		t.Errorf("one more got %q, %v", text, err)
	}
	all[0].Close()
	eventually(t, "another one gets in", func() bool {
		c, err := net.Dial("tcp", s.Addr().String())
		okay(t, err)
		defer c.Close()
		okay(t, c.SetDeadline(time.Now().Add(patience)))
		fmt.Fprintf(c, "CONNECT {\"verbose\":false}\r\nPING\r\n")
		in := wire.Of(t, c)
		in.Line()
		line, err := in.Line()
		return err == nil && line == "PONG\r\n"
	})
}

func TestDescriptorsAreDivided(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{64, 256, 1024, 20_000, 1 << 20} {
		d := divideDescriptors(limit)
		if used := d.clients + d.routes + d.refused + 2*d.monitor; used > limit || d.clients < limit/8 || d.monitor < 8 || d.routes < 8 {
			t.Errorf("%d: got %+v, which are %d", limit, d, used)
		}
		if format, _ := d.warning(d.clients + 1); format == "" {
			t.Errorf("%d: no warning", limit)
		}
		for _, enough := range []int{d.clients, -1} {
			if format, _ := d.warning(enough); format != "" {
				t.Errorf("%d: a warning for %d clients", limit, enough)
			}
		}
	}
	if format, _ := divideDescriptors(20_000).warning(Defaults().MaxConn); format != "" {
		t.Error("a warning for the default, which few need")
	}
	if format, _ := divideDescriptors(1024).warning(Defaults().MaxConn); format == "" {
		t.Error("no warning for the default where few clients can connect")
	}
	unlimited := divideDescriptors(0)
	if format, _ := unlimited.warning(1 << 30); format != "" || unlimited.clients < 1<<30 {
		t.Errorf("without a limit: got %+v", unlimited)
	}
}

// TestThereIsRoomWithoutALimit is about Windows, and systems where files are not limited.
func TestThereIsRoomWithoutALimit(t *testing.T) {
	t.Parallel()
	s := &Server{descriptors: divideDescriptors(0)}
	s.cluster = &cluster{srv: s}
	if !s.roomForClient() || !s.cluster.room() {
		t.Error("no room")
	}
}
