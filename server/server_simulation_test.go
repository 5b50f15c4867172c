package server

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/test/check"
	"gnatsd/test/wire"
)

var (
	worldSeed  = flag.Int64("sim.seed", -1, "run one seed of the simulation of servers and clients, and log what happens")
	worldSeeds = flag.Int("sim.seeds", 500, "how many seeds of the simulation of servers and clients to run; with the race detector a tenth")
	worldFrom  = flag.Int("sim.from", 0, "the first seed")
)

// failedBefore are seeds that have found a fault.
var failedBefore = []uint64{12, 805, 950}

// TestServerSimulation runs clusters with their clients in memory, on a clock of their own. A seed
// decides what happens: clients come, go, stall, send garbage; servers are reloaded, killed,
// drained; networks are cut. Package check says what was delivered and must not have been, and the
// reverse. Goroutines run in any order, so a failed seed may have to be repeated (-count=20).
func TestServerSimulation(t *testing.T) {
	if *worldSeed >= 0 {
		synctest.Test(t, func(t *testing.T) { newWorld(t, uint64(*worldSeed)).run() })
		return
	}
	t.Parallel()
	seeds := *worldSeeds
	if testing.Short() || raceEnabled { // as in TestMeshSimulation
		seeds = (seeds + 9) / 10
	}
	all := slices.Clone(failedBefore)
	for i := range seeds {
		all = append(all, uint64(*worldFrom+i))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	next := make(chan uint64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := range next {
				t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, seed)
						w.run()
						mu.Lock()
						defer mu.Unlock()
						for what, n := range w.seen {
							seen[what] += n
						}
					})
				})
			}
		})
	}
	for _, seed := range all {
		next <- seed
	}
	close(next)
	workers.Wait()
	for _, what := range sometimes {
		t.Logf("%6d times %s", seen[what.name], what.name)
		if seen[what.name] == 0 && seeds >= what.seeds {
			t.Errorf("in %d seeds it never happened that %s: the simulation does not reach it any more", len(all), what.name)
		}
	}
}

// sometimes are events that must happen in some of the seeds, with the line of the log that says so,
// if there is one. Those that are rare are wanted only where there are so many seeds.
var sometimes = []struct {
	name  string
	line  string
	seeds int
}{
	{"a queue message was given to another member", "Redelivery succeeded on group", 50},
	{"a queue message was given to another server", "Re-routing message on group", 50},
	{"a client was a slow consumer by max_pending", "MaxPending of", 50},
	{"a client was a slow consumer by write_deadline", "WriteDeadline of", 500},
	{"a route was a slow consumer", "rid:SLOW", 500},
	{"a route was stale", "rid:STALE", 50},
	{"a client was stale", "cid:STALE", 500},
	{"a duplicate route was closed", "Detected duplicate remote route", 50},
	{standbyPromoted, "", 500},
	{"another connection of a pool took over", "takes over", 50},
	{"a route was lost", "Route to server", 50},
	{"a parser refused garbage", "parser ERROR", 500},
	{"a server was in lame duck mode", "Closing existing clients", 50},
	{"a client was kicked", "Closed: kicked by", 50},
	{"a publisher was stalled", "", 500},
	{"a permission was lost by a reload", "", 500},
	{"a publication was refused", "", 50},
	{"a request was answered over a route", "", 50},
	{"a maximum of messages was reached", "", 50},
	{"a server answered a system request", "", 50},
	{"a client half-closed its connection", "", 500},
	{"a message had to arrive", "", 50},
	{"a message was lost, and the log says why", "", 50},
}

const standbyPromoted = "a connection in standby became the route"

// world is a cluster with its clients, under one schedule.
type world struct {
	t       *testing.T
	seed    uint64
	rand    *rand.Rand
	net     *simNet
	start   time.Time
	nodes   []*worldNode
	log     check.Log
	clients []*check.Client // all that ever joined
	subs    map[*check.Client][]string
	hosts   int // of clients
	busy    sync.WaitGroup

	mu        sync.Mutex // guards what follows
	lines     []string
	seen      map[string]int
	explained map[string]string // by address of a client: why it was disconnected
	standby   map[string]bool   // prefixes of log lines of routes that have been in standby
}

