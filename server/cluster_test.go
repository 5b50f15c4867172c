package server

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/server/internal/mesh"
	"gnatsd/test/wire"
)

// patience bounds every wait of a test.
const patience = 2 * time.Minute

// startServer runs a server with a cluster on loopback until the test ends.
func startServer(t *testing.T, change func(*Options)) *Server {
	t.Helper()
	o := defaults()
	o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
	if change != nil {
		change(o)
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	if testing.Verbose() {
		s.SetLogger(&testLogger{t: t, id: s.id[:min(4, len(s.id))]}, true, false)
	}
	go s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	return s
}

type testLogger struct {
	t  *testing.T
	id string
}

func (l *testLogger) log(level, format string, v ...any) {
	fmt.Printf("%s %s [%s] %s\n", time.Now().Format("05.000"), l.id, level, fmt.Sprintf(format, v...))
}
func (l *testLogger) Noticef(format string, v ...any) { l.log("INF", format, v...) }
func (l *testLogger) Warnf(format string, v ...any)   { l.log("WRN", format, v...) }
func (l *testLogger) Errorf(format string, v ...any)  { l.log("ERR", format, v...) }
func (l *testLogger) Fatalf(format string, v ...any)  { l.log("FTL", format, v...) }
func (l *testLogger) Debugf(format string, v ...any)  { l.log("DBG", format, v...) }
func (l *testLogger) Tracef(format string, v ...any)  { l.log("TRC", format, v...) }

// routeTo is the URL of a server for routes.
func routeTo(t *testing.T, s *Server) *url.URL {
	t.Helper()
	u, err := url.Parse("nats-route://" + s.ClusterAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// comesTrue waits until ok reports true, and reports false if patience ends first.
func comesTrue(ok func() bool) bool {
	late := time.After(patience)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-late:
			return false
		}
	}
	return true
}

// eventually waits until ok reports true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !comesTrue(ok) {
		t.Fatalf("after %v still not: %s", patience, what)
	}
}

// meshed waits until each server has a route to each other.
func meshed(t *testing.T, servers ...*Server) {
	t.Helper()
	eventually(t, "a full mesh", func() bool {
		for _, s := range servers {
			if s.NumRoutes() != len(servers)-1 {
				return false
			}
		}
		return true
	})
}

// interested waits until a server knows n subscriptions.
func interested(t *testing.T, s *Server, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d subscriptions", n), func() bool { return s.NumSubscriptions() == uint32(n) })
}

func TestMessagesCrossARoute(t *testing.T) {
	t.Parallel()
	a := startServer(t, nil)
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	meshed(t, a, b)
	pub, sub := dialClient(t, a), dialClient(t, b)
	sub.Say("SUB foo 1\r\nSUB foo.> 2\r\nSUB foo 3\r\n")
	sub.Sync()
	interested(t, a, 3)
	pub.Say("PUB foo bar 2\r\nhi\r\n")
	for range 2 {
		sub.Hear("MSG foo ")
		sub.Hear("hi")
	}
	sub.Say("UNSUB 3\r\nUNSUB 2\r\n")
	interested(t, a, 1)
	pub.Say("PUB foo 2\r\nho\r\n")
	sub.Hear("MSG foo 1 2\r\n")
	sub.Hear("ho")
	sub.Close()
	interested(t, a, 0)
}

// TestReadyServersHaveTheirRoutes starts one server after the other, as suites do that then connect
// clients without looking at routes.
func TestReadyServersHaveTheirRoutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := newSimNet(1)
		var servers []*Server
		for i := range 3 {
			o := Defaults()
			o.Host, o.NoSigs, o.Cluster.Port = fmt.Sprintf("10.0.0.%d", i+1), true, simRoutePort
			o.Cluster.Host, o.network = o.Host, &simHost{net, o.Host}
			for _, s := range servers {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("%s:%d", s.options().Host, simRoutePort)})
			}
			s, err := NewServer(o)
			okay(t, err)
			go s.Start() // ends with Shutdown, which waits
			defer s.Shutdown()
			if !s.ReadyForConnections(patience) {
				t.Fatal("not ready")
			}
			servers = append(servers, s)
			for _, s := range servers {
				if n := s.NumRoutes(); n != i {
					t.Errorf("with %d servers one has %d routes", i+1, n)
				}
			}
		}
	})
}

func TestThirdServerIsLearntFromTheSeed(t *testing.T) {
	t.Parallel()
	seed := startServer(t, nil)
	routes := []*url.URL{routeTo(t, seed)}
	b := startServer(t, func(o *Options) { o.Routes = routes })
	c := startServer(t, func(o *Options) { o.Routes = routes })
	meshed(t, seed, b, c)
	servers := []*Server{seed, b, c}
	var subs []*wire.Client
	for _, s := range servers {
		sub := dialClient(t, s)
		sub.Say("SUB x 1\r\n")
		sub.Sync()
		subs = append(subs, sub)
	}
	for i, s := range servers {
		interested(t, s, 3)
		pub := dialClient(t, s)
		pub.Say(fmt.Sprintf("PUB x 1\r\n%d\r\n", i))
		for _, sub := range subs {
			sub.Hear("MSG x 1 1\r\n")
			sub.Hear(fmt.Sprint(i))
		}
	}
}

func TestTwoServersThatDialEachOtherEndWithOneRoute(t *testing.T) {
	t.Parallel()
	for range 10 {
		a := startServer(t, nil)
		b := startServer(t, nil)
		go a.cluster.solicit([]*url.URL{routeTo(t, b)})
		b.cluster.solicit([]*url.URL{routeTo(t, a)})
		meshed(t, a, b)
	}
}

// TestARouteToOneselfIsJustClosed connects to a server as its own connection does when it dials
// itself: nothing follows its INFO.
func TestARouteToOneselfIsJustClosed(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	self := wire.Open(t, s.ClusterAddr().String())
	self.Hear("INFO ")
	self.Say(`CONNECT {"verbose":false,"name":"`+s.ID()+`"}`, strings.TrimSuffix(s.cluster.ownInfo().line(true), " \r\n"))
	okay(t, self.Ended())
	if n := s.NumRoutes(); n != 0 {
		t.Errorf("got %d routes to itself, want none", n)
	}
}

// TestAdvertisedServersThatCannotBeReachedFillNoLog has a server advertise many others: each is tried
// several times.
func TestAdvertisedServersThatCannotBeReachedFillNoLog(t *testing.T) {
	t.Parallel()
	const advertised, tries = 100, 3
	s := startServer(t, nil)
	log := newLineLog()
	s.SetLogger(log, false, false)
	peer, _ := manualPeer(t, s)
	for i := range advertised {
		peer.Say(fmt.Sprintf(`INFO {"server_id":"made up %d","version":"1.5.0","ip":"nats-route://127.0.1.%d:1/"}`, i, 1+i) + "\r\n")
	}
	eventually(t, "attempts at all of them", func() bool {
		list := s.cluster.targets()
		return len(list) == advertised && !slices.ContainsFunc(list, func(t mesh.TargetState) bool { return t.Failures < tries })
	})
	most := logBurst + int(time.Since(s.start)/logInterval) + 1
	n := 0
	for len(log.lines) > 0 {
		if strings.Contains(<-log.lines, "Error trying to connect to route: ") {
			n++
		}
	}
	if n < logBurst || n > most {
		t.Errorf("%d lines, want from %d to %d", n, logBurst, most)
	}
}
