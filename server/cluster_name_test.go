package server

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/test/wire"
)

// named sets the names of a cluster and of a server in it.
func named(cluster, name string, routes ...*url.URL) func(*Options) {
	return func(o *Options) { o.Cluster.Name, o.ServerName, o.Routes = cluster, name, routes }
}

// TestServersOfTwoClustersRefuseTheRoute has servers with the same, with different and without
// names of their cluster.
func TestServersOfTwoClustersRefuseTheRoute(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		seed, other string
		refused     bool
	}{
		{"blue", "green", true}, {"blue", "Blue", true}, {"blue", "blue", false},
		{"", "blue", false}, {"blue", "", false}, {"", "", false},
	} {
		t.Run(tt.seed+" and "+tt.other, func(t *testing.T) {
			t.Parallel()
			seedLog, otherLog := newLineLog(), newLineLog()
			seed := startServer(t, named(tt.seed, "s"))
			seed.SetLogger(seedLog, false, false)
			// It dials only after it has its log.
			other := startServer(t, named(tt.other, "o"))
			other.SetLogger(otherLog, false, false)
			other.cluster.solicit([]*url.URL{routeTo(t, seed)})
			if !tt.refused {
				eventually(t, "a route", func() bool { return seed.NumRoutes() == 1 && other.NumRoutes() == 1 })
				return
			}
			const advice = "; servers of one cluster need the same cluster name, or none"
			for _, side := range []struct {
				log  *lineLog
				want string
			}{
				{seedLog, fmt.Sprintf(`Route refused: server "o" (%q) is in cluster %q, this server in cluster %q`, other.ID(), tt.other, tt.seed)},
				{otherLog, fmt.Sprintf(`Route refused: server "s" (%q) is in cluster %q, this server in cluster %q`, seed.ID(), tt.seed, tt.other)},
			} {
				if got := side.log.wait(t, "Route refused"); !strings.HasSuffix(got, side.want+advice) {
					t.Errorf("got %q, want %q", got, side.want+advice)
				}
			}
			if seed.NumRoutes() != 0 || other.NumRoutes() != 0 {
				t.Error("there is a route all the same")
			}
			eventually(t, "the cause in /routez", func() bool {
				z, err := other.Routez(nil)
				okay(t, err)
				return strings.Contains(z.Expected[0].LastError, `is in cluster "`+tt.seed+`", this server in cluster "`+tt.other+`"`)
			})
		})
	}
}

// TestAPeerOfAnotherClusterIsToldWhy is what a server that only reads -ERR sees, in each direction.
func TestAPeerOfAnotherClusterIsToldWhy(t *testing.T) {
	t.Parallel()
	peer := wire.Listen(t, "peer", false)
	s := startServer(t, named("blue", "", peer.URL()))
	info := strings.Replace(peer.Info(), "{", `{"cluster":"green",`, 1)
	const text = `-ERR 'Rejecting connection, cluster name "green" does not match "blue"'`
	nc, err := peer.Routes.Accept()
	okay(t, err)
	dialed := wire.Of(t, nc)
	dialed.Hear("CONNECT ")
	if got := dialed.Hear("INFO "); !strings.Contains(got, `"cluster":"blue"`) {
		t.Errorf("got %q, want the name of the cluster", got)
	}
	dialed.Say(info)
	dialed.End(text)
	accepted := peer.Dial(s.ClusterAddr())
	accepted.Say(peer.Connect(), info)
	accepted.End(text)
}

// TestAServerOfAnotherClusterThatIsAdvertisedIsNotDialed has a server without a cluster name, which
// two others with different ones connect to.
func TestAServerOfAnotherClusterThatIsAdvertisedIsNotDialed(t *testing.T) {
	t.Parallel()
	hub := startServer(t, named("", "hub"))
	log := newLineLog()
	blue := startServer(t, named("blue", "b"))
	blue.SetLogger(log, false, false)
	blue.cluster.solicit([]*url.URL{routeTo(t, hub)})
	eventually(t, "a route to the hub", func() bool { return blue.NumRoutes() == 1 && hub.NumRoutes() == 1 })
	green := startServer(t, named("green", "g", routeTo(t, hub)))
	want := fmt.Sprintf(`server "g" (%q) is in cluster "green", this server in cluster "blue"; the server that advertises it needs a cluster name`, green.ID())
	if got := log.wait(t, "Not connecting to an advertised server"); !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	sibling := startServer(t, named("blue", "", routeTo(t, hub)))
	eventually(t, "routes between the two of one cluster", func() bool { return blue.NumRoutes() == 2 && sibling.NumRoutes() == 2 })
	for _, s := range []*Server{blue, sibling} {
		z, err := s.Routez(nil)
		okay(t, err)
		for _, e := range z.Expected {
			if e.RemoteID == green.ID() {
				t.Errorf("the server of the other cluster is expected: %+v", e)
			}
		}
	}
}

// TestRefusedServersAreTriedLessAndLessOften lets two servers of different clusters dial each other
// for an hour.
func TestRefusedServersAreTriedLessAndLessOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := newSimNet(1)
		var logs []*lineLog
		for i, cluster := range []string{"blue", "green"} {
			o := Defaults()
			o.Host, o.NoSigs, o.Cluster.Port = fmt.Sprintf("10.0.0.%d", i+1), true, simRoutePort
			o.Cluster.Host, o.Cluster.Name = o.Host, cluster
			o.Routes = []*url.URL{{Scheme: "nats-route", Host: fmt.Sprintf("10.0.0.%d:%d", 2-i, simRoutePort)}}
			o.network = &simHost{net, o.Host}
			s, err := NewServer(o)
			okay(t, err)
			log := &lineLog{lines: make(chan string, 10_000)}
			s.SetLogger(log, false, false)
			logs = append(logs, log)
			go s.Start() // ends with Shutdown, which waits
			defer s.Shutdown()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, log := range logs {
			attempts, refused := 0, 0
			for range len(log.lines) {
				switch line := <-log.lines; {
				case strings.Contains(line, "Route connection created"):
					attempts++
				case strings.Contains(line, "Route refused: "):
					refused++
				}
			}
			if attempts < 100 || attempts > 140 {
				t.Errorf("%d connections in an hour, want about one in 30 s of the other server", attempts)
			}
			if refused != 3 {
				t.Errorf("the refusal was logged %d times, want the 1st, 10th and 100th", refused)
			}
		}
	})
}