// worldNode is a machine that runs a server, or has run one.
type worldNode struct {
	w       *world
	number  int
	name    string
	ip      string
	pool    int
	boots   int
	opts    *Options
	srv     *Server                // nil while it is down
	running atomic.Pointer[Server] // srv, for other goroutines
	ended   chan struct{}
}

// worldUsers are the permissions that users have at first.
var worldUsers = map[string]*check.Rules{
	"all":  nil,
	"deaf": {Subscribe: check.Subjects{Deny: []string{"a.x", "b.>"}}},
	"some": {Publish: check.Subjects{Allow: []string{"a.>", "in.>"}, Deny: []string{"a.z"}}, Subscribe: check.Subjects{Allow: []string{"a.>", "in.>", "req.>"}}},
	"svc":  {Publish: check.Subjects{Allow: []string{"none"}}, Subscribe: check.Subjects{Allow: []string{"req.>"}}, Responses: true},
}

var (
	worldSubjects = []string{"a.x", "a.y", "a.z", "b.z", "b.c.d"}
	worldPatterns = []string{"a.x", "a.y", "a.*", "a.>", ">", "b.>", "*.z", "b.*.d", "req.*", "req.one"}
)

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), net: newSimNet(seed), start: time.Now(),
		subs: map[*check.Client][]string{}, seen: map[string]int{}, explained: map[string]string{}, standby: map[string]bool{}}
	w.net.capacity, w.net.direct = 16<<10, w.rand.IntN(4) > 0
	for i := range 3 + w.rand.IntN(2)*w.rand.IntN(2)*(1+w.rand.IntN(4)) { // most have three
		w.nodes = append(w.nodes, &worldNode{w: w, number: i, name: fmt.Sprintf("n%d", i), ip: fmt.Sprintf("10.0.%d.1", i), pool: w.rand.IntN(4)})
	}
	return w
}

// say adds a line to the schedule.
func (w *world) say(format string, v ...any) {
	text := fmt.Sprintf("%8.3fs %s", time.Since(w.start).Seconds(), fmt.Sprintf(format, v...))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, text)
	if *worldSeed >= 0 {
		fmt.Println(text)
	}
}

func (w *world) fail(format string, v ...any) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Fatalf("%s\nschedule:\n%s\nreplay: go test ./server -run TestServerSimulation -count=20 -sim.seed=%d",
		fmt.Sprintf(format, v...), strings.Join(w.lines, "\n"), w.seed)
}

// note counts something that must happen in some of the seeds.
func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[what]++
}

// boot starts the server of a node.
func (n *worldNode) boot() {
	w := n.w
	o := Defaults()
	o.Host, o.Port = n.ip, simClientPort
	o.Cluster.Host, o.Cluster.Port, o.Cluster.PoolSize = n.ip, simRoutePort, n.pool
	for _, other := range w.nodes {
		if other != n {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("%s:%d", other.ip, simRoutePort)})
		}
	}
	o.NoSigs, o.MaxTracedMsgLen = true, 32
	o.MaxPayload, o.MaxPending = 8<<10, 24<<10
	o.WriteDeadline, o.PingInterval, o.MaxPingsOut = 2*time.Second, 5*time.Second, 2
	o.LameDuckGracePeriod, o.LameDuckDuration = 500*time.Millisecond, time.Second
	n.boots++
	o.identity = fmt.Sprintf("%018X%s_%d", w.rand.Uint64(), n.name, n.boots)
	o.network = &simHost{w.net, n.ip}
	o.accounts = []account{{name: defaultSystemAccount, users: []*User{{Username: "sys", Password: "p"}}}}
	for name, rules := range worldUsers {
		o.Users = append(o.Users, &User{Username: name, Password: "p", Permissions: permissionsOf(rules)})
	}
	srv, err := NewServer(o)
	if err != nil {
		w.t.Fatal(err)
	}
	srv.SetLogger(n, true, *worldSeed >= 0)
	n.srv, n.opts, n.ended = srv, o, make(chan struct{})
	n.running.Store(srv)
	go func() { // ends with Shutdown
		defer close(n.ended)
		srv.Start()
	}()
	if !srv.ReadyForConnections(time.Minute) {
		w.fail("%s did not start", n.name)
	}
	w.say("%s started as %s", n.name, srv.id)
}

