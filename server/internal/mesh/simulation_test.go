package mesh_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"gnatsd/server/internal/mesh"
)

// TestSimulation runs clusters of meshes under schedules of crashes, cuts and delays that a seed
// decides. In the end each two servers must have one route between them, and agree on which.
func TestSimulation(t *testing.T) {
	t.Parallel()
	seeds := []uint64{21280, 30759, 32149, 33640} // a pool lost its route, and what was under way on it
	for seed := range uint64(2000) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		s := newSimulation(seed)
		s.disturb()
		s.repair()
		s.run(10 * time.Second)
		s.check(t, seed)
	}
}

// TestServersThatStartTogether counts the links that are made: a route for each two servers, and
// one duplicate at most.
func TestServersThatStartTogether(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		s := newSimulation(seed)
		s.run(5 * time.Second)
		s.check(t, seed)
		for pair, n := range s.made {
			if most := 1 + wanted(pair[0], pair[1]); n > most {
				t.Errorf("seed %d: %d links were made between %v, want %d at most", seed, n, pair, most)
			}
		}
	}
}

// simulation is a cluster in memory, with a clock of its own.
type simulation struct {
	rand     *rand.Rand
	now      time.Time
	queue    simQueue
	number   int // of what is queued
	links    uint64
	nodes    []*simNode
	made     map[[2]*simNode]int // links
	cuts     map[[2]*simNode]bool
	maxDelay time.Duration
}

// simNode is a machine with a server.
type simNode struct {
	sim    *simulation
	addr   string
	routes []*url.URL
	pool   int // links to each other server; 0 = it knows nothing of pools
	starts int

	// Of the server that runs; mesh is nil if there is none.
	mesh  *mesh.Mesh
	info  *mesh.Info
	links map[uint64]*simLink
}

// simLink is one end of a connection.
type simLink struct {
	node    *simNode
	id      uint64
	other   *simLink
	info    *mesh.Info // that came
	retired bool       // nothing is sent on it any more
	settled bool       // it is the route, or a member of a pool; until then nothing is read after INFO
	closed  bool
	name    string        // that CONNECT would give
	attempt *mesh.Attempt // nil if the other end dialed
	inbox   []simMessage
	heard   time.Time
	arrives time.Time // what was sent last
}

// simMessage is a line on a link: INFO, that it is accepted, a ping, or else the end.
type simMessage struct {
	info   *mesh.Info
	joined bool
	leave  bool
	ping   bool
}

func newSimulation(seed uint64) *simulation {
	s := &simulation{
		rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1000, 0), maxDelay: time.Millisecond,
		made: make(map[[2]*simNode]int), cuts: make(map[[2]*simNode]bool),
	}
	for i := range 2 + s.rand.IntN(5) {
		s.nodes = append(s.nodes, &simNode{sim: s, addr: fmt.Sprintf("10.0.0.%d:6222", i), pool: s.newPool()})
	}
	for i, n := range s.nodes { // each knows one that was there before, and perhaps one more
		if i > 0 {
			n.addRoute(s.nodes[s.rand.IntN(i)])
		}
		if s.rand.IntN(2) == 0 {
			n.addRoute(s.nodes[s.rand.IntN(len(s.nodes))])
		}
	}
	for _, n := range s.nodes {
		n.start()
	}
	return s
}

func (n *simNode) addRoute(to *simNode) {
	n.routes = append(n.routes, &url.URL{Scheme: "nats-route", Host: to.addr})
}

func (n *simNode) start() {
	n.starts++
	id := fmt.Sprintf("%04d %s %d", n.sim.rand.IntN(10000), n.addr, n.starts)
	n.info = &mesh.Info{ID: id, Addr: n.addr, DialAddr: n.addr, Extended: true, PoolSize: n.pool}
	n.links = make(map[uint64]*simLink)
	n.mesh = mesh.New(mesh.Config{ID: id, Rand: n.sim.rand, Pool: n.pool, Idle: func(link uint64) time.Duration {
		return n.sim.now.Sub(n.links[link].heard)
	}})
	n.event(func(m *mesh.Mesh) { m.Configured(n.sim.now, n.routes) })
	n.keepAlive(n.starts)
}

// crash ends the server. Its peers see that, unless they are cut off.
func (n *simNode) crash() {
	n.mesh = nil
	for _, l := range n.sorted() {
		l.closed = true
		l.send(simMessage{})
	}
}

// event reports something to the mesh, and performs what follows.
func (n *simNode) event(happened func(m *mesh.Mesh)) {
	m := n.mesh
	if m == nil {
		return
	}
	happened(m)
	for _, a := range m.Actions() {
		n.perform(m, a)
	}
	if at := m.Next(); !at.IsZero() {
		n.sim.at(at, func() {
			if m == n.mesh && at.Equal(m.Next()) {
				n.event(func(m *mesh.Mesh) { m.Wake(at) })
			}
		})
	}
}

