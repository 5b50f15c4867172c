package server

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gnatsd/test/check"
	"gnatsd/test/wire"
)

// This file compares who receives a message, on two servers, with the obvious reading of the
// permissions: every rule against every subject, as text.

// fenceSubject is what clients publish and receive to know what has arrived. It has more tokens than
// the rules that deny.
const fenceSubject = "f.e.n.c.e"

// ruleList are the rules of one direction. An entry of subscriptions may name queue groups, after a
// blank.
type ruleList struct{ allow, deny []string }

// accepts reports whether the rules allow a subject or a pattern, in a queue group unless queue is
// "". An entry with queue groups is only about these.
func (l ruleList) accepts(subject, queue string) bool {
	for _, e := range l.deny {
		pattern, group, named := strings.Cut(e, " ")
		if check.Matches(pattern, subject) && (!named || queue != "" && check.Matches(group, queue)) {
			return false
		}
	}
	plain, own, other := len(l.allow) == 0, false, false
	for _, e := range l.allow {
		pattern, group, named := strings.Cut(e, " ")
		switch {
		case !check.Matches(pattern, subject):
		case !named:
			plain = true
		case queue == "":
		case check.Matches(group, queue):
			own = true
		default:
			other = true
		}
	}
	return (own || plain && !other) && !strings.HasPrefix(subject, "$SYS.")
}

// settings returns the rules as the settings have them. The fence is allowed, too.
func (l ruleList) settings() *SubjectPermission {
	p := &SubjectPermission{Allow: slices.Clone(l.allow), Deny: l.deny}
	if len(p.Allow) > 0 {
		p.Allow = append(p.Allow, fenceSubject)
	}
	return p
}

// ruledSub is a subscription of a ruled client that was accepted.
type ruledSub struct{ sid, pattern, queue string }

// ruled is a client under rules, on one of two servers. Its connection stays from one execution to
// the next, and each logs in again.
type ruled struct {
	conn               *wire.Conn
	number             int
	publish, subscribe ruleList
	subs               []ruledSub
	fences             int            // received since the last fence
	refusals           int            // operations that were refused, and have no -ERR yet
	got                map[string]int // "message sid": how often
}

// ruledPair is two servers and their clients.
type ruledPair struct {
	a, b    *Server
	clients []*ruled
	sids    int
	script  []byte
	sent    []ruledMessage
}

type ruledMessage struct {
	from    *ruled
	subject string
	allowed bool
}

// Check implements Authentication: the user name is the number of a client.
func (p *ruledPair) Check(c ClientAuthentication) bool {
	n, err := strconv.Atoi(c.GetOpts().Username)
	if err != nil {
		return false
	}
	r := p.clients[n]
	c.RegisterUser(&User{Username: c.GetOpts().Username, Permissions: &Permissions{Publish: r.publish.settings(), Subscribe: r.subscribe.settings()}})
	return true
}

func newRuledPair(t testing.TB) *ruledPair {
	t.Helper()
	n, p := newMemoryNet(), &ruledPair{}
	start := func(routes ...*url.URL) *Server {
		o := memoryOptions(n)
		o.Cluster.Host, o.Cluster.Port, o.Routes = "127.0.0.1", RandomPort, routes
		o.CustomClientAuthentication = p
		return startInMemory(t, o)
	}
	p.a = start()
	p.b = start(&url.URL{Scheme: "nats-route", Host: p.a.ClusterAddr().String()})
	eventually(t, "there is a route", func() bool { return p.a.NumRoutes() == 1 && p.b.NumRoutes() == 1 })
	for i := range 4 {
		nc, err := n.Dial([]*Server{p.a, p.b}[i%2].Addr().String(), 0)
		okay(t, err)
		c := &ruled{conn: wire.New(nc), number: i, got: map[string]int{}}
		_, err = c.conn.Line() // INFO
		okay(t, err)
		p.clients = append(p.clients, c)
	}
	for _, c := range p.clients { // when the numbers are known to Check
		c.logIn(t, "SUB "+fenceSubject+" f\r\n")
	}
	p.awaitInterest(t)
	return p
}

func (p *ruledPair) shutdown() {
	p.b.Shutdown()
	p.a.Shutdown()
}

// awaitInterest waits until each client receives what the others publish on the fence, for the first
// time: routes have told each other then.
func (p *ruledPair) awaitInterest(t testing.TB) {
	t.Helper()
	eventually(t, "the servers know all interest", func() bool {
		return int(p.a.NumSubscriptions()) == len(p.clients) && int(p.b.NumSubscriptions()) == len(p.clients)
	})
}