// permissionsOf returns rules as the settings of a user.
func permissionsOf(r *check.Rules) *Permissions {
	if r == nil {
		return nil
	}
	p := &Permissions{Publish: &SubjectPermission{Allow: r.Publish.Allow, Deny: r.Publish.Deny},
		Subscribe: &SubjectPermission{Allow: r.Subscribe.Allow, Deny: r.Subscribe.Deny}}
	if r.Responses {
		p.Response = &ResponsePermission{MaxMsgs: -1, Expires: -1}
	}
	return p
}

// stop ends the server of a node: in order, by a crash of the process, or with its machine, of which
// the others hear nothing.
func (n *worldNode) stop(how string) {
	w := n.w
	w.say("%s: %s", n.name, how)
	w.log.Add(check.Event{Kind: check.Stopped, Server: n.number})
	switch how {
	case "crash":
		w.net.crash(n.ip)
	case "power loss":
		w.net.loseHost(n.ip)
		for _, c := range w.living() {
			if c.Server == n.number {
				c.Leave(func(nc net.Conn) { nc.Close() })
			}
		}
	}
	n.srv.Shutdown()
	<-n.ended
	n.stopped()
}

// stopped notes that the server has ended.
func (n *worldNode) stopped() {
	if n.srv.counters.stalls.Load() > 0 {
		n.w.note("a publisher was stalled")
	}
	n.srv = nil
	n.running.Store(nil)
}

// Noticef and the others are the log of a node.
func (n *worldNode) Noticef(format string, v ...any) { n.logged(levelInfo, format, v...) }
func (n *worldNode) Warnf(format string, v ...any)   { n.logged(levelWarn, format, v...) }
func (n *worldNode) Errorf(format string, v ...any)  { n.logged(levelError, format, v...) }
func (n *worldNode) Fatalf(format string, v ...any)  { n.logged(levelFatal, format, v...) }
func (n *worldNode) Debugf(format string, v ...any)  { n.logged(levelDebug, format, v...) }
func (n *worldNode) Tracef(format string, v ...any)  { n.logged(levelTrace, format, v...) }

// logged reads what a line of the log explains.
func (n *worldNode) logged(level logLevel, format string, v ...any) {
	w, text := n.w, fmt.Sprintf(format, v...)
	if *worldSeed >= 0 {
		fmt.Printf("%8.3fs %s [%d] %s\n", time.Since(w.start).Seconds(), n.name, level, text)
	}
	if text == "Initiating Shutdown..." {
		w.log.Add(check.Event{Kind: check.Stopped, Server: n.number, Text: text})
	}
	addr, rest, ofConn := strings.Cut(text, " - ")
	kind, what, _ := strings.Cut(rest, " - ")
	kind, _, _ = strings.Cut(kind, ":")
	// What a route had pending is given to others between these two lines.
	if kind == "rid" && (what == "Router connection closed" || strings.HasPrefix(what, "Route to server ")) {
		w.partedFrom(n, addr, text)
	}
	if kind == "rid" && strings.HasPrefix(what, "Slow Consumer") {
		text = "rid:SLOW"
	}
	if strings.HasPrefix(what, "Stale ") {
		text = kind + ":STALE"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, _, ok := strings.Cut(text, "Registering remote route"); ok && w.standby[n.name+before] {
		w.seen[standbyPromoted]++
	}
	if ofConn && kind == "cid" && explains(level, what) {
		w.explained[addr] = what
	}
	for _, s := range sometimes {
		if s.line != "" && strings.Contains(text, s.line) {
			w.seen[s.name]++
		}
	}
}

// explains reports whether a line about a client says why it was disconnected. Others say what it was
// refused.
func explains(level logLevel, what string) bool {
	if strings.Contains(what, " Violation - User ") || strings.HasPrefix(what, "Left out ") {
		return false
	}
	return level != levelDebug && level != levelTrace || strings.HasPrefix(what, "Stale ")
}

// partedFrom records that a route of a node has ended.
func (w *world) partedFrom(n *worldNode, addr, text string) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return
	}
	for _, o := range w.nodes {
		if o.ip == host {
			w.log.Add(check.Event{Kind: check.Parted, Server: n.number, Peer: o.number, Text: text})
		}
	}
}

