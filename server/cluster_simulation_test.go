package server

import (
	"bufio"
	"flag"
	"fmt"

	"math/rand/v2"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeed  = flag.Int64("mesh.seed", -1, "run one seed of the mesh simulation, and log what happens")
	simSeeds = flag.Int("mesh.seeds", 1000, "how many seeds of the mesh simulation to run; with the race detector a tenth")
)

// TestMeshSimulation runs whole clusters in memory, on a clock of their own, under schedules of
// starts, stops, crashes, moves, cuts and delays that a seed decides. In the end there must be a
// full mesh, and every subject must reach every subscriber exactly once.
func TestMeshSimulation(t *testing.T) {
	if *simSeed >= 0 {
		synctest.Test(t, func(t *testing.T) { newSimulation(t, uint64(*simSeed)).run() })
		return
	}
	t.Parallel()
	seeds := *simSeeds
	if testing.Short() || raceEnabled { // a race is a matter of the code more than of the schedule, and costs ten times as much
		seeds = (seeds + 9) / 10
	}
	next := make(chan uint64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := range next {
				t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { newSimulation(t, seed).run() })
				})
			}
		})
	}
	for seed := range seeds {
		next <- uint64(seed)
	}
	close(next)
	workers.Wait()
}

// simulation is one cluster under one schedule.
type simulation struct {
	t     *testing.T
	seed  uint64
	rand  *rand.Rand
	net   *simNet
	nodes []*simNode
	start time.Time
	log   []string
}

// simNode is a machine that may run a server.
type simNode struct {
	sim    *simulation
	name   string
	ip     string
	moves  int
	pool   int // connections to each other server
	routes []*url.URL
	srv    *Server
	subs   *simClient
}

const simRoutePort, simClientPort = 6222, 4222

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), start: time.Now()}
	s.net = newSimNet(seed)
	for i := range 2 + s.rand.IntN(4) {
		n := &simNode{sim: s, name: fmt.Sprintf("n%d", i)}
		n.place()
		s.nodes = append(s.nodes, n)
	}
	s.topology()
	if s.rand.IntN(2) == 0 {
		for _, n := range s.nodes {
			n.pool = 1 + s.rand.IntN(4)
			s.say("%s has a pool size of %d", n.name, n.pool)
		}
	}
	return s
}

// place gives a node an address, another one each time.
func (n *simNode) place() {
	n.ip = fmt.Sprintf("10.0.%s.%d", n.name[1:], 1+n.moves)
	n.moves++
	n.sim.net.mu.Lock()
	defer n.sim.net.mu.Unlock()
	n.sim.net.names[n.name] = []string{n.ip}
	all := []string{}
	for _, o := range n.sim.nodes {
		all = append(all, o.ip)
	}
	if len(all) < len(n.sim.nodes)+1 && n.moves == 1 {
		all = append(all, n.ip)
	}
	n.sim.net.names["all"] = all
}

// topology decides which routes are configured where: the graph is always connected.
func (s *simulation) topology() {
	kind := s.rand.IntN(5)
	for i, n := range s.nodes {
		switch kind {
		case 0: // the first is the seed, for itself too
			n.addRoute("n0")
		case 1: // every server lists all
			for _, o := range s.nodes {
				n.addRoute(o.name)
			}
		case 2: // a ring
			n.addRoute(s.nodes[(i+1)%len(s.nodes)].name)
		case 3: // one name for all
			n.addRoute("all")
			n.addRoute("n0")
		case 4: // a chain, and some more
			if i > 0 {
				n.addRoute(s.nodes[i-1].name)
			}
			if s.rand.IntN(2) == 0 {
				n.addRoute(s.nodes[s.rand.IntN(len(s.nodes))].name)
			}
		}
	}
	s.say("topology %d with %d servers", kind, len(s.nodes))
}

func (n *simNode) addRoute(name string) {
	n.routes = append(n.routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("%s:%d", name, simRoutePort)})
}

func (s *simulation) say(format string, v ...any) {
	text := fmt.Sprintf("%8.3fs %s", time.Since(s.start).Seconds(), fmt.Sprintf(format, v...))
	s.log = append(s.log, text)
	if *simSeed >= 0 {
		fmt.Println(text)
	}
}