func (n *simNode) perform(m *mesh.Mesh, a mesh.Action) {
	l := n.links[a.Link]
	switch a.Kind {
	case mesh.Dial:
		n.sim.after(n.sim.delay(), func() {
			if m == n.mesh {
				n.dial(a.Attempt)
			}
		})
	case mesh.Register, mesh.Join:
		l.settled = true
		if l.attempt == nil && (a.Pool != "" || a.Kind == mesh.Join) {
			l.send(simMessage{joined: true})
		}
		n.sim.after(0, l.read)
	case mesh.Retire:
		l.retired = true
		l.send(simMessage{leave: true})
	case mesh.Close:
		if a.Reason == mesh.DuplicateRoute {
			l.send(simMessage{info: &mesh.Info{ID: n.info.ID, Extended: true, Duplicate: true}})
		}
		n.sim.after(0, l.close)
	case mesh.Probe:
		l.send(simMessage{ping: true})
	case mesh.Forward:
		l.send(simMessage{info: n.links[a.Of].info})
	case mesh.Withdraw:
		l.send(simMessage{info: &mesh.Info{ID: a.Server, Lost: true}})
	}
}

func (n *simNode) dial(a *mesh.Attempt) {
	s := n.sim
	claimed, addr := a.Member > 0, a.Addr
	if claimed {
		addr = a.At
	} else {
		n.event(func(m *mesh.Mesh) { claimed = m.Claim(a.Target, a.Addr) })
	}
	if !claimed {
		n.event(func(m *mesh.Mesh) { m.AddrsShared(s.now, a.Target, []string{a.Addr}) })
		return
	}
	for _, o := range s.nodes {
		if o.addr == addr && o.mesh != nil && !s.cuts[pair(n, o)] {
			s.connect(n, o, a)
			return
		}
	}
	m := n.mesh
	s.after(a.Timeout, func() {
		if m == n.mesh {
			n.event(func(m *mesh.Mesh) {
				if a.Member > 0 {
					m.MemberFailed(s.now, a)
					return
				}
				m.DialFailed(s.now, a.Target, "i/o timeout")
			})
		}
	})
}

func (s *simulation) connect(from, to *simNode, a *mesh.Attempt) {
	near, far := s.newLink(from), s.newLink(to)
	near.other, far.other = far, near
	far.name = from.info.ID
	near.attempt = a
	info := *from.info
	if info.PoolSize > 0 {
		if info.PoolID, info.Member = a.PoolID, a.Member; a.Member == 0 {
			info.PoolID = fmt.Sprint(near.id)
		}
	}
	s.made[pair(from, to)]++
	to.event(func(m *mesh.Mesh) { m.Accepted(far.id) })
	from.event(func(m *mesh.Mesh) {
		wanted := false
		if a.Member > 0 {
			wanted = m.MemberDialed(a, near.id)
			near.settled = true // it waits for joined
		} else {
			wanted = m.Dialed(a.Target, near.id, a.Addr)
		}
		if !wanted {
			s.after(0, near.close)
		}
	})
	near.send(simMessage{info: &info})
	far.send(simMessage{info: to.info})
}

func (s *simulation) newLink(n *simNode) *simLink {
	s.links++
	l := &simLink{node: n, id: s.links, heard: s.now}
	n.links[l.id] = l
	return l
}

// send lets a message arrive after a delay, in order.
func (l *simLink) send(m simMessage) {
	s := l.node.sim
	at := s.now.Add(s.delay())
	if at.Before(l.arrives) {
		at = l.arrives
	}
	l.arrives = at
	s.at(at, func() {
		l.other.inbox = append(l.other.inbox, m)
		l.other.read()
	})
}

// read acts on what has arrived, if the hosts are not cut off.
func (l *simLink) read() {
	n := l.node
	for len(l.inbox) > 0 && !l.closed && !n.sim.cuts[pair(n, l.other.node)] && (l.info == nil || l.settled) {
		m := l.inbox[0]
		l.inbox = l.inbox[1:]
		l.heard = n.sim.now
		switch {
		case m.info != nil:
			if l.info == nil {
				l.info = m.info
			}
			n.event(func(x *mesh.Mesh) { x.Received(n.sim.now, l.id, l.name, m.info) })
		case m.joined:
			n.event(func(x *mesh.Mesh) { x.Joined(n.sim.now, l.id) })
		case m.leave && l.retired:
			l.close()
		case m.leave:
			n.event(func(x *mesh.Mesh) { x.Left(n.sim.now, l.id) })
		case m.ping:
			l.send(simMessage{info: n.info}) // as good as a PONG
		default:
			l.close()
		}
	}
}

func (l *simLink) close() {
	if l.closed {
		return
	}
	l.closed = true
	n := l.node
	delete(n.links, l.id)
	n.event(func(m *mesh.Mesh) { m.Closed(n.sim.now, l.id, "closed") })
	l.send(simMessage{})
}

// keepAlive pings silent routes, and closes those that stay silent.
func (n *simNode) keepAlive(start int) {
	const tick = 2 * time.Second
	if n.mesh == nil || n.starts != start {
		return
	}
	for _, l := range n.sorted() {
		switch silent := n.sim.now.Sub(l.heard); {
		case !l.settled || silent < tick:
		case silent > 4*tick:
			l.close()
		default:
			l.send(simMessage{ping: true})
		}
	}
	n.sim.after(tick, func() { n.keepAlive(start) })
}