// noteStandby looks for routes in standby now and then, until it is told to end.
func (w *world) noteStandby(end chan struct{}) {
	for {
		select {
		case <-end:
			return
		case <-time.After(300 * time.Millisecond):
		}
		for _, n := range w.nodes {
			if srv := n.running.Load(); srv != nil {
				prefixes := standbyPrefixes(srv)
				w.mu.Lock()
				for _, p := range prefixes {
					w.standby[n.name+p] = true
				}
				w.mu.Unlock()
			}
		}
	}
}

// standbyPrefixes returns the beginnings of log lines of routes in standby.
func standbyPrefixes(srv *Server) (prefixes []string) {
	srv.cluster.mu.Lock()
	all := slices.Collect(maps.Values(srv.cluster.routes))
	srv.cluster.mu.Unlock()
	for _, r := range all {
		if r.inStandby.Load() && !r.isDecided() {
			prefixes = append(prefixes, r.logPrefix())
		}
	}
	return prefixes
}

// run plays the schedule and checks the end.
func (w *world) run() {
	over := make(chan struct{})
	defer close(over)
	go w.noteStandby(over) // ends with over
	defer w.end()
	for _, n := range w.nodes {
		n.boot()
	}
	for range 4 + w.rand.IntN(6) {
		w.join()
	}
	w.calm()
	for range 2 + w.rand.IntN(3) {
		for range 2 + w.rand.IntN(4) {
			w.publish()
			w.step()
			w.pause(time.Duration(w.rand.Int64N(int64(3 * time.Second))))
		}
		if w.rand.IntN(3) == 0 {
			w.calm()
			w.publish()
		}
	}
	w.calm()
	w.publish()
	w.publish()
	w.calm()
	w.judge()
}

// end ends what still runs.
func (w *world) end() {
	w.net.heal()
	w.busyDone()
	for _, c := range w.clients {
		c.Leave(func(nc net.Conn) { nc.Close() })
	}
	for _, n := range w.nodes {
		if n.srv != nil {
			n.srv.Shutdown()
			<-n.ended
		}
	}
	for _, c := range w.clients {
		c.Wait()
	}
}

func (w *world) busyDone() {
	for _, c := range w.clients {
		c.Resume()
	}
	w.busy.Wait()
}

func (w *world) pause(d time.Duration) {
	if w.rand.IntN(3) > 0 {
		time.Sleep(d)
	}
}

// up returns the nodes whose server runs and accepts clients.
func (w *world) up() (up []*worldNode) {
	for _, n := range w.nodes {
		if n.srv != nil && n.srv.accepting() {
			up = append(up, n)
		}
	}
	return up
}

// alive returns a client that is connected, nil if there is none.
func (w *world) alive() *check.Client {
	all := w.living()
	if len(all) == 0 {
		return nil
	}
	return all[w.rand.IntN(len(all))]
}

func (w *world) living() []*check.Client {
	return slices.DeleteFunc(slices.Clone(w.clients), func(c *check.Client) bool { return !c.Alive() })
}

// dial connects from a host of its own to a node.
func (w *world) dial(n *worldNode) (net.Conn, error) {
	w.hosts++
	h := &simHost{w.net, fmt.Sprintf("10.9.%d.%d", w.hosts>>8, w.hosts&255)}
	return h.Dial(fmt.Sprintf("%s:%d", n.ip, simClientPort), 2*time.Second)
}

// join connects a client that subscribes.
func (w *world) join() {
	up := w.up()
	if len(up) == 0 {
		return
	}
	n := up[w.rand.IntN(len(up))]
	user := slices.Sorted(maps.Keys(worldUsers))[w.rand.IntN(len(worldUsers))]
	if w.rand.IntN(2) == 0 {
		user = "all"
	}
	nc, err := w.dial(n)
	if err != nil {
		w.say("a client cannot connect: %v", err)
		return
	}
	who := check.Identity{User: user, Password: "p", Rules: n.rules(user), NoEcho: w.rand.IntN(4) == 0, Headers: w.rand.IntN(3) == 0}
	c, err := w.log.Join(nc, n.number, who)
	if err != nil {
		w.say("a client cannot log in: %v", err)
		return
	}
	w.clients = append(w.clients, c)
	w.say("client %d at %s joins %s as %s", c.Number, c.Addr(), n.name, user)
	for range 1 + w.rand.IntN(4) {
		w.subscribe(c)
	}
	c.Ping()
}

