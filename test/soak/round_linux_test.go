package soak

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"gnatsd/test/check"
	"gnatsd/test/wire"
)

// clientsOfServer is how many judged clients each server has in a round.
const clientsOfServer = 6

// control are the subjects that clients of the test itself need.
var control = []string{"fence.>", "settle.>", "in.>"}

// rulesOf are the permissions of a user; strict ones are what every second reload brings.
func rulesOf(user string, strict bool) *check.Rules {
	if user == "all" {
		return nil
	}
	r := &check.Rules{Publish: check.Subjects{Allow: append([]string{"a.>", "req.>"}, control...), Deny: []string{"a.z"}},
		Subscribe: check.Subjects{Allow: append([]string{"a.>", "req.>"}, control...), Deny: []string{"a.y"}}}
	if strict {
		r.Publish.Deny = append(r.Publish.Deny, "a.x")
	}
	return r
}

// permissions are rules as a configuration has them.
func permissions(r *check.Rules) string {
	side := func(s check.Subjects) string {
		quoted := func(list []string) string { return `["` + strings.Join(list, `", "`) + `"]` }
		return "{ allow: " + quoted(s.Allow) + ", deny: " + quoted(s.Deny) + " }"
	}
	return "{ publish: " + side(r.Publish) + ", subscribe: " + side(r.Subscribe) + " }"
}

// member is a judged client, with what it is subscribed to.
type member struct {
	*check.Client
	sids []string
}

// round is a time in which clients come, work and leave. Its events are judged at its end.
type round struct {
	c       *cluster
	rand    *rand.Rand
	log     *check.Log
	members []*member // that are connected
	all     []*member // with those that have left
	probes  []*member // one for each server: they publish what shows that interest is known
	settled int       // times
	inboxes int
	did     map[string]int // by kind of action
}

// run is a round of that many operations, pause apart.
func (c *cluster) run(seed uint64, operations int, pause time.Duration, did map[string]int) check.Report {
	r := &round{c: c, rand: rand.New(rand.NewPCG(seed, 7)), log: new(check.Log), did: did}
	for i := range c.nodes {
		for range clientsOfServer {
			r.join(i)
		}
		r.probes = append(r.probes, r.enter(i, check.Identity{User: "all"}))
	}
	r.settle()
	const parts = 3
	tick := time.NewTicker(max(pause, time.Microsecond))
	defer tick.Stop()
	for part := range parts {
		for range operations / parts {
			<-tick.C
			r.operation()
		}
		if part < parts-1 {
			r.disturb()
			r.settle()
		}
	}
	r.end()
	report := check.Judge(r.log.Events())
	for _, f := range report.Faults {
		c.t.Errorf("seed %d: %v", seed, f)
	}
	return report
}

// enter logs a client in. How long a machine that is busy needs is no concern of the test.
func (r *round) enter(server int, who check.Identity) *member {
	t := r.c.t
	t.Helper()
	n := r.c.nodes[server]
	who.Password, who.Account, who.Rules = "p", "", rulesOf(who.User, n.strict)
	nc, err := n.dial()
	must(t, err)
	client, err := r.log.Join(nc, server, who)
	must(t, err)
	m := &member{Client: client}
	client.Subscribe("fence."+strconv.Itoa(client.Number)+".*", "")
	r.all = append(r.all, m)
	return m
}

// join connects a client of some kind, with subscriptions.
func (r *round) join(server int) {
	who := check.Identity{User: "all", NoEcho: r.rand.IntN(4) == 0, Headers: r.rand.IntN(3) == 0}
	if r.rand.IntN(3) == 0 {
		who.User = "some"
	}
	m := r.enter(server, who)
	r.members = append(r.members, m)
	for range 1 + r.rand.IntN(3) {
		r.subscribe(m)
	}
}

func (r *round) pick(list ...string) string { return list[r.rand.IntN(len(list))] }

func (r *round) subscribe(m *member) {
	pattern := r.pick("a.x", "a.y", "a.*", "a.>", "b.x", "b.>", "*.x", "req.x", "req.*")
	m.sids = append(m.sids, m.Subscribe(pattern, r.pick("", "", "q1", "q2")))
	r.did["subscriptions"]++
	if r.rand.IntN(6) == 0 {
		m.Limit(m.sids[len(m.sids)-1], 1+r.rand.IntN(10))
		r.did["maximums"]++
	}
}

// living returns a client that is connected.
func (r *round) living() *member { return r.members[r.rand.IntN(len(r.members))] }

// operation has one client do something.
func (r *round) operation() {
	m := r.living()
	switch n := r.rand.IntN(100); {
	case n < 70:
		m.Publish(r.pick("a.x", "a.y", "a.z", "a.b.c", "b.x", "b.y"), r.rand.IntN(1<<r.rand.IntN(14)))
		r.did["messages"]++
	case n < 85:
		r.inboxes++
		inbox := fmt.Sprintf("in.%d.%d", m.Number, r.inboxes)
		m.Limit(m.Subscribe(inbox, ""), 1)
		m.Request("req.x", inbox)
		r.did["requests"]++
	case n < 90:
		r.subscribe(m)
	case n < 95 && len(m.sids) > 0:
		i := r.rand.IntN(len(m.sids))
		m.Unsubscribe(m.sids[i])
		m.sids = slices.Delete(m.sids, i, i+1)
	case n < 97:
		m.Stall()
		time.AfterFunc(200*time.Millisecond, m.Resume)
		r.did["stalls"]++
	default:
		m.Ping()
	}
}

