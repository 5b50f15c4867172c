package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// dialCounter is the network of a server whose dialed connections are counted.
type dialCounter struct {
	osNetwork
	mu    sync.Mutex
	made  map[string]int // by address
	dups  map[string]int // closed, by the id of the other server
	stale int            // routes given up because nothing came for too long
	log   []string
}

func (n *dialCounter) Dial(addr string, timeout time.Duration) (net.Conn, error) {
	nc, err := n.osNetwork.Dial(addr, timeout)
	n.note("dialed %s: %v", addr, err)
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.made[addr]++
	}
	return nc, err
}

func (n *dialCounter) note(format string, v ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := fmt.Sprintf(format, v...)
	n.log = append(n.log, time.Now().Format("05.000")+" "+text)
	if _, id, ok := strings.Cut(text, "Detected duplicate remote route "); ok {
		n.dups[strings.Trim(id, `"`)]++
	}
	if strings.Contains(text, "Stale") {
		n.stale++
	}
}

func (n *dialCounter) Noticef(format string, v ...any) { n.note(format, v...) }
func (n *dialCounter) Warnf(format string, v ...any)   { n.note(format, v...) }
func (n *dialCounter) Errorf(format string, v ...any)  { n.note(format, v...) }
func (n *dialCounter) Fatalf(format string, v ...any)  { n.note(format, v...) }
func (n *dialCounter) Debugf(format string, v ...any)  { n.note(format, v...) }
func (n *dialCounter) Tracef(string, ...any)           {}

// TestThirtyServersThatStartAtOnce counts the duplicates that each two of them close: one at most.
// Where the machine has so little time for them that routes are given up, it is one for each time
// that they come together.
func TestThirtyServersThatStartAtOnce(t *testing.T) {
	const n = 30
	nets := make([]*dialCounter, n)
	servers := make([]*Server, n)
	counted := func(i int, routes ...*url.URL) {
		o := defaults()
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		nets[i] = &dialCounter{made: make(map[string]int), dups: make(map[string]int)}
		o.network, o.Routes = nets[i], routes
		s, err := NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		s.SetLogger(nets[i], true, false)
		servers[i] = s
		t.Cleanup(s.Shutdown)
	}
	start := func(s *Server) { go s.Start() } // ends with Shutdown, which waits
	counted(0)
	start(servers[0])
	if !servers[0].ReadyForConnections(patience) {
		t.Fatal("the seed did not start")
	}
	seed := routeTo(t, servers[0])
	for i := 1; i < n; i++ {
		counted(i, seed)
	}
	began := time.Now()
	for _, s := range servers[1:] {
		start(s)
	}
	for range 4 { // it takes long where other tests run too
		if formed(servers) {
			break
		}
	}
	meshed(t, servers...)
	t.Logf("%d servers in a full mesh after %v", n, time.Since(began).Round(time.Millisecond))
	total, dups := 0, 0
	for i, a := range servers {
		for j, b := range servers[:i] {
			made := nets[i].to(b) + nets[j].to(a)
			total += made
			closed := nets[i].duplicates(b) + nets[j].duplicates(a)
			dups += closed
			most := 1
			if nets[i].starved() || nets[j].starved() {
				most = max(1, made-1)
			}
			if closed > most {
				t.Errorf("%d of %d connections between %s and %s were closed as duplicates, want %d at most", closed, made, a.id, b.id, most)
				nets[i].show(t, a, b)
				nets[j].show(t, b, a)
			}
		}
	}
	t.Logf("%d duplicates closed, %d connections among %d pairs", dups, total, n*(n-1)/2)
}

// to returns how many connections were made to a server.
func (n *dialCounter) to(s *Server) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.made[s.ClusterAddr().String()]
}

// duplicates returns how many connections to a server were closed as duplicates.
func (n *dialCounter) duplicates(s *Server) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dups[s.id]
}

// starved reports whether a route was given up.
func (n *dialCounter) starved() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stale > 0
}

// show logs what a server said about another.
func (n *dialCounter) show(t *testing.T, self, other *Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr := other.ClusterAddr().String()
	rids := []string{other.id, addr}
	for _, l := range n.log {
		if !slices.ContainsFunc(rids, func(x string) bool { return strings.Contains(l, x) }) {
			continue
		}
		if _, after, ok := strings.Cut(l, "rid:"); ok {
			id, _, _ := strings.Cut(after, " ")
			if id := "rid:" + id + " "; !slices.Contains(rids, id) {
				rids = append(rids, id)
			}
		}
	}
	for _, l := range n.log {
		if slices.ContainsFunc(rids, func(x string) bool { return strings.Contains(l, x) }) {
			t.Logf("%s: %s", self.id[:4], l)
		}
	}
}

// formed waits for a full mesh for a while, and reports whether it is there.
func formed(servers []*Server) bool {
	return comesTrue(func() bool {
		return !slices.ContainsFunc(servers, func(s *Server) bool { return s.NumRoutes() != len(servers)-1 })
	})
}

// TestAClusterFormsAndIsRestarted starts a few servers one after the other, and restarts each, as
// suites of clients and operators do. No step may take longer than one attempt of 1.x and a moment
// for what servers tell each other. The clock is that of the simulation.
func TestAClusterFormsAndIsRestarted(t *testing.T) {
	t.Parallel()
	const (
		attempt = time.Second            // until a server that was not there is dialed again, at most
		gossip  = 200 * time.Millisecond // until two servers that learned of each other are connected
		servers = 4
	)
	for _, tt := range []struct {
		name   string
		routes func(i int) []int
		sum    time.Duration // of a round, on average
	}{
		{"the first is the seed", func(i int) []int { return []int{0} }, 1600 * time.Millisecond},
		{"the last is the seed", func(i int) []int { return []int{servers - 1} }, 2500 * time.Millisecond},
		{"a chain", func(i int) []int { return []int{max(0, i-1)} }, 1700 * time.Millisecond},
		{"each dials each", func(i int) []int { return []int{0, 1, 2, 3} }, 300 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const seeds = 10
			var total time.Duration
			for seed := range uint64(seeds) {
				synctest.Test(t, func(t *testing.T) {
					s := &simulation{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), net: newSimNet(seed), start: time.Now()}
					defer s.end()
					for i := range servers {
						n := &simNode{sim: s, name: fmt.Sprintf("n%d", i)}
						n.place()
						s.nodes = append(s.nodes, n)
						for _, j := range tt.routes(i) {
							n.addRoute(fmt.Sprintf("n%d", j))
						}
					}
					for _, n := range s.nodes {
						n.boot()
					}
					s.await("a mesh", attempt+gossip, s.meshed)
					for _, n := range s.nodes {
						n.stop(false)
						n.boot()
						s.await("a mesh after a restart", attempt+gossip, s.meshed)
					}
					total += time.Since(s.start)
				})
			}
			mean := total / seeds
			t.Logf("forming a cluster of %d and restarting each took %v", servers, mean)
			if mean > tt.sum {
				t.Errorf("it took %v, want %v at most", mean, tt.sum)
			}
		})
	}
}