// rules returns the permissions that a user has on a node.
func (n *worldNode) rules(user string) *check.Rules {
	for _, u := range n.opts.Users {
		if u.Username == user && u.Permissions != nil {
			p := u.Permissions
			return &check.Rules{Publish: check.Subjects{Allow: p.Publish.Allow, Deny: p.Publish.Deny},
				Subscribe: check.Subjects{Allow: p.Subscribe.Allow, Deny: p.Subscribe.Deny}, Responses: p.Response != nil}
		}
	}
	return nil
}

func (w *world) subscribe(c *check.Client) {
	queue := []string{"", "", "q", "r"}[w.rand.IntN(4)]
	sid := c.Subscribe(worldPatterns[w.rand.IntN(len(worldPatterns))], queue)
	w.subs[c] = append(w.subs[c], sid)
	if w.rand.IntN(6) == 0 {
		c.Limit(sid, 1+w.rand.IntN(20))
	}
}

// publish lets clients publish, while other things happen.
func (w *world) publish() {
	for _, c := range w.living() {
		if w.rand.IntN(2) == 0 {
			continue
		}
		r := rand.New(rand.NewPCG(w.rand.Uint64(), 2))
		inbox := ""
		if r.IntN(3) == 0 {
			inbox = fmt.Sprintf("in.%d", c.Number)
			w.subs[c] = append(w.subs[c], c.Subscribe(inbox, ""))
		}
		w.busy.Go(func() {
			for range 1 + r.IntN(12) {
				if inbox != "" && r.IntN(4) == 0 {
					c.Request("req.one", inbox)
				} else {
					c.Publish(worldSubjects[r.IntN(len(worldSubjects))], []int{0, 0, 0, 100, 3000}[r.IntN(5)])
				}
				if r.IntN(3) == 0 {
					time.Sleep(time.Duration(r.Int64N(int64(200 * time.Millisecond))))
				}
			}
			c.Ping()
		})
	}
}

// flood lets a client publish much that one subject's subscribers receive.
func (w *world) flood(c *check.Client) {
	subject := worldSubjects[w.rand.IntN(len(worldSubjects))]
	w.say("client %d floods %s", c.Number, subject)
	count := 10 + w.rand.IntN(40)
	w.busy.Go(func() {
		for range count {
			c.Publish(subject, 4000)
		}
		c.Ping()
	})
}

// step does one thing.
func (w *world) step() {
	c, up := w.alive(), w.up()
	if c == nil || len(up) < 2 {
		w.reboot()
		w.join()
		return
	}
	n := up[w.rand.IntN(len(up))]
	switch k := w.rand.IntN(24); k {
	case 0, 1:
		w.join()
	case 2:
		w.leave(c)
	case 3:
		w.say("client %d stalls", c.Number)
		c.Stall()
		w.flood(w.alive())
	case 4:
		w.readSlowly(c)
	case 5:
		w.garble(c)
	case 6, 7:
		w.resubscribe(c)
	case 8, 9:
		w.reload(n)
	case 10:
		n.lameDuck()
	case 11:
		n.stop([]string{"shutdown", "crash", "power loss"}[w.rand.IntN(3)])
	case 12, 13:
		w.cut()
	case 14:
		n.stop("power loss")
		time.Sleep(time.Duration(w.rand.Int64N(int64(3 * time.Second))))
		w.reboot()
	case 15:
		w.say("heal")
		w.net.heal()
	case 16:
		w.breakRoute()
	case 17:
		most := time.Duration(1 + w.rand.Int64N(int64(200*time.Millisecond)))
		w.say("delays up to %v", most)
		w.net.setDelay(most)
	case 18:
		w.ask(n)
	case 19:
		w.kick(n)
	case 20:
		w.flood(c)
	case 21:
		w.reboot()
	default:
		w.cutClient(c)
	}
}

// leave ends the connection of a client in one of the ways that there are.
func (w *world) leave(c *check.Client) {
	how := w.rand.IntN(3)
	w.say("client %d leaves: %d", c.Number, how)
	c.Leave(func(nc net.Conn) {
		switch how {
		case 0:
			nc.Close()
		case 1:
			nc.(interface{ reset() }).reset()
		default:
			nc.(interface{ CloseWrite() error }).CloseWrite()
			w.note("a client half-closed its connection")
		}
	})
}

