package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gnatsd/server/internal/mesh"
	"gnatsd/test/wire"
)

// poolProxy stands between two servers: it can cut single connections, and delay what the server
// that was dialed sends on them.
type poolProxy struct {
	t    *testing.T
	l    net.Listener
	to   string
	wait func(n int) time.Duration // for the n-th connection

	mu    sync.Mutex
	made  int
	held  map[int]chan struct{} // connections on which nothing is passed on
	conns []net.Conn            // ends, two for each connection
	ended map[int]bool          // connections that were cut
}

func newPoolProxy(t *testing.T, to string, wait func(n int) time.Duration) *poolProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	okay(t, err)
	p := &poolProxy{t: t, l: l, to: to, wait: wait}
	go p.accept() // ends when l is closed
	t.Cleanup(func() { l.Close(); p.cutAll() })
	return p
}

func (p *poolProxy) accept() {
	for {
		near, err := p.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			near.Close()
			continue
		}
		p.mu.Lock()
		n := p.made
		p.made++
		p.conns = append(p.conns, near, far)
		p.mu.Unlock()
		wait := time.Duration(0)
		if p.wait != nil {
			wait = p.wait(n)
		}
		near.(*net.TCPConn).SetReadBuffer(64 << 10)
		go p.copy(n, near, far, wait)
		go p.copy(n, far, near, wait)
	}
}

// copy passes on what it reads, after a wait, until one end is closed.
func (p *poolProxy) copy(number int, from, to net.Conn, wait time.Duration) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if held := p.holds(number); held != nil {
			<-held
		}
		if wait > 0 {
			<-time.After(wait)
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

// hold passes on nothing more on a connection.
func (p *poolProxy) hold(number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[int]chan struct{}{}
	}
	p.held[number] = make(chan struct{})
}

func (p *poolProxy) holds(number int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[number]
}

// release passes on what hold has held.
func (p *poolProxy) release(number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held[number])
	delete(p.held, number)
}

// cut ends one connection, chosen by pick of how many there have been.
func (p *poolProxy) cut(pick func(n int) int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := pick(len(p.conns)/2) * 2
	p.conns[i].Close()
	p.conns[i+1].Close()
	if p.ended == nil {
		p.ended = map[int]bool{}
	}
	p.ended[i/2] = true
	if held := p.held[i/2]; held != nil {
		close(held)
		delete(p.held, i/2)
	}
}

func (p *poolProxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	for _, held := range p.held {
		close(held)
	}
}

// settled waits until the connections of the pool are all ones that were not cut, on both servers.
func (p *poolProxy) settled(size int, servers ...*Server) {
	p.t.Helper()
	live := func(r *route) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := 0; i < len(p.conns); i += 2 {
			if ends := [2]net.Conn{p.conns[i], p.conns[i+1]}; ends[0].RemoteAddr().String() == r.nc.LocalAddr().String() ||
				ends[1].LocalAddr().String() == r.nc.RemoteAddr().String() {
				return !p.ended[i/2]
			}
		}
		return false
	}
	connected(p.t, size, servers...)
	for _, s := range servers {
		eventually(p.t, "no lost connection is left", func() bool {
			list := s.cluster.active()[0].siblings()
			return len(list) == size && !slices.ContainsFunc(list, func(r *route) bool { return !live(r) })
		})
	}
}

// pooled starts two servers with a pool of size connections through a proxy.
func pooled(t *testing.T, size int, wait func(n int) time.Duration, change ...func(*Options)) (a, b *Server, p *poolProxy) {
	t.Helper()
	options := func(o *Options) {
		o.Cluster.PoolSize = size
		for _, f := range change {
			f(o)
		}
	}
	a = startServer(t, options)
	p = newPoolProxy(t, a.ClusterAddr().String(), wait)
	u, err := url.Parse("nats-route://" + p.l.Addr().String())
	okay(t, err)
	b = startServer(t, func(o *Options) {
		options(o)
		o.Routes = []*url.URL{u}
	})
	connected(t, size, a, b)
	return a, b, p
}

// connected waits until each server has so many routes, all to one other server.
func connected(t *testing.T, routes int, servers ...*Server) {
	t.Helper()
	for _, s := range servers {
		eventually(t, fmt.Sprintf("%d connections", routes), func() bool { return s.NumRoutes() == routes && s.NumRemotes() == 1 })
	}
}

