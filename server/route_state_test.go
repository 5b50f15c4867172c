package server

import (
	"bufio"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/test/wire"
)

// routeOf waits for the only route of a server, and returns it as /routez shows it.
func routeOf(t *testing.T, s *Server) *RouteInfo {
	t.Helper()
	eventually(t, "one route", func() bool { return s.NumRoutes() == 1 })
	z, err := s.Routez(nil)
	okay(t, err)
	return z.Routes[0]
}

// TestARouteToAConfiguredServerIsConfigured connects two servers that dial each other. One of the
// connections stays; it is the configured route of both, no matter which dialed.
func TestARouteToAConfiguredServerIsConfigured(t *testing.T) {
	t.Parallel()
	late := wire.Listen(t, "late", false)
	s := startServer(t, func(o *Options) { o.Routes = []*url.URL{late.URL()} })
	nc, err := late.Routes.Accept() // dialed, but the server there says nothing yet
	okay(t, err)
	accepted := late.Join(s.ClusterAddr())
	accepted.Sync()
	if got := routeOf(t, s); !got.DidSolicit || !got.IsConfigured {
		t.Errorf("got %+v for the accepted route of a server that is dialed too; want it solicited and configured", got)
	}
	okay(t, nc.Close())
	if got := routeOf(t, s); !got.DidSolicit || !got.IsConfigured {
		t.Errorf("got %+v when the other connection is gone; want it solicited and configured", got)
	}
}

func TestAnAcceptedRouteIsNotConfigured(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	wire.Listen(t, "peer", false).Join(s.ClusterAddr()).Sync()
	if got := routeOf(t, s); got.DidSolicit || got.IsConfigured {
		t.Errorf("got %+v for an accepted route; want it neither solicited nor configured", got)
	}
}

// TestServersTellEachOtherTheirNames has servers with and without names, and one of 1.x.
func TestServersTellEachOtherTheirNames(t *testing.T) {
	t.Parallel()
	a := startServer(t, func(o *Options) { o.ServerName = "first" })
	b := startServer(t, func(o *Options) { o.ServerName, o.Routes = "second", []*url.URL{routeTo(t, a)} })
	if got := routeOf(t, a).RemoteName; got != "second" {
		t.Errorf("the accepting server shows the name %q, want second", got)
	}
	if got := routeOf(t, b).RemoteName; got != "first" {
		t.Errorf("the dialing server shows the name %q, want first", got)
	}
	c := startServer(t, nil)
	old := wire.Listen(t, "old", false)
	r := old.Dial(c.ClusterAddr())
	r.Say(old.Connect(), old.Info())
	r.Sync()
	if got := routeOf(t, c); got.RemoteName != old.ID || got.RemoteID != old.ID {
		t.Errorf("got %+v for a server without a name; want its id", got)
	}
}

func TestALostRouteIsAWarning(t *testing.T) {
	t.Parallel()
	log := newLineLog()
	s := startServer(t, nil)
	s.SetLogger(log, false, false)
	named := startServer(t, func(o *Options) { o.ServerName, o.Routes = "second", []*url.URL{routeTo(t, s)} })
	unnamed := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, s)} })
	meshed(t, s, named, unnamed)
	named.Shutdown()
	wants := func(name, left string) {
		t.Helper()
		got := log.wait(t, " lost: ")
		if !strings.Contains(got, fmt.Sprintf("Route to server %s lost: ", name)) || !regexp.MustCompile(left+"$").MatchString(got) {
			t.Errorf("got %q; want the server %s, and at the end %q", got, name, left)
		}
	}
	wants(fmt.Sprintf("\"second\" (%q)", named.ID()), "; 1 of 2 routes are left")
	unnamed.Shutdown()
	wants(strconv.Quote(unnamed.ID()), "; 0 of [12] routes are left") // the other may still have been advertised
}