// disturb does two things that happen to clusters.
func (r *round) disturb() {
	for _, i := range r.rand.Perm(len(disturbances))[:2] {
		disturbances[i].do(r)
		r.did[disturbances[i].name]++
	}
}

var disturbances = []struct {
	name string
	do   func(*round)
}{
	{"reloads", (*round).reload},
	{"renewed certificates", (*round).renew},
	{"cut routes", (*round).cut},
	{"stalled routes", (*round).stall},
	{"departures", (*round).churn},
	{"misbehaving clients", (*round).misbehave},
}

func (r *round) node() *node { return r.c.nodes[r.rand.IntN(len(r.c.nodes))] }

// reload changes the permissions of a user.
func (r *round) reload() {
	n := r.node()
	n.strict = !n.strict
	rules := rulesOf("some", n.strict)
	var changed []*member
	for _, m := range r.members {
		if m.Server == n.number && m.Who().User == "some" {
			changed = append(changed, m)
			r.log.Add(check.Event{Kind: check.Changing, Client: m.Number, Rules: rules})
		}
	}
	n.reload()
	for _, m := range changed {
		r.log.Add(check.Event{Kind: check.Changed, Client: m.Number})
	}
}

// renew replaces the certificate of the server whose clients use TLS, and looks whether it is used.
func (r *round) renew() {
	n := r.c.nodes[secure]
	n.renew()
	n.reload()
	name, err := n.certificate()
	must(r.c.t, err)
	if want := fmt.Sprintf("renewed %d", n.renewed); name != want {
		r.c.t.Errorf("after a reload the certificate is %q, want %q", name, want)
	}
}

// cut closes the routes that others have opened to a server, and lets none come for a moment.
func (r *round) cut() {
	n := r.node()
	r.parted(n)
	n.proxy.change(func() { n.proxy.cut = true })
	for range 30 {
		r.operation()
	}
	n.proxy.change(func() { n.proxy.cut = false })
	r.parted(n)
}

func (r *round) parted(n *node) {
	for _, o := range r.c.nodes {
		if o != n {
			r.log.Add(check.Event{Kind: check.Parted, Server: n.number, Peer: o.number, Text: "cut"})
		}
	}
}

// stall holds back what the routes to a server carry: nothing is lost.
func (r *round) stall() {
	p := r.node().proxy
	p.change(func() { p.held = true })
	for range 30 {
		r.operation()
	}
	p.change(func() { p.held = false })
}

// churn has clients leave in several ways, and others come.
func (r *round) churn() {
	for range 2 {
		i := r.rand.IntN(len(r.members))
		m := r.members[i]
		r.members = slices.Delete(r.members, i, i+1)
		m.Leave(ends[r.rand.IntN(len(ends))])
		r.join(m.Server)
	}
}

// ends are ways to end a connection.
var ends = []func(net.Conn){
	func(nc net.Conn) { nc.Close() },
	func(nc net.Conn) { // half of it: the server closes the rest
		switch c := nc.(type) {
		case *net.TCPConn:
			c.CloseWrite()
		default:
			c.Close()
		}
	},
	func(nc net.Conn) { // a reset
		raw := nc
		if a, ok := nc.(*afterInfo); ok {
			raw = a.raw
		}
		raw.(*net.TCPConn).SetLinger(0)
		raw.Close()
	},
}

// misbehave has clients that are not judged send what is wrong, and read nothing. The log must say
// why they are disconnected.
func (r *round) misbehave() {
	n := r.node()
	login := `CONNECT {"verbose":false,"user":"all","pass":"p"}` + "\r\nPING\r\n"
	for _, text := range []string{"NONSENSE\r\n", login + "PUB a.x 99999999\r\n", `CONNECT {"user":"all","pass":"wrong"}` + "\r\n",
		login + "SUB " + strings.Repeat("x", 5000) + " 1\r\n"} {
		nc, err := n.dial()
		must(r.c.t, err)
		c := wire.New(nc)
		_, err = c.Line()
		must(r.c.t, err)
		must(r.c.t, c.Send(text))
		if err := c.Dropped(); err != nil {
			r.c.t.Errorf("a client that sends %.40q: %v", text, err)
		}
		n.awaitReason(nc.LocalAddr().String())
		nc.Close()
	}
	r.lag(n)
}