func TestPoolHasTheSmallerSizeOfBothServers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want int }{{1, 1, 1}, {3, 1, 1}, {1, 3, 1}, {3, 3, 3}, {2, 8, 2}, {8, 8, 8}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			a := startServer(t, func(o *Options) { o.Cluster.PoolSize = c.a })
			b := startServer(t, func(o *Options) { o.Cluster.PoolSize = c.b; o.Routes = []*url.URL{routeTo(t, a)} })
			connected(t, c.want, a, b)
			sub, pub := dialClient(t, a), dialClient(t, b)
			sub.Say("SUB x.* 1")
			sub.Sync()
			interested(t, b, 1)
			if n := b.NumSubscriptions(); n != 1 {
				t.Errorf("%d subscriptions, want 1", n)
			}
			for i := range 3 * c.want {
				pub.Say(fmt.Sprintf("PUB x.%d 2\r\nhi", i))
				sub.Want(fmt.Sprintf("MSG x.%d 1 2", i), "hi")
				pub.Close()
				pub = dialClient(t, b) // it is given the next member
			}
			sub.Close()
			interested(t, b, 0)
		})
	}
}

// TestPoolKeepsOrder publishes on many connections to two servers while connections between them are
// cut, and checks that each subscriber gets the messages of each publisher in order, none twice, and
// that the last ones of all arrive.
func TestPoolKeepsOrder(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3, 8} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("size=%d/seed=%d", size, seed), func(t *testing.T) {
				t.Parallel()
				mode := []string{"off", "s2_fast"}[seed]
				a, b, p := pooled(t, size, nil, func(o *Options) { o.Cluster.Compression.Mode = mode })
				newPoolMix(t, seed, a, b).run(p, size)
			})
		}
	}
}

// poolMix is publishers and subscribers of two servers.
type poolMix struct {
	t     *testing.T
	r     *rand.Rand
	srv   []*Server
	stop  atomic.Bool
	sent  atomic.Int64
	subs  []*poolSub
	group sync.Map     // messages that a queue group got, by publisher and number
	late  atomic.Int64 // messages that a member of the group got after later ones
}

const poolPublishers = 6

// poolSub is a subscriber.
type poolSub struct {
	c    *wire.Client
	what string
	last [poolPublishers]int
	ends atomic.Int64
	done chan struct{}
}

func newPoolMix(t *testing.T, seed uint64, srv ...*Server) *poolMix {
	return &poolMix{t: t, r: rand.New(rand.NewPCG(seed, 5)), srv: srv}
}

func (m *poolMix) run(p *poolProxy, size int) {
	for _, s := range m.srv {
		for _, what := range []string{"SUB mix.* 1", "SUB > 1", "SUB mix.1 1", "SUB mix.* group 1", "SUB mix.* group 1"} {
			sub := &poolSub{c: dialClient(m.t, s), what: what, done: make(chan struct{})}
			sub.c.Say(what)
			sub.c.Sync()
			m.subs = append(m.subs, sub)
			go m.read(sub) // ends with its connection
		}
	}
	for _, s := range m.srv {
		interested(m.t, s, len(m.subs))
	}
	var pools []*pool
	for _, s := range m.srv {
		pools = append(pools, s.cluster.active()[0].pool)
	}
	var pubs sync.WaitGroup
	clients := make([]*wire.Client, poolPublishers)
	for i := range clients {
		clients[i] = dialClient(m.t, m.srv[i%2])
		r := rand.New(rand.NewPCG(m.r.Uint64(), 1))
		pubs.Go(func() { m.publish(clients[i], i, r) })
	}
	for range 4 {
		before := m.sent.Load()
		eventually(m.t, "messages flow", func() bool { return m.sent.Load() > before+400 })
		p.cut(func(n int) int { return n - 1 - m.r.IntN(min(n, size)) })
	}
	m.stop.Store(true)
	pubs.Wait()
	p.settled(size, m.srv...)
	for _, s := range m.srv { // if all connections were lost at a time, the interest begins again
		interested(m.t, s, len(m.subs))
	}
	for i, c := range clients {
		for k := range 3 {
			c.Say(fmt.Sprintf("PUB mix.%d 9\r\n%d %06d ", k, i, 900000+k))
		}
		c.Sync()
	}
	for _, sub := range m.subs {
		if strings.Contains(sub.what, "group") {
			continue
		}
		want := int64(3 * poolPublishers)
		if sub.what == "SUB mix.1 1" {
			want = poolPublishers
		}
		eventually(m.t, "the last messages reach "+sub.what, func() bool { return sub.ends.Load() == want })
	}
	eventually(m.t, "the last messages reach the group", func() bool {
		n := 0
		m.group.Range(func(k, _ any) bool {
			if k.([2]int)[1] >= 900000 {
				n++
			}
			return true
		})
		return n == 3*poolPublishers
	})
	for _, sub := range m.subs {
		sub.c.Close()
		<-sub.done
	}
	// Where all connections were lost at a time, what was pending for members of the group goes to others.
	lost := slices.ContainsFunc(pools, func(p *pool) bool { return p.ended.Load() })
	if n := m.late.Load(); n > 0 && !lost {
		m.t.Errorf("members of the group got %d messages after later ones", n)
	}
}