func TestARouteThatIsDialedAgainIsInTheLog(t *testing.T) {
	t.Parallel()
	log := debugLog{newLineLog()}
	a := startServer(t, nil)
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	b.SetLogger(log, true, false)
	meshed(t, a, b)
	a.Shutdown()
	if line := log.wait(t, "Attempting reconnect"); !strings.Contains(line, ` - rid:1 - Attempting reconnect for solicited route "nats-route://127.0.0.1:`) {
		t.Errorf("got %q", line)
	}
}

// TestADeadRouteIsReportedAFewTimes dials a server that is not there a thousand times.
func TestADeadRouteIsReportedAFewTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := Defaults()
		o.Host, o.Cluster.Host, o.Cluster.Port, o.NoSigs = "10.0.0.1", "10.0.0.1", simRoutePort, true
		o.Routes = []*url.URL{{Scheme: "nats-route", Host: "10.0.0.2:6222"}}
		o.network = &simHost{newSimNet(1), "10.0.0.1"}
		s, err := NewServer(o)
		okay(t, err)
		log := newLineLog()
		s.SetLogger(log, false, false)
		go s.Start() // ends with Shutdown, which waits
		defer s.Shutdown()
		time.Sleep(1100 * time.Second)
		synctest.Wait()
		var got []string
		for _, line := range log.soFar() {
			if strings.HasPrefix(line, "Error trying to connect to route: ") {
				got = append(got, line)
			}
		}
		const text = "Error trying to connect to route: dial 10.0.0.2:6222: connection refused"
		want := []string{text, text + " (attempt 10)", text + " (attempt 100)", text + " (attempt 1000)"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestARouteThatIsRefusedIsReportedAFewTimes dials a server that refuses it for minutes, or speaks another
// protocol, and then takes it.
func TestARouteThatIsRefusedIsReportedAFewTimes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"-ERR 'Authorization Violation'": "Route Error 'Authorization Violation'",
		"SSH-2.0-OpenSSH_9.2":            "Router parser ERROR, ",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			testRefusedRoute(t, answer, want)
		})
	}
}

func testRefusedRoute(t *testing.T, answer, want string) {
	synctest.Test(t, func(t *testing.T) {
		net := newSimNet(1)
		l, err := (&simHost{net, "10.0.0.2"}).Listen("10.0.0.2:6222")
		okay(t, err)
		peer := &peerInfo{Info: Info{ID: "peer", Version: "1.4.1", Host: "10.0.0.2", Port: 6222, Proto: 1}}
		go func() { // ends with the listener
			for n := 1; ; n++ {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				if n == 115 {
					nc.Write([]byte(peer.line(true)))
					continue
				}
				in := bufio.NewReader(nc)
				for range 2 { // CONNECT and INFO
					_, _ = in.ReadString('\n')
				}
				nc.Write([]byte(answer + "\r\n"))
				_, _ = in.ReadString('\n') // the end
				nc.Close()
			}
		}()
		o := Defaults()
		o.Host, o.Cluster.Host, o.Cluster.Port, o.NoSigs = "10.0.0.1", "10.0.0.1", simRoutePort, true
		o.Routes = []*url.URL{{Scheme: "nats-route", Host: "10.0.0.2:6222"}}
		o.network = &simHost{net, "10.0.0.1"}
		s, err := NewServer(o)
		okay(t, err)
		log := newLineLog()
		s.SetLogger(log, false, false)
		go s.Start() // ends with Shutdown, which waits
		time.Sleep(2 * time.Minute)
		routes := s.NumRoutes()
		s.Shutdown()
		l.Close()
		refused, created := 0, 0
		for _, line := range log.soFar() {
			if strings.Contains(line, want) {
				refused++
			}
			if strings.HasSuffix(line, " - Route connection created") {
				created++
			}
		}
		if refused != 3 {
			t.Errorf("the refusal was logged %d times, want the 1st, the 10th and the 100th", refused)
		}
		if created != 4 || routes != 1 {
			t.Errorf("a connection was logged %d times, and there were %d routes; want 3 that were refused and the one that was not", created, routes)
		}
	})
}