// next returns the next byte of the script, 0 at its end.
func (p *ruledPair) next() int {
	if len(p.script) == 0 {
		return 0
	}
	b := p.script[0]
	p.script = p.script[1:]
	return int(b)
}

// pattern returns one of those of up to three tokens. Those that deny begin with a plain token, or
// have as many tokens as they match: they do not deny the fence.
func (p *ruledPair) pattern(denies bool) string {
	b := p.next()
	first, second, third := []string{"a", "b", "*", "$SYS"}[b&3], []string{"a", "b", "*", ">"}[b>>2&3], []string{"a", "b", "*", ">"}[b>>4&3]
	switch n := b >> 6; {
	case n == 0 && b&15 == 15 && !denies:
		return ">"
	case n == 0:
		return first
	case n == 1 || second == ">":
		if denies && first == "*" && second == ">" {
			second = "a"
		}
		return first + "." + second
	case denies && first == "*" && third == ">":
		third = "a"
	}
	return first + "." + second + "." + third
}

// subject returns a subject of up to three tokens.
func (p *ruledPair) subject() string {
	b := p.next()
	first, second, third := []string{"a", "b", "c", "$SYS"}[b&3], []string{"a", "b"}[b>>2&1], []string{"a", "b", "c", "*"}[b>>3&3]
	switch b >> 6 {
	case 0:
		return first
	case 1:
		return first + "." + second
	}
	return first + "." + second + "." + third
}

// rules returns rules with a few entries, in which queue groups may be named.
func (p *ruledPair) rules(queues bool) (l ruleList) {
	for n := p.next(); n&3 != 0; n >>= 2 {
		entry := p.pattern(n&2 != 0)
		if q := p.next(); queues && q%3 == 0 {
			entry += " " + []string{"q", "q.*", "*", ">", "p"}[q/3%5]
		}
		if n&2 == 0 {
			l.allow = append(l.allow, entry)
		} else {
			l.deny = append(l.deny, entry)
		}
	}
	return l
}

// logIn logs in again, sends more, and waits for the PONG behind it.
func (c *ruled) logIn(t testing.TB, more string) {
	okay(t, c.conn.Send(fmt.Sprintf("CONNECT {\"verbose\":false,\"pedantic\":false,\"user\":\"%d\"}\r\n%sPING\r\n", c.number, more)))
	c.until(t, func(line string) bool { return line == "PONG\r\n" })
}

// until takes what arrives until a line for which end is true.
func (c *ruled) until(t testing.TB, end func(line string) bool) {
	for {
		c.conn.SetReadDeadline(time.Now().Add(executionTime()))
		m, line, err := c.conn.Arrival()
		switch {
		case err != nil:
			t.Fatalf("client %d: %v", c.number, err)
		case m != nil && m.Subject == fenceSubject:
			if m.Sid == "f" { // patterns such as *.> match it, too
				c.fences++
			}
		case m != nil:
			c.got[string(m.Payload)+" "+m.Sid]++
		case strings.HasPrefix(line, "-ERR 'Permissions Violation"):
			c.refusals--
		case line != "PONG\r\n":
			t.Fatalf("client %d received %q", c.number, line)
		}
		if end(line) {
			return
		}
	}
}

// fence waits until all that was published, and all interest, is known on both servers: each client
// publishes once more, and receives that of all.
func (p *ruledPair) fence(t testing.TB) {
	for _, c := range p.clients {
		okay(t, c.conn.Send("PUB "+fenceSubject+" 0\r\n\r\n"))
	}
	for _, c := range p.clients {
		if c.fences < len(p.clients) {
			c.until(t, func(string) bool { return c.fences == len(p.clients) })
		}
		c.fences = 0
	}
}

// subscribe changes the rules of all clients, and adds subscriptions. Those that a client has and may
// not have any more end.
func (p *ruledPair) subscribe(t testing.TB) {
	for _, c := range p.clients {
		c.publish, c.subscribe = p.rules(false), p.rules(true)
		c.subs = slices.DeleteFunc(c.subs, func(s ruledSub) bool {
			ends := !c.subscribe.accepts(s.pattern, s.queue)
			if ends {
				c.refusals++
			}
			return ends
		})
		var text strings.Builder
		for range p.next() & 3 {
			p.sids++
			s := ruledSub{strconv.Itoa(p.sids), p.pattern(false), []string{"", "", "q", "q.x", "p"}[p.next()%5]}
			fmt.Fprintf(&text, "SUB %s %s %s\r\n", s.pattern, s.queue, s.sid)
			if c.subscribe.accepts(s.pattern, s.queue) {
				c.subs = append(c.subs, s)
			} else {
				c.refusals++
			}
		}
		c.logIn(t, text.String())
	}
	p.fence(t)
}