// lag has a client subscribe and read nothing, while much is published for it.
func (r *round) lag(n *node) {
	t := r.c.t
	open := func() *wire.Conn {
		nc, err := n.dial()
		must(t, err)
		c := wire.New(nc)
		_, err = c.Line()
		must(t, err)
		must(t, c.Send(`CONNECT {"verbose":false,"user":"all","pass":"p"}`+"\r\n"))
		return c
	}
	slow, pub := open(), open()
	defer slow.Close()
	defer pub.Close()
	must(t, slow.Send("SUB lag 1\r\nPING\r\n"))
	_, err := slow.UntilPong()
	must(t, err)
	addr := slow.LocalAddr().String()
	const size = 256 << 10
	message := fmt.Sprintf("PUB lag %d\r\n%s\r\nPING\r\n", size, strings.Repeat("m", size))
	for range 400 { // until the buffers of the system are full, and then max_pending is
		must(t, pub.Send(message))
		_, err := pub.UntilPong()
		must(t, err)
		if n.disconnected(addr) {
			break
		}
	}
	if why := n.awaitReason(addr); !strings.Contains(why, "Slow Consumer") {
		t.Errorf("a client that reads nothing was disconnected: %s", why)
	}
}

// disconnected reports whether the log says why a client was disconnected.
func (n *node) disconnected(addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.explained[addr] != ""
}

// settle waits until each server knows the interest of all clients, and records it: a subscription
// that each client makes now receives what the probe of each server publishes.
func (r *round) settle() {
	r.settled++
	wanted := map[string]bool{} // a subject, and the client that publishes on it
	sids := map[*member]string{}
	for _, m := range r.connected() {
		subject := fmt.Sprintf("settle.%d.%d", r.settled, m.Number)
		sids[m] = m.Subscribe(subject, "")
		m.Ping()
		for _, p := range r.probes {
			if p.Server != m.Server {
				wanted[arrival(subject, p.Number)] = true
			}
		}
	}
	r.await("the interest of all clients to be known", func() bool {
		return len(r.missing(wanted)) == 0 && !slices.ContainsFunc(r.connected(), func(m *member) bool { return !m.Answered() })
	}, func() {
		for _, key := range r.missing(wanted) {
			subject, from, _ := strings.Cut(key, " ")
			for _, p := range r.probes {
				if strconv.Itoa(p.Number) == from {
					p.Publish(subject, 0)
				}
			}
		}
	})
	all := make([]int, servers)
	for i := range all {
		all[i] = i
	}
	r.log.Add(check.Event{Kind: check.Settled, Servers: all})
	for m, sid := range sids {
		m.Unsubscribe(sid)
	}
}

// connected returns the clients that are, with the probes.
func (r *round) connected() (list []*member) {
	for _, m := range slices.Concat(r.members, r.probes) {
		if m.Alive() {
			list = append(list, m)
		}
	}
	return list
}

// arrival names a message by its subject and the client that published it.
func arrival(subject string, from int) string { return subject + " " + strconv.Itoa(from) }

// missing returns which of the wanted messages have not arrived.
func (r *round) missing(wanted map[string]bool) (list []string) {
	for _, e := range r.log.Events() {
		if e.Kind == check.Received && (strings.HasPrefix(e.Subject, "settle.") || strings.HasPrefix(e.Subject, "fence.")) {
			delete(wanted, arrival(e.Subject, e.Message.Client))
		}
	}
	for key := range wanted {
		list = append(list, key)
	}
	return list
}

// await does something again and again until ok: there is no event for interest that has reached
// another server.
func (r *round) await(what string, ok func() bool, do func()) {
	r.c.t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); !ok(); {
		do()
		select {
		case <-late:
			r.c.t.Fatalf("waited %v for %s", patience, what)
		case <-again.C:
		}
	}
}

// fence waits until what was published has arrived: each client publishes for each other one.
func (r *round) fence(number int) {
	wanted := map[string]bool{}
	clients := r.connected()
	for _, to := range clients {
		for _, from := range clients {
			subject := fmt.Sprintf("fence.%d.%d", to.Number, number)
			if !(from == to && to.Who().NoEcho) {
				wanted[arrival(subject, from.Number)] = true
			}
		}
	}
	for _, m := range clients {
		m.Ping()
	}
	byNumber := map[string]*member{}
	for _, m := range clients {
		byNumber[strconv.Itoa(m.Number)] = m
	}
	published := false
	r.await("all that was published", func() bool { return published && len(r.missing(wanted)) == 0 }, func() {
		if published {
			return // routes are complete, so nothing is lost
		}
		for key := range wanted {
			subject, from, _ := strings.Cut(key, " ")
			byNumber[from].Publish(subject, 0)
		}
		published = true
	})
}

// end waits for all messages, records why clients were disconnected, and has all leave.
func (r *round) end() {
	r.settle()
	for _, m := range r.members {
		m.Resume()
	}
	r.fence(1) // then every request has arrived, and has been answered
	r.fence(2) // then the answers have arrived
	for _, m := range r.all {
		n := r.c.nodes[m.Server]
		n.mu.Lock()
		why := n.explained[m.Addr()]
		n.mu.Unlock()
		if why != "" {
			r.log.Add(check.Event{Kind: check.Explained, Client: m.Number, Text: why})
		}
	}
	r.log.Add(check.Event{Kind: check.Quiet})
	for i, m := range r.all {
		m.Leave(ends[i%len(ends)])
	}
	for _, m := range r.all {
		m.Wait()
	}
	for _, n := range r.c.nodes {
		n.forget()
	}
}