func (m *poolMix) publish(c *wire.Client, id int, r *rand.Rand) {
	n := 0
	for !m.stop.Load() {
		var b strings.Builder
		subject := r.IntN(3)
		for range 1 + r.IntN(60) {
			if r.IntN(4) == 0 {
				subject = r.IntN(3)
			}
			n++
			pad := strings.Repeat("x", []int{0, 0, 100, 3000}[r.IntN(4)])
			fmt.Fprintf(&b, "PUB mix.%d %d\r\n%d %06d %s\r\n", subject, 9+len(pad), id, n, pad)
		}
		if c.Send(b.String()) != nil {
			m.t.Error("a publisher was disconnected")
			return
		}
		m.sent.Add(1 + int64(r.IntN(60)))
		if err := c.Send("PING\r\n"); err != nil {
			return
		}
		if _, err := c.UntilPong(); err != nil {
			m.t.Error(err)
			return
		}
	}
}

func (m *poolMix) read(sub *poolSub) {
	defer close(sub.done)
	for {
		d, err := sub.c.Next()
		if err != nil {
			return
		}
		var id, n int
		if _, err := fmt.Sscanf(string(d.Payload), "%d %d ", &id, &n); err != nil {
			m.t.Errorf("%s got %.40q", sub.what, d.Payload)
			return
		}
		switch {
		case n > sub.last[id]:
			sub.last[id] = n
		case strings.Contains(sub.what, "group"):
			m.late.Add(1)
		default:
			m.t.Errorf("%s got message %d of publisher %d after %d", sub.what, n, id, sub.last[id])
		}
		if n >= 900000 {
			sub.ends.Add(1)
		}
		if strings.Contains(sub.what, "group") {
			if _, twice := m.group.LoadOrStore([2]int{id, n}, true); twice {
				m.t.Errorf("message %d of publisher %d came twice to the group", n, id)
			}
		}
	}
}

// TestPoolFence makes the connection slow that interest is sent on, and checks that no message
// overtakes it: a reply finds the inbox of the request, and so does what another client publishes.
func TestPoolFence(t *testing.T) {
	t.Parallel()
	a, b, _ := pooled(t, 3, func(n int) time.Duration {
		if n == 0 {
			return 20 * time.Millisecond
		}
		return 0
	})
	for _, way := range [][2]*Server{{a, b}, {b, a}} {
		service := dialClient(t, way[1])
		service.Say("SUB ask 1")
		service.Sync()
		interested(t, way[0], 1)
		for i := range 6 {
			inbox := fmt.Sprintf("inbox.%d", i)
			asker, other := dialClient(t, way[0]), dialClient(t, way[0])
			if i%2 == 0 { // the other client asks
				asker.Say("SUB " + inbox + " 1")
				asker.Sync()
				sentInterest(t, way[0])
				other.Say("PUB ask " + inbox + " 2\r\nhi")
			} else {
				asker.Say("SUB "+inbox+" 1", "PUB ask "+inbox+" 2\r\nhi")
			}
			service.Want("MSG ask 1 "+inbox+" 2", "hi")
			service.Say("PUB " + inbox + " 2\r\nho")
			asker.Want("MSG "+inbox+" 1 2", "ho")
			asker.Close()
			other.Close()
		}
		service.Close()
		interested(t, way[0], 0)
		interested(t, way[1], 0)
	}
}