// readSlowly lets a client read a little now and then, while it is flooded.
func (w *world) readSlowly(c *check.Client) {
	w.say("client %d reads slowly", c.Number)
	c.Stall()
	w.flood(w.alive())
	for range 10 {
		time.Sleep(100 * time.Millisecond)
		c.Resume()
		time.Sleep(time.Duration(w.rand.IntN(2)) * time.Millisecond)
		c.Stall()
	}
	c.Resume()
}

// garble lets a client send what is no operation, or only the beginning of one.
func (w *world) garble(c *check.Client) {
	if text := []string{"GARBAGE\r\n", "PUB a.x 99999\r\n", "PUB a.x 10\r\nabc", "\x00\x01\x02", "SUB a b c d e\r\n"}[w.rand.IntN(5)]; !strings.HasSuffix(text, "abc") {
		w.say("client %d sends %q", c.Number, text)
		c.Send(text)
		return
	}
	w.say("client %d ends within a message", c.Number)
	c.Leave(func(nc net.Conn) {
		fmt.Fprint(nc, "PUB a.x 10\r\nabc")
		nc.Close()
	})
}

// resubscribe ends a subscription and begins another.
func (w *world) resubscribe(c *check.Client) {
	if sids := w.subs[c]; len(sids) > 0 {
		i := w.rand.IntN(len(sids))
		w.say("client %d ends %s", c.Number, sids[i])
		c.Unsubscribe(sids[i])
		w.subs[c] = slices.Delete(slices.Clone(sids), i, i+1)
		c.Ping()
	}
	w.subscribe(c)
	c.Ping()
}

// reload changes the permissions of a user and some limits.
func (w *world) reload(n *worldNode) {
	next := *n.opts
	next.WriteDeadline = time.Duration(1+w.rand.IntN(3)) * time.Second
	user := []string{"deaf", "some"}[w.rand.IntN(2)]
	rules := &check.Rules{Subscribe: check.Subjects{Allow: [][]string{nil, {"a.>", "in.>"}, {"a.x"}}[w.rand.IntN(3)], Deny: [][]string{nil, {"a.y"}, {"b.>"}}[w.rand.IntN(3)]}}
	if w.rand.IntN(2) == 0 {
		rules.Publish.Allow = []string{"a.>", "in.>"}
	}
	next.Users = slices.Clone(next.Users)
	for i, u := range next.Users {
		if u.Username == user {
			next.Users[i] = &User{Username: user, Password: "p", Permissions: permissionsOf(rules)}
		}
	}
	w.say("reload of %s: %s may %v", n.name, user, rules)
	of := slices.DeleteFunc(w.living(), func(c *check.Client) bool { return c.Server != n.number || c.Who().User != user })
	for _, c := range of {
		w.log.Add(check.Event{Kind: check.Changing, Client: c.Number, Rules: rules})
	}
	if err := n.srv.ReloadOptions(&next); err != nil {
		w.fail("reload of %s: %v", n.name, err)
	}
	for _, c := range of {
		w.log.Add(check.Event{Kind: check.Changed, Client: c.Number})
	}
	n.opts = &next
}

// lameDuck puts the server of a node in lame duck mode, and waits for its end.
func (n *worldNode) lameDuck() {
	w := n.w
	w.say("%s enters lame duck mode", n.name)
	for _, c := range w.living() {
		if c.Server == n.number {
			w.mu.Lock()
			w.explained[c.Addr()] = "lame duck mode"
			w.mu.Unlock()
		}
	}
	n.srv.LameDuckShutdown()
	<-n.ended
	n.stopped()
}

// cut cuts servers off from each other, in one direction or both.
func (w *world) cut() {
	for i, a := range w.nodes {
		for _, b := range w.nodes[:i] {
			switch w.rand.IntN(5) {
			case 0:
				w.say("cut %s %s", a.name, b.name)
				w.net.cut(a.ip, b.ip)
			case 1:
				w.say("cut from %s to %s", a.name, b.name)
				w.net.cutOneWay(a.ip, b.ip)
			case 2:
				w.say("cut from %s to %s", b.name, a.name)
				w.net.cutOneWay(b.ip, a.ip)
			}
		}
	}
	if w.rand.IntN(2) == 0 {
		time.Sleep(time.Duration(w.rand.Int64N(int64(12 * time.Second))))
	}
}