// publishAll lets clients publish, in turn.
func (p *ruledPair) publishAll(t testing.TB) {
	var texts [4]strings.Builder
	for range 1 + p.next()&7 {
		c := p.clients[p.next()&3]
		m := ruledMessage{from: c, subject: p.subject()}
		m.allowed = c.publish.accepts(m.subject, "")
		if !m.allowed {
			c.refusals++
		}
		number := strconv.Itoa(len(p.sent))
		fmt.Fprintf(&texts[c.number], "PUB %s %d\r\n%s\r\n", m.subject, len(number), number)
		p.sent = append(p.sent, m)
	}
	for i, c := range p.clients {
		okay(t, c.conn.Send(texts[i].String()+"PING\r\n"))
		c.until(t, func(line string) bool { return line == "PONG\r\n" })
	}
	p.fence(t)
}

// wrong compares what was received with what the rules say. It returns "" if they agree.
func (p *ruledPair) wrong() string {
	all := 0
	for i, m := range p.sent {
		may, did := map[string]int{}, map[string]int{} // by queue group: members
		for _, c := range p.clients {
			for _, s := range c.subs {
				receives := m.allowed && check.Matches(s.pattern, m.subject) && c.subscribe.accepts(m.subject, s.queue)
				n := c.got[strconv.Itoa(i)+" "+s.sid]
				all += n
				switch {
				case n > 0 && !receives, n > 1, s.queue == "" && receives && n == 0:
					return fmt.Sprintf("message %d on %s: client %d, SUB %s %s %s received it %d times, may=%v", i, m.subject, c.number, s.pattern, s.queue, s.sid, n, receives)
				case s.queue != "" && receives:
					may[s.queue]++
					did[s.queue] += n
				}
			}
		}
		for queue, n := range may {
			if did[queue] != 1 {
				return fmt.Sprintf("message %d on %s: %d of the %d members of %s that may have it received it", i, m.subject, did[queue], n, queue)
			}
		}
	}
	for _, c := range p.clients {
		for _, n := range c.got {
			all -= n
		}
		if c.refusals != 0 {
			return fmt.Sprintf("client %d: %d operations more were to be refused than were", c.number, c.refusals)
		}
	}
	if all != 0 {
		return fmt.Sprintf("%d messages for subscriptions that there are not", -all)
	}
	return ""
}

// run is one execution: rules, subscriptions, messages; and once more with other rules, which end
// some of the subscriptions.
func (p *ruledPair) run(t testing.TB, script []byte) {
	t.Helper()
	p.script = script
	for round := range 2 {
		p.sent = p.sent[:0]
		for _, c := range p.clients {
			clear(c.got)
		}
		p.subscribe(t)
		p.publishAll(t)
		why := p.wrong()
		for range 20 { // a queue message may be on its way to another member
			if why == "" {
				break
			}
			p.fence(t)
			why = p.wrong()
		}
		if why != "" {
			t.Errorf("round %d: %s", round, why)
			for _, c := range p.clients {
				t.Logf("client %d: publish %q, subscribe %q, subscriptions %q, received %v", c.number, c.publish, c.subscribe, c.subs, c.got)
			}
			return
		}
		if len(p.script) == 0 {
			break
		}
	}
	for _, c := range p.clients {
		var text strings.Builder
		for _, s := range c.subs {
			text.WriteString("UNSUB " + s.sid + "\r\n")
		}
		c.subs = c.subs[:0]
		okay(t, c.conn.Send(text.String()))
	}
}

// FuzzPermissionsOverARoute gives clients on two servers the rules of its input, lets them subscribe
// and publish, and decides for each message and subscription, one by one, who must receive it.
func FuzzPermissionsOverARoute(f *testing.F) {
	oneThread()
	for seed := range byte(24) {
		script := make([]byte, 60)
		x := uint32(seed) + 1
		for i := range script {
			x = x*1664525 + 1013904223
			script[i] = byte(x >> 24)
		}
		f.Add(script)
	}
	f.Add([]byte{0, 0, 2, 0xff, 0, 0xff, 2})
	var p *ruledPair
	f.Cleanup(func() {
		if p != nil {
			p.shutdown()
		}
	})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 100 {
			return
		}
		if p == nil {
			p = newRuledPair(t)
		}
		defer func() {
			if t.Failed() {
				p.shutdown()
				p = nil
			}
		}()
		p.run(t, script)
	})
}