// TestPoolFenceKnowsInterestThatWasSentMeanwhile has interest sent after a batch has looked how
// much of it precedes its messages, and before it sends them.
func TestPoolFenceKnowsInterestThatWasSentMeanwhile(t *testing.T) {
	t.Parallel()
	_, b, _ := pooled(t, 3, nil)
	dialClient(t, b).Sync()
	p := b.cluster.active()[0].pool
	carrier := p.carrier.Load()
	w := &path{from: &b.clients.all()[0].conn, pool: p}
	for w.member() == carrier {
		w.index, w.of = w.index+1, nil
	}
	w.appendFences(nil)
	carrier.interest.pushLines([]byte("PONG\r\n"))
	w.refence()
	if set := w.to.fenced.Load(); set == nil || *set != (fence{carrier.id, carrier.number, carrier.marks.Load()}) {
		t.Errorf("got %+v, want a wait for mark %d", set, carrier.marks.Load())
	}
}

// sentInterest waits until the interest of all clients has been sent to all routes.
func sentInterest(t *testing.T, s *Server) {
	t.Helper()
	eventually(t, "interest is sent", func() bool {
		return !slices.ContainsFunc(s.cluster.active(), func(r *route) bool { return r.interest.clients.Load() > 0 })
	})
}

// TestPoolKeepsInterestWhenTheCarrierIsLost cuts the connection that interest is sent on, and checks
// that what changes meanwhile is known, and nothing else.
func TestPoolKeepsInterestWhenTheCarrierIsLost(t *testing.T) {
	t.Parallel()
	a, b, p := pooled(t, 3, nil)
	sub := dialClient(t, a)
	for i := range 500 {
		sub.Say(fmt.Sprintf("SUB keep.%d %d", i, i))
	}
	sub.Sync()
	interested(t, b, 500)
	for round := range 4 {
		before := b.cluster.active()[0]
		i := slices.Index(carried(p), before.nc.LocalAddr().String())
		p.cut(func(int) int { return i })
		for i := range 100 {
			sub.Say(fmt.Sprintf("UNSUB %d", 100*round+i), fmt.Sprintf("SUB new.%d.%d %d", round, i, 1000+100*round+i))
		}
		sub.Sync()
		pub := dialClient(t, b)
		eventually(t, "another connection takes over", func() bool { return len(b.cluster.active()) == 1 && b.cluster.active()[0] != before })
		eventually(t, "the interest that there is, and no other", func() bool {
			return b.NumSubscriptions() == 500 && len(b.subs.Match([]byte(fmt.Sprintf("new.%d.99", round))).Queues()) == 1
		})
		pub.Say(fmt.Sprintf("PUB new.%d.99 2\r\nhi", round))
		sub.Want(fmt.Sprintf("MSG new.%d.99 %d 2", round, 1000+100*round+99), "hi")
		connected(t, 3, a, b)
	}
}