// sorted returns the links in their order, so that a seed always does the same.
func (n *simNode) sorted() (list []*simLink) {
	for id := range n.sim.links {
		if l := n.links[id+1]; l != nil {
			list = append(list, l)
		}
	}
	return list
}

func pair(a, b *simNode) [2]*simNode {
	if a.addr > b.addr {
		a, b = b, a
	}
	return [2]*simNode{a, b}
}

func (s *simulation) delay() time.Duration { return time.Duration(s.rand.Int64N(int64(s.maxDelay))) }

// disturb lets things go wrong for a while.
func (s *simulation) disturb() {
	for range 3 + s.rand.IntN(12) {
		s.run(time.Duration(s.rand.Int64N(int64(6 * time.Second))))
		n, o := s.nodes[s.rand.IntN(len(s.nodes))], s.nodes[s.rand.IntN(len(s.nodes))]
		switch k := s.rand.IntN(8); {
		case n.mesh == nil:
			n.start()
		case k < 2:
			n.crash()
		case k < 4:
			s.cuts[pair(n, o)] = true
		case k < 5:
			s.heal()
		case k < 6: // a link breaks
			if all := n.sorted(); len(all) > 0 {
				all[s.rand.IntN(len(all))].close()
			}
		case k < 7:
			if n.pool > 0 {
				n.resize(max(1, s.newPool()))
			}
		default:
			s.maxDelay = time.Duration(1 + s.rand.Int64N(int64(300*time.Millisecond)))
		}
	}
}

// newPool returns a number of links, mostly one; 0 for a server that knows nothing of pools.
func (s *simulation) newPool() int {
	if s.rand.IntN(8) == 0 {
		return 0
	}
	return max(1, s.rand.IntN(8)-3)
}

// resize changes how many links to others the server wants, and sends them the number.
func (n *simNode) resize(pool int) {
	n.pool = pool
	info := *n.info
	info.PoolSize = pool
	n.info = &info
	for _, l := range n.sorted() {
		if l.settled && !l.retired {
			l.send(simMessage{info: n.info})
		}
	}
	n.event(func(m *mesh.Mesh) { m.SetPoolSize(n.sim.now, pool) })
}

func (s *simulation) heal() {
	clear(s.cuts)
	for _, n := range s.nodes {
		for _, l := range n.sorted() {
			s.after(0, l.read)
		}
	}
}

func (s *simulation) repair() {
	s.maxDelay = time.Millisecond
	s.heal()
	for _, n := range s.nodes {
		if n.mesh == nil {
			n.start()
		}
	}
}

// check looks for a full mesh, in which nothing is left to do after a while.
func (s *simulation) check(t *testing.T, seed uint64) {
	t.Helper()
	if why := s.incomplete(); why != "" {
		t.Errorf("seed %d: %s", seed, why)
		return
	}
	s.run(40 * time.Second)
	for _, n := range s.nodes {
		want := 0
		for _, o := range s.nodes {
			if o != n {
				want += wanted(n, o)
			}
		}
		if k := len(n.links); k != want {
			t.Errorf("seed %d: %s has %d links, want %d", seed, n.addr, k, want)
		}
		if at := n.mesh.Next(); !at.IsZero() {
			t.Errorf("seed %d: %s has something to do in %v", seed, n.addr, at.Sub(s.now))
		}
	}
}

// incomplete says what is missing for a full mesh, "" if it is there.
func (s *simulation) incomplete() string {
	for _, n := range s.nodes {
		routes := make(map[*simNode]int)
		for _, l := range n.links {
			if !l.settled {
				continue // in standby
			}
			if l.other.closed || !l.other.settled {
				return fmt.Sprintf("%s has a route to %s that is none at the other end", n.addr, l.other.node.addr)
			}
			routes[l.other.node]++
		}
		for _, o := range s.nodes {
			if o != n && routes[o] != wanted(n, o) || o == n && routes[o] != 0 {
				return fmt.Sprintf("%s has %d routes to %s", n.addr, routes[o], o.addr)
			}
		}
	}
	return ""
}

// wanted returns how many links there are to be between two servers.
func wanted(n, o *simNode) int { return max(1, min(n.pool, o.pool)) }

// simEvent is something that happens at a time.
type simEvent struct {
	at     time.Time
	number int
	do     func()
}

// simQueue is a heap of events, the next one first.
type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }

func (q simQueue) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].number < q[j].number
}

func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *simQueue) Push(x any) { *q = append(*q, x.(simEvent)) }

func (q *simQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

func (s *simulation) at(at time.Time, do func()) {
	s.number++
	heap.Push(&s.queue, simEvent{at, s.number, do})
}

func (s *simulation) after(d time.Duration, do func()) { s.at(s.now.Add(d), do) }

// run lets time pass.
func (s *simulation) run(d time.Duration) {
	end := s.now.Add(d)
	for len(s.queue) > 0 && !s.queue[0].at.After(end) {
		e := heap.Pop(&s.queue).(simEvent)
		if e.at.After(s.now) {
			s.now = e.at
		}
		e.do()
	}
	s.now = end
}