// cutClient cuts a client off for a while.
func (w *world) cutClient(c *check.Client) {
	host, _, _ := net.SplitHostPort(c.Addr())
	w.say("cut client %d", c.Number)
	switch ip := w.nodes[c.Server].ip; w.rand.IntN(3) {
	case 0:
		w.net.cut(host, ip)
	case 1:
		w.net.cutOneWay(host, ip)
	default:
		w.net.cutOneWay(ip, host)
	}
	time.Sleep(time.Duration(w.rand.Int64N(int64(20 * time.Second))))
}

// breakRoute breaks one connection between two servers.
func (w *world) breakRoute() {
	w.net.mu.Lock()
	conns := slices.DeleteFunc(slices.Collect(maps.Keys(w.net.conns)), func(c *simConn) bool { return c.remote.Port != simRoutePort })
	w.net.mu.Unlock()
	if len(conns) == 0 {
		return
	}
	slices.SortFunc(conns, func(a, b *simConn) int { return strings.Compare(a.local.String(), b.local.String()) })
	c := conns[w.rand.IntN(len(conns))]
	w.say("break %s to %s", c.local, c.remote)
	switch w.rand.IntN(4) {
	case 0:
		c.reset()
	case 1:
		c.crash()
	default:
		c.breakHere()
	}
}

// reboot starts the servers that are down.
func (w *world) reboot() {
	for _, n := range w.nodes {
		if n.srv == nil {
			n.boot()
		}
	}
}

// system calls use with a connection of a user of the system account.
func (w *world) system(n *worldNode, use func(c *wire.Conn) error) error {
	nc, err := w.dial(n)
	if err != nil {
		return err
	}
	defer nc.Close()
	c := wire.New(nc)
	if _, err := c.Line(); err != nil {
		return err
	}
	if err := c.Send("CONNECT {\"verbose\":false,\"user\":\"sys\",\"pass\":\"p\"}\r\nSUB in.sys 1\r\n"); err != nil {
		return err
	}
	if _, err := c.Fence(); err != nil {
		return err
	}
	return use(c)
}

// ask sends a system request and waits for one answer.
func (w *world) ask(n *worldNode) {
	err := w.system(n, func(c *wire.Conn) error {
		if err := c.Send("PUB $SYS.REQ.SERVER.PING in.sys 0\r\n\r\n"); err != nil {
			return err
		}
		m, err := c.Next()
		if m != nil && m.Subject == "in.sys" {
			w.note("a server answered a system request")
		}
		return err
	})
	w.say("a system request: %v", err)
}

// kick has a client disconnected by an operator.
func (w *world) kick(n *worldNode) {
	clients := n.srv.clients.all()
	if len(clients) == 0 {
		return
	}
	body := fmt.Sprintf(`{"cid":%d}`, slices.MinFunc(clients, func(a, b *client) int { return int(a.id) - int(b.id) }).id)
	err := w.system(n, func(c *wire.Conn) error {
		if err := c.Send(fmt.Sprintf("PUB $SYS.REQ.SERVER.%s.KICK in.sys %d\r\n%s\r\n", n.srv.id, len(body), body)); err != nil {
			return err
		}
		_, err := c.Fence()
		return err
	})
	w.say("%s is to disconnect %s: %v", n.name, body, err)
}

// calm ends all faults and waits until everything has arrived and all servers know all interest.
func (w *world) calm() {
	w.say("all is to be well again")
	w.net.setDelay(time.Millisecond)
	w.net.heal()
	w.reboot()
	w.busyDone()
	w.fence()
	w.await("a full mesh", 30*time.Second, w.meshed)
	w.await("nothing pending", 30*time.Second, w.written)
	time.Sleep(time.Second)
	w.fence()
	w.log.Add(check.Event{Kind: check.Quiet})
	w.await("all interest and no more", 10*time.Second, w.interested)
	time.Sleep(100 * time.Millisecond)
	all := check.Event{Kind: check.Settled}
	for _, n := range w.nodes {
		all.Servers = append(all.Servers, n.number)
	}
	if w.meshed() == "" && w.interested() == "" {
		w.log.Add(all)
	}
}