func (s *simulation) fail(format string, v ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\nschedule:\n%s\nreplay: go test ./server -run TestMeshSimulation -mesh.seed=%d",
		fmt.Sprintf(format, v...), strings.Join(s.log, "\n"), s.seed)
}

func (n *simNode) boot() {
	o := Defaults()
	o.Host, o.Port = n.ip, simClientPort
	o.Cluster.Host, o.Cluster.Port = n.ip, simRoutePort
	if n.sim.rand.IntN(3) == 0 {
		o.Cluster.Host = "0.0.0.0"
	}
	o.Routes = n.routes
	o.Cluster.PoolSize = n.pool
	o.NoSigs = true
	o.identity = fmt.Sprintf("%020X%s", n.sim.rand.Uint64(), n.name)
	o.network = &simHost{n.sim.net, n.ip}
	srv, err := NewServer(o)
	if err != nil {
		n.sim.t.Fatal(err)
	}
	if *simSeed >= 0 {
		srv.SetLogger(&simLogger{n}, true, true)
	}
	n.srv = srv
	go srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		n.sim.fail("%s did not start", n.name)
	}
	n.sim.say("%s started at %s as %s", n.name, n.ip, srv.id)
	n.subs = n.connect()
	n.subs.send("SUB all 1\r\nSUB to." + n.name + " 2\r\nSUB group workers 3\r\nSUB to.* 4\r\nPING\r\n")
}

func (n *simNode) stop(crash bool) {
	n.sim.say("%s stops, crash %v", n.name, crash)
	if crash {
		n.sim.net.crash(n.ip)
	}
	n.srv.Shutdown()
	if n.subs != nil {
		n.subs.nc.Close()
	}
	n.srv = nil
}

// run plays the schedule and checks the end.
func (s *simulation) run() {
	defer s.end()
	together := s.rand.IntN(3) == 0
	if s.rand.IntN(3) == 0 {
		s.net.maxDelay = time.Duration(1 + s.rand.Int64N(int64(300*time.Millisecond)))
		s.say("delays up to %v", s.net.maxDelay)
	}
	for _, n := range s.nodes {
		n.boot()
		if !together {
			s.pause(200 * time.Millisecond)
		}
	}
	if s.rand.IntN(2) == 0 {
		s.await("a first mesh", 10*time.Second, s.meshed)
		s.fewDuplicates()
	}
	for range 3 + s.rand.IntN(12) {
		s.step()
		s.churn()
		s.pause(time.Duration(s.rand.Int64N(int64(8 * time.Second))))
	}
	s.net.setDelay(time.Millisecond)
	s.net.heal()
	for _, n := range s.nodes {
		if n.srv == nil {
			n.boot()
		}
	}
	s.say("all is well again")
	s.await("a full mesh", 10*time.Second, s.meshed)
	s.settle()
	s.await("all interest and no more", time.Second, s.interested)
	s.deliver()
}

// fewDuplicates checks how many connections two servers made that came together: the route, and one
// that was a duplicate.
func (s *simulation) fewDuplicates() {
	for i, n := range s.nodes {
		for _, o := range s.nodes[:i] {
			if k, most := s.net.connections(n.ip, o.ip), 1+n.member().wanted(o.member()); k > most {
				s.fail("%s and %s made %d connections, want %d at most", n.name, o.name, k, most)
			}
		}
	}
}

func (s *simulation) end() {
	for _, n := range s.nodes {
		if n.srv != nil {
			n.stop(false)
		}
	}
}

func (s *simulation) pause(d time.Duration) {
	if d > 0 && s.rand.IntN(4) > 0 {
		time.Sleep(time.Duration(s.rand.Int64N(int64(d))))
	}
}