// TestPoolKnowsWhatASidStandsForWhenTheCarrierIsLost has clients use the sids of subscriptions that
// they end for others, while what is sent of that gets lost with the connection that carries it.
func TestPoolKnowsWhatASidStandsForWhenTheCarrierIsLost(t *testing.T) {
	t.Parallel()
	a, b, p := pooled(t, 2, nil)
	sub := dialClient(t, a)
	sub.Do("SUB old 1", "SUB old group 2", "SUB other group 3", "SUB same 4", "SUB same group 5")
	interested(t, b, 5)
	before := b.cluster.active()[0]
	i := slices.Index(carried(p), before.nc.LocalAddr().String())
	p.hold(i)
	sub.Do("UNSUB 1", "SUB new 1", "UNSUB 2", "SUB new group 2", "UNSUB 3", "SUB other team 3", "UNSUB 4", "SUB same 4", "UNSUB 5", "SUB same group 5")
	p.cut(func(int) int { return i })
	p.settled(2, a, b)
	want := []string{"new", "new group", "other team", "same", "same group"}
	eventually(t, "the interest that there is, and no other", func() bool {
		var got []string
		for e := range b.allSubs {
			got = append(got, strings.TrimSpace(e.Value.subject()+" "+e.Value.queue()))
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
	pub := dialClient(t, b)
	pub.Do("PUB old 1\r\n1", "PUB new 1\r\n2", "PUB other 1\r\n3", "PUB same 1\r\n4")
	var got []string
	for range 5 {
		m, err := sub.Next()
		okay(t, err)
		got = append(got, fmt.Sprintf("%s %s %s", m.Subject, m.Sid, m.Payload))
	}
	slices.Sort(got)
	if want := []string{"new 1 2", "new 2 2", "other 3 3", "same 4 4", "same 5 4"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// carried returns the addresses from which the connections through a proxy were dialed.
func carried(p *poolProxy) (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.conns); i += 2 {
		list = append(list, p.conns[i].RemoteAddr().String())
	}
	return list
}

// TestPoolSizeIsReloaded makes pools larger and smaller, also from and to a single route, while messages
// flow, none of which may be lost or out of order.
func TestPoolSizeIsReloaded(t *testing.T) {
	t.Parallel()
	a := startReloader(t, poolOf(1, nil))
	b := startReloader(t, poolOf(8, a.Server))
	connected(t, 1, a.Server, b.Server)
	sub := dialClient(t, a.Server)
	sub.Say("SUB x 1")
	sub.Sync()
	interested(t, b.Server, 1)
	var pubs sync.WaitGroup
	var stop atomic.Bool
	var sent [4]int
	const lastOne = 9999999
	for i := range sent {
		c := dialClient(t, b.Server)
		pubs.Go(func() {
			for !stop.Load() {
				sent[i]++
				c.Say(fmt.Sprintf("PUB x 9\r\n%d %07d", i, sent[i]))
				if sent[i]%50 == 0 {
					c.Sync()
				}
			}
			c.Say(fmt.Sprintf("PUB x 9\r\n%d %07d", i, lastOne))
			c.Sync()
		})
	}
	for range 2 { // interest comes and goes meanwhile
		c := dialClient(t, b.Server)
		pubs.Go(func() {
			for !stop.Load() {
				for i := range 200 {
					c.Say(fmt.Sprintf("SUB y.%d %d", i, i))
				}
				for i := range 200 {
					c.Say(fmt.Sprintf("UNSUB %d", i))
				}
				c.Sync()
			}
		})
	}
	got := [4]int{}
	var read sync.WaitGroup
	read.Go(func() {
		for ends := 0; ends < len(sent); {
			var i, n int
			d, err := sub.Next()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Sscanf(string(d.Payload), "%d %d", &i, &n)
			if n == lastOne {
				ends++
				n = sent[i] + 1
			}
			if n != got[i]+1 {
				t.Errorf("got message %d of publisher %d after %d", n, i, got[i])
			}
			got[i] = n
		}
	})
	for _, size := range []int{5, 1, 3, 1, 8, 2} {
		okay(t, a.change(t, poolOf(size, nil)))
		connected(t, size, a.Server, b.Server)
	}
	okay(t, b.change(t, poolOf(1, a.Server)))
	connected(t, 1, a.Server, b.Server)
	stop.Store(true)
	pubs.Wait()
	read.Wait()
	okay(t, b.change(t, poolOf(3, a.Server)))
	okay(t, a.change(t, poolOf(4, nil)))
	connected(t, 3, a.Server, b.Server)
	a.Shutdown()
	eventually(t, "no route", func() bool { return b.NumRoutes() == 0 })
}

// TestPublishersDoNotWaitForAPeerToLeaveAConnection has a server leave connections, and a peer that does not
// hear of it: publishers go on with another one, in order, no client waits, and in the end the
// connections are closed.
func TestPublishersDoNotWaitForAPeerToLeaveAConnection(t *testing.T) {
	t.Parallel()
	const size, publishers = 3, 6
	a, b, p := pooled(t, size, nil, func(o *Options) { o.idleTick = 300 * time.Millisecond })
	sub := dialClient(t, a)
	sub.Say("SUB x 1")
	sub.Sync()
	interested(t, b, 1)
	var pubs []*wire.Client
	for i := range publishers {
		c := dialClient(t, b)
		c.Say("PUB x 1\r\n" + fmt.Sprint(i))
		c.Sync()
		pubs = append(pubs, c)
	}
	for range publishers {
		_, err := sub.Next()
		okay(t, err)
	}
	for n := 1; n < size; n++ {
		p.hold(n)
	}
	b.cluster.resizePools(1)
	for i, c := range pubs {
		c.Say("PUB x 1\r\n" + fmt.Sprint(i))
		c.Sync()
	}
	c := dialClient(t, b)
	c.Say("SUB y 1", "UNSUB 1")
	c.Sync()
	if got := len(b.cluster.all()); got != size {
		t.Errorf("%d connections, want those that are left to be there: all waited for their end", got)
	}
	eventually(t, "the end of those that are left", func() bool { return len(b.cluster.all()) == 1 })
	for n := 1; n < size; n++ {
		p.release(n)
	}
	for range publishers {
		_, err := sub.Next()
		okay(t, err)
	}
}

// poolOf is a configuration with a pool, and a route to another server.
func poolOf(size int, to *Server) string {
	routes := ""
	if to != nil {
		routes = fmt.Sprintf("routes: [\"nats-route://%s\"]", to.ClusterAddr())
	}
	return fmt.Sprintf("cluster { listen: \"127.0.0.1:-1\", pool_size: %d\n%s }", size, routes)
}

func TestPoolIsShown(t *testing.T) {
	t.Parallel()
	a, b, _ := pooled(t, 3, nil)
	sub := dialClient(t, a)
	sub.Say("SUB x 1")
	sub.Sync()
	interested(t, b, 1)
	z, _ := b.Routez(&RoutezOptions{Subscriptions: true})
	carriers := 0
	for _, r := range z.Routes {
		if r.Pool == nil || r.Pool.Size != 3 || r.RemoteID != a.ID() || !r.DidSolicit {
			t.Fatalf("got route %+v, pool %+v", r, r.Pool)
		}
		if r.Pool.Carrier {
			carriers++
			if r.NumSubs != 1 || len(r.Subs) != 1 {
				t.Errorf("the carrier has %d subscriptions, %v, want 1", r.NumSubs, r.Subs)
			}
		} else if r.NumSubs != 0 {
			t.Errorf("connection %d has %d subscriptions, want 0", r.Pool.Member, r.NumSubs)
		}
	}
	if z.NumRoutes != 3 || carriers != 1 {
		t.Errorf("got %d routes, %d carriers, want 3 and 1", z.NumRoutes, carriers)
	}
	if v, _ := b.Varz(nil); v.Routes != 3 || v.Remotes != 1 || v.Cluster.PoolSize != 3 {
		t.Errorf("got %d routes, %d remotes, pool size %d, want 3, 1, 3", v.Routes, v.Remotes, v.Cluster.PoolSize)
	}
	if why := b.health(2); why != "1 of 2 routes are up" {
		t.Errorf("health is %q: a pool is one route", why)
	}
	for _, m := range b.metrics() {
		if m.Name == "mesh_pool_connections" && (len(m.Samples) != 1 || m.Samples[0].Value != 3) {
			t.Errorf("got %+v, want 3 connections", m.Samples)
		}
	}
}

// TestPoolDoesNotCarryARequestBeforeItsInbox has requesters subscribe to an inbox for each request,
// while another client floods the carrier, which is slow, with subscriptions.
func TestPoolDoesNotCarryARequestBeforeItsInbox(t *testing.T) {
	t.Parallel()
	const requesters, requests, subjects = 6, 20, 30_000
	b, a, _ := pooled(t, 3, func(n int) time.Duration { return time.Duration(5-2*n) * time.Millisecond })
	connected(t, 3, a, b)
	responder := dialClient(t, b)
	responder.Do("SUB service 1")
	interested(t, a, 1)
	go func() { // ends with the connection
		for m, err := responder.Next(); err == nil; m, err = responder.Next() {
			responder.Say("PUB " + m.Reply + " 0\r\n\r\n")
		}
	}()
	many := dialClient(t, a)
	var subs strings.Builder
	for i := range subjects {
		fmt.Fprintf(&subs, "SUB some.subject.of.many.%d %d\r\n", i, i)
	}
	go many.Write([]byte(subs.String())) // ends with the connection
	var all sync.WaitGroup
	for n := range requesters {
		c := dialClient(t, a)
		all.Go(func() {
			for i := range requests {
				inbox := fmt.Sprintf("_INBOX.%d.%d", n, i)
				c.Say(fmt.Sprintf("SUB %s %d\r\nPUB service %s 0\r\n\r\n", inbox, i, inbox))
				if m, err := c.Next(); err != nil || m.Subject != inbox {
					t.Errorf("request %s: got %v, %v", inbox, m, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestPoolIDsCannotBeGuessed has two servers open a pool with their first connection.
func TestPoolIDsCannotBeGuessed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		s, err := NewServer(&Options{Cluster: ClusterOpts{Host: "127.0.0.1", Port: RandomPort, PoolSize: 3}})
		okay(t, err)
		r := newRoute(s, deadPipe(t), &mesh.Attempt{})
		s.cluster.own = &peerInfo{PoolSize: 3} // as if it listened
		line := s.cluster.firstInfo(r)
		_, rest, ok := strings.Cut(line, `"pool_id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if !ok || len(id) < 20 || seen[id] {
			t.Errorf("got the id %q in %s", id, line)
		}
		seen[id] = true
	}
}