// fence waits until all clients that are connected have been answered.
func (w *world) fence() {
	for _, c := range w.living() {
		c.Ping()
	}
	w.await("all clients answered", 40*time.Second, func() string {
		for _, c := range w.living() {
			if !c.Answered() {
				return fmt.Sprintf("client %d at %s has not been answered", c.Number, c.Addr())
			}
		}
		return ""
	})
}

func (w *world) await(what string, limit time.Duration, ok func() string) {
	w.t.Helper()
	if why := awaitInBubble(limit, ok); why != "" {
		w.fail("after %v still not %s: %s", limit, what, why)
	}
}

func (w *world) meshed() string {
	members := make([]meshMember, len(w.nodes))
	for i, n := range w.nodes {
		members[i] = meshMember{n.name, n.srv, n.pool}
	}
	return meshGap(members)
}

func (w *world) written() string {
	for _, n := range w.nodes {
		if k := n.srv.io.Pending.Load(); k != 0 {
			return fmt.Sprintf("%s has %d bytes pending", n.name, k)
		}
		if k := n.srv.io.SetAside.Load(); k != 0 {
			return fmt.Sprintf("%s has %d bytes set aside", n.name, k)
		}
	}
	return ""
}

func (w *world) interested() string {
	want := 0
	for _, n := range w.nodes {
		for _, c := range n.srv.clients.all() {
			c.mu.Lock()
			if !c.inSystem.Load() {
				want += c.subs.len()
			}
			c.mu.Unlock()
		}
	}
	for _, n := range w.nodes {
		if got := int(n.srv.NumSubscriptions()); got != want {
			return fmt.Sprintf("%s knows %d subscriptions, want %d", n.name, got, want)
		}
	}
	return ""
}

// judge checks what happened.
func (w *world) judge() {
	w.mu.Lock()
	for _, c := range w.clients {
		if why := w.explained[c.Addr()]; why != "" {
			w.log.Add(check.Event{Kind: check.Explained, Client: c.Number, Text: why})
		}
	}
	w.mu.Unlock()
	events := w.log.Events()
	w.observe(events)
	report := check.Judge(events)
	w.mu.Lock()
	w.seen["a message was lost, and the log says why"] += report.Lost
	w.seen["a message had to arrive"] += report.Due
	w.mu.Unlock()
	if faults := report.Faults; len(faults) > 0 {
		w.show(events, faults[0])
		lines := make([]string, len(faults))
		for i, f := range faults {
			lines[i] = f.String()
		}
		w.fail("%s", strings.Join(lines[:min(len(lines), 10)], "\n"))
	}
}

// show prints the events of a replay around a fault.
func (w *world) show(events []check.Event, f check.Fault) {
	if *worldSeed < 0 {
		return
	}
	for i, e := range events {
		fmt.Printf("event %d: %v\n", i, e)
	}
	fmt.Println(f)
}

// observe notes what must happen in some of the seeds.
func (w *world) observe(events []check.Event) {
	for _, n := range w.nodes {
		if n.srv.counters.stalls.Load() > 0 {
			w.note("a publisher was stalled")
		}
	}
	server, limits, got := map[int]int{}, map[string]int{}, map[string]int{}
	for _, e := range events {
		sub := fmt.Sprint(e.Client, " ", e.Sid)
		switch e.Kind {
		case check.Joined:
			server[e.Client] = e.Server
		case check.Limited:
			limits[sub] = e.Max
		case check.Received:
			if got[sub]++; got[sub] == limits[sub] {
				w.note("a maximum of messages was reached")
			}
			if strings.HasPrefix(e.Subject, "in.") && server[e.Message.Client] != server[e.Client] {
				w.note("a request was answered over a route")
			}
		}
	}
	for _, c := range w.clients {
		for _, line := range c.Errors() {
			if strings.Contains(line, "Violation for Subscription") && strings.Contains(line, "(sid ") {
				w.note("a permission was lost by a reload")
			}
			if strings.Contains(line, "Violation for Publish") {
				w.note("a publication was refused")
			}
		}
	}
}