// step does one thing to the cluster.
func (s *simulation) step() {
	n := s.nodes[s.rand.IntN(len(s.nodes))]
	switch k := s.rand.IntN(12); {
	case n.srv == nil:
		if s.rand.IntN(3) == 0 {
			n.place()
		}
		n.boot()
	case k < 2:
		n.stop(false)
	case k < 4:
		n.stop(true)
	case k < 5: // some of the pairs
		for i, a := range s.nodes {
			for _, b := range s.nodes[:i] {
				if s.rand.IntN(2) == 0 {
					s.say("cut %s %s", a.name, b.name)
					s.net.cut(a.ip, b.ip)
				}
			}
		}
	case k < 7: // in two halves
		half := s.rand.IntN(1 << len(s.nodes))
		s.say("cut in halves %b", half)
		for i, a := range s.nodes {
			for j, b := range s.nodes {
				if half>>i&1 != half>>j&1 {
					s.net.cut(a.ip, b.ip)
				}
			}
		}
	case k < 9:
		s.say("heal")
		s.net.heal()
	case k < 11:
		s.breakOne()
	default:
		most := time.Duration(1 + s.rand.Int64N(int64(300*time.Millisecond)))
		s.say("delays up to %v", most)
		s.net.setDelay(most)
	}
}

// breakOne breaks one connection between two servers.
func (s *simulation) breakOne() {
	s.net.mu.Lock()
	var conns []*simConn
	for c := range s.net.conns {
		if c.remote.Port == simRoutePort {
			conns = append(conns, c)
		}
	}
	s.net.mu.Unlock()
	if len(conns) == 0 {
		return
	}
	slices.SortFunc(conns, func(a, b *simConn) int { return strings.Compare(a.local.String(), b.local.String()) })
	c := conns[s.rand.IntN(len(conns))]
	s.say("break %s to %s", c.local, c.remote)
	c.crash()
}

// churn lets a client subscribe and unsubscribe.
func (s *simulation) churn() {
	n := s.nodes[s.rand.IntN(len(s.nodes))]
	if n.srv == nil {
		return
	}
	for i := range s.rand.IntN(20) {
		n.subs.send(fmt.Sprintf("SUB churn.%d %d\r\n", i, 100+i))
		if s.rand.IntN(2) == 0 {
			n.subs.send(fmt.Sprintf("UNSUB %d\r\n", 100+i))
		}
	}
}

// settle lets the clients give up what churn left.
func (s *simulation) settle() {
	for _, n := range s.nodes {
		for i := range 20 {
			n.subs.send(fmt.Sprintf("UNSUB %d\r\n", 100+i))
		}
		n.subs.send("PING\r\n")
	}
	s.await("all clients answered", time.Second, func() string {
		for _, n := range s.nodes {
			if n.subs.counts()["PONG"] < 2 { // the first is from its boot
				return n.name + " did not answer its client"
			}
		}
		return ""
	})
}

// await waits until ok returns "".
func (s *simulation) await(what string, limit time.Duration, ok func() string) {
	s.t.Helper()
	if why := awaitInBubble(limit, ok); why != "" {
		s.fail("after %v still not %s: %s", limit, what, why)
	}
	s.say("%s", what)
}

// awaitInBubble waits, on the clock of a bubble, until ok returns "" or the limit is over. It returns
// what ok returned last.
func awaitInBubble(limit time.Duration, ok func() string) (why string) {
	end := time.Now().Add(limit)
	for why = ok(); why != "" && time.Now().Before(end); why = ok() {
		time.Sleep(20 * time.Millisecond)
	}
	return why
}

func (s *simulation) meshed() string {
	members := make([]meshMember, len(s.nodes))
	for i, n := range s.nodes {
		members[i] = n.member()
	}
	return meshGap(members)
}

func (n *simNode) member() meshMember { return meshMember{n.name, n.srv, n.pool} }

// meshMember is a server that is to have routes to all others.
type meshMember struct {
	name string
	srv  *Server
	pool int // connections to each other server
}

// meshGap returns what a full mesh of the members lacks, "" if nothing.
func meshGap(members []meshMember) string {
	for _, n := range members {
		have := map[string]int{}
		for _, carrier := range n.srv.cluster.active() {
			for _, r := range carrier.siblings() {
				have[r.remoteID()]++
				if !mutual(members, n.srv, r) {
					return fmt.Sprintf("%s has a route that is not that of the other end", n.name)
				}
			}
		}
		if len(have) != n.srv.NumRemotes() {
			return fmt.Sprintf("%s has two routes to one server", n.name)
		}
		for _, o := range members {
			if o != n && have[o.srv.id] != n.wanted(o) {
				return fmt.Sprintf("%s has %d connections to %s, want %d", n.name, have[o.srv.id], o.name, n.wanted(o))
			}
		}
		if len(have) != len(members)-1 {
			return fmt.Sprintf("%s has %d routes", n.name, len(have))
		}
	}
	return ""
}

// mutual reports whether both ends of a route take it for the route.
func mutual(members []meshMember, srv *Server, r *route) bool {
	near := r.link.Conn()
	for _, n := range members {
		for _, carrier := range n.srv.cluster.active() {
			for _, o := range carrier.siblings() {
				far := o.link.Conn()
				if far.LocalAddr().String() == near.RemoteAddr().String() && far.RemoteAddr().String() == near.LocalAddr().String() {
					return n.srv.id == r.remoteID() && o.remoteID() == srv.id && o.number == r.number
				}
			}
		}
	}
	return false
}

// wanted returns how many connections two servers are to have.
func (n meshMember) wanted(o meshMember) int { return max(1, min(n.pool, o.pool)) }

// subsPerNode is how many subscriptions each node has of its own.
const subsPerNode = 4

func (s *simulation) interested() string {
	for _, n := range s.nodes {
		if got, want := int(n.srv.NumSubscriptions()), subsPerNode*len(s.nodes); got != want {
			return fmt.Sprintf("%s knows %d subscriptions, want %d", n.name, got, want)
		}
	}
	return ""
}

// deliver publishes from every node, to all, to each and to the group.
func (s *simulation) deliver() {
	for _, n := range s.nodes {
		n.subs.reset()
	}
	for _, n := range s.nodes {
		pub := n.connect()
		pub.send("PUB all 1\r\nx\r\nPUB group 1\r\nx\r\n")
		for _, o := range s.nodes {
			pub.send("PUB to." + o.name + " 1\r\nx\r\n")
		}
		pub.send("PING\r\n")
		synctest.Wait()
		time.Sleep(time.Second)
		pub.nc.Close()
	}
	group, count := 0, len(s.nodes)
	for _, n := range s.nodes {
		got := n.subs.counts()
		group += got["3"]
		if got["1"] != count || got["2"] != count || got["4"] != count*count {
			s.fail("%s received %v, want 1:%d 2:%d 4:%d", n.name, got, count, count, count*count)
		}
	}
	if group != count {
		s.fail("the queue group received %d messages, want %d", group, count)
	}
}

// simClient is a client that counts what it receives by sid.
type simClient struct {
	nc net.Conn

	mu  sync.Mutex
	got map[string]int
}

func (n *simNode) connect() *simClient {
	h := &simHost{n.sim.net, n.ip}
	nc, err := h.Dial(fmt.Sprintf("%s:%d", n.ip, simClientPort), time.Second)
	if err != nil {
		n.sim.fail("%v", err)
	}
	c := &simClient{nc: nc, got: map[string]int{}}
	go c.read()
	c.send("CONNECT {\"verbose\":false}\r\n")
	return c
}

func (c *simClient) send(text string) { c.nc.Write([]byte(text)) }

func (c *simClient) read() {
	r := bufio.NewReader(c.nc)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		switch {
		case len(f) == 4 && f[0] == "MSG":
			c.note(f[2])
		case line == "PONG\r\n":
			c.note("PONG")
		}
	}
}

func (c *simClient) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got[what]++
}

func (c *simClient) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.got)
}

func (c *simClient) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := map[string]int{}
	for k, v := range c.got {
		got[k] = v
	}
	return got
}

// simLogger shows the log of a node during a replay.
type simLogger struct{ n *simNode }

func (l *simLogger) log(level, format string, v ...any) {
	fmt.Printf("%8.3fs %s [%s] %s\n", time.Since(l.n.sim.start).Seconds(), l.n.name, level, fmt.Sprintf(format, v...))
}
func (l *simLogger) Noticef(format string, v ...any) { l.log("INF", format, v...) }
func (l *simLogger) Warnf(format string, v ...any)   { l.log("WRN", format, v...) }
func (l *simLogger) Errorf(format string, v ...any)  { l.log("ERR", format, v...) }
func (l *simLogger) Fatalf(format string, v ...any)  { l.log("FTL", format, v...) }
func (l *simLogger) Debugf(format string, v ...any)  { l.log("DBG", format, v...) }
func (l *simLogger) Tracef(format string, v ...any)  { l.log("TRC", format, v...) }
