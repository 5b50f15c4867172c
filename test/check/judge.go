package check

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Oracle is a promise that a [Fault] breaks.
type Oracle string

// The promises.
const (
	Order      Oracle = "order"      // what a client publishes arrives in its order, at each subscription
	Once       Oracle = "once"       // nothing arrives twice, and one member of a queue group gets a message
	Nothing    Oracle = "nothing"    // what arrives has been published so, and is for the subscription
	Permission Oracle = "permission" // what is forbidden does not arrive
	Ended      Oracle = "ended"      // after the PONG nothing arrives for a subscription that has ended
	Limit      Oracle = "limit"      // no more arrives than the maximum of UNSUB
	Lost       Oracle = "lost"       // what had to arrive did, or a logged event explains why it did not
	Cause      Oracle = "cause"      // the log says why a connection was ended
)

// Fault is a broken promise.
type Fault struct {
	Oracle Oracle
	Text   string
	At     int // index of the event where it is noticed
}

// String returns the fault as a line of a report.
func (f Fault) String() string { return fmt.Sprintf("%s: %s (event %d)", f.Oracle, f.Text, f.At) }

// Report is what [Judge] found.
type Report struct {
	Faults []Fault // in the order of the events
	Due    int     // messages that had to arrive at a subscription, or at a queue group
	Lost   int     // messages that did not, and the log says why
}

// never is the index of an event that did not happen.
const never = math.MaxInt

// client is what the events say about a client.
type client struct {
	number, server int
	account        string
	noEcho         bool
	rules          []span
	pings, pongs   []int // the n-th of pongs answers the n-th of pings
	ended          int   // left or dropped
	dropped        bool
	explained      bool
	subs           map[string]*subscription
}

// span is a time during which rules may have been in force. While they are changed, both may be.
type span struct {
	from, to int
	rules    *Rules
}

// acked returns when the broker is known to have acted on what the client sent at an index.
func (c *client) acked(at int) int {
	i, _ := slices.BinarySearch(c.pings, at)
	if i >= len(c.pongs) {
		return never
	}
	return c.pongs[i]
}

// mayBeGone reports whether the broker may have ended the connection before an index. A client notices
// late that it was disconnected, or never: it may leave before it reads so much. What its last PONG
// answered came before.
func (c *client) mayBeGone(at int) bool {
	known := len(c.pongs)
	return c.ended < at || (c.dropped || c.explained) && (known == 0 || c.pings[known-1] < at)
}

// always reports whether ok holds for all rules that may have been in force between two events.
func (c *client) always(from, to int, ok func(*Rules) bool) bool {
	return !slices.ContainsFunc(c.rules, func(s span) bool { return s.from <= to && s.to >= from && s.rules != nil && !ok(s.rules) })
}

// ever reports whether ok holds for some of them.
func (c *client) ever(from, to int, ok func(*Rules) bool) bool {
	return slices.ContainsFunc(c.rules, func(s span) bool { return s.from <= to && s.to >= from && (s.rules == nil || ok(s.rules)) })
}

type subscription struct {
	client              *client
	sid, pattern, queue string
	at                  int
	ended               int // UNSUB was sent
	max                 int // 0 = none
	limitedAt           int
	got                 []arrival
	last                map[int]int // number of the last message, by publisher
	seen                map[ID]bool
}

type arrival struct {
	at int
	p  *publication
}

func (s *subscription) String() string {
	return fmt.Sprintf("client %d, SUB %s %s %s", s.client.number, s.pattern, s.queue, s.sid)
}

type publication struct {
	id             ID
	client         *client
	at             int
	subject, reply string
	answers        ID
	quiet          int // the first Quiet after it is known to be published
	acked          int
	groups         map[string]int // members that got it, by queue group
}

func (p *publication) String() string {
	return fmt.Sprintf("message %d/%d on %s", p.id.Client, p.id.N, p.subject)
}

// change is an event that concerns servers: Settled, Parted, Stopped.
type change struct {
	at int
	Event
}

// judge is the state of [Judge].
type judge struct {
	report  Report
	clients map[int]*client
	subs    []*subscription
	all     []*publication
	byID    map[ID]*publication
	servers []change
	quiet   []int
}

// Judge says which promises the events break. What is not known to be published, because its
// client has ended or has not had a PONG since, may arrive and need not.
func Judge(events []Event) Report {
	j := &judge{clients: map[int]*client{}, byID: map[ID]*publication{}}
	for at, e := range events {
		j.note(at, e)
	}
	for _, p := range j.all {
		p.acked = p.client.acked(p.at)
		p.quiet = j.quietAfter(p.acked)
	}
	for at, e := range events {
		if e.Kind == Received {
			j.receive(at, e)
		}
	}
	for _, s := range j.subs {
		j.plain(s)
	}
	j.queues()
	for _, c := range j.clients {
		if c.dropped && !c.explained && !j.stoppedBefore(c.server, j.quietAfter(c.ended)) {
			j.fault(c.ended, Cause, "client %d was disconnected, and no line of the log says why", c.number)
		}
	}
	slices.SortFunc(j.report.Faults, func(a, b Fault) int { return a.At - b.At })
	return j.report
}

func (j *judge) fault(at int, o Oracle, format string, v ...any) {
	j.report.Faults = append(j.report.Faults, Fault{o, fmt.Sprintf(format, v...), at})
}

// note collects what an event says.
func (j *judge) note(at int, e Event) {
	c := j.clients[e.Client]
	switch e.Kind {
	case Joined:
		c = &client{number: e.Client, server: e.Server, account: e.Account, noEcho: e.NoEcho, ended: never, subs: map[string]*subscription{}}
		c.rules = []span{{at, never, e.Rules}}
		j.clients[e.Client] = c
	case Subscribed:
		s := &subscription{client: c, sid: e.Sid, pattern: e.Pattern, queue: e.Queue, at: at, ended: never, limitedAt: never}
		s.last, s.seen = map[int]int{}, map[ID]bool{}
		c.subs[e.Sid] = s
		j.subs = append(j.subs, s)
	case Limited:
		c.subs[e.Sid].max, c.subs[e.Sid].limitedAt = e.Max, at
	case Unsubscribed:
		c.subs[e.Sid].ended = at
	case Pinged:
		c.pings = append(c.pings, at)
	case Ponged:
		c.pongs = append(c.pongs, at)
	case Published:
		p := &publication{id: ID{e.Client, e.N}, client: c, at: at, subject: e.Subject, reply: e.Reply, answers: e.Answers, groups: map[string]int{}}
		j.all = append(j.all, p)
		j.byID[p.id] = p
	case Garbled:
		j.fault(at, Nothing, "client %d received %s", e.Client, e.Text)
	case Left:
		c.ended = at
	case Dropped:
		c.ended, c.dropped = at, true
	case Explained:
		if c != nil {
			c.explained = true
		}
	case Changing:
		c.rules = append(c.rules, span{at, never, e.Rules})
	case Changed:
		for i := range c.rules[:len(c.rules)-1] {
			c.rules[i].to = min(c.rules[i].to, at)
		}
	case Settled, Parted, Stopped:
		j.servers = append(j.servers, change{at, e})
	case Quiet:
		j.quiet = append(j.quiet, at)
	}
}

func (j *judge) quietAfter(at int) int {
	i, _ := slices.BinarySearch(j.quiet, at)
	if i == len(j.quiet) {
		return never
	}
	return j.quiet[i]
}

// receive checks one message that has arrived.
func (j *judge) receive(at int, e Event) {
	c, p := j.clients[e.Client], j.byID[e.Message]
	s := c.subs[e.Sid]
	switch {
	case s == nil || s.at > at:
		j.fault(at, Nothing, "client %d received a message for sid %s, which it has not subscribed", e.Client, e.Sid)
		return
	case p == nil || p.at > at:
		j.fault(at, Nothing, "%v received message %d/%d, which is not published", s, e.Message.Client, e.Message.N)
		return
	case p.subject != e.Subject || p.reply != e.Reply:
		j.fault(at, Nothing, "%v received %v as one on %s, reply %q instead of %q", s, p, e.Subject, e.Reply, p.reply)
	case !Matches(s.pattern, p.subject) || c.account != p.client.account:
		j.fault(at, Nothing, "%v received %v", s, p)
	case c.noEcho && p.client == c && !(s.queue != "" && j.mayRedeliver(s, at)): // another server that gives it back does not know who published it
		j.fault(at, Nothing, "%v, which wants no echo, received its own %v", s, p)
	}
	j.permitted(at, s, p)
	if s.ended < at && c.acked(s.ended) < at {
		j.fault(at, Ended, "%v received %v after the PONG that followed its UNSUB", s, p)
	}
	j.order(at, s, p)
	s.got = append(s.got, arrival{at, p})
	before, _ := slices.BinarySearchFunc(s.got, c.acked(s.limitedAt), func(a arrival, acked int) int { return a.at - acked })
	if s.max > 0 && len(s.got) > max(s.max, before) {
		j.fault(at, Limit, "%v received %d messages, its maximum is %d", s, len(s.got), s.max)
	}
	if s.queue != "" {
		key := c.account + " " + s.queue
		if p.groups[key]++; p.groups[key] > 1 {
			j.fault(at, Once, "%v was received by %d members of queue group %s, the last is %v", p, p.groups[key], s.queue, s)
		}
	}
}

// permitted checks that rules allow a message: those that were in force at some moment since it was
// published.
func (j *judge) permitted(at int, s *subscription, p *publication) {
	if !s.client.ever(p.at, at, func(r *Rules) bool { return r.Subscribe.permits(p.subject) }) {
		j.fault(at, Permission, "%v received %v, which it may not receive", s, p)
	}
	if !p.client.ever(p.at, min(at, p.acked), func(r *Rules) bool {
		return r.Publish.permits(p.subject) || r.Responses && p.answers != ID{}
	}) {
		j.fault(at, Permission, "%v received %v, which client %d may not publish", s, p, p.id.Client)
	}
}

func (j *judge) order(at int, s *subscription, p *publication) {
	switch last := s.last[p.id.Client]; {
	case s.seen[p.id]:
		j.fault(at, Once, "%v received %v again", s, p)
	case p.id.N < last && !(s.queue != "" && j.mayRedeliver(s, at)):
		j.fault(at, Order, "%v received %v after message %d/%d", s, p, p.id.Client, last)
	}
	s.seen[p.id] = true
	s.last[p.id.Client] = max(s.last[p.id.Client], p.id.N)
}

// mayRedeliver reports whether messages may have been given to a member of a queue group after
// another one did not take them: they are out of order then.
func (j *judge) mayRedeliver(s *subscription, at int) bool {
	return slices.ContainsFunc(j.servers, func(c change) bool { return c.Kind != Settled && c.at < at }) ||
		slices.ContainsFunc(j.subs, func(o *subscription) bool {
			return o.queue == s.queue && o.at < at && (o.ended < at || o.limitedAt < at || o.client.mayBeGone(at) || o.client.rules[0].rules != nil || len(o.client.rules) > 1)
		})
}

// wanted reports whether a subscription is for a publication, as far as that depends on neither
// time nor servers.
func (s *subscription) wanted(p *publication) bool {
	return s.at != never && s.client.account == p.client.account && Matches(s.pattern, p.subject) && !(s.client.noEcho && s.client == p.client)
}

// must reports whether a publication had to arrive, if the subscription were alone: both clients
// and all rules have allowed it all the time, and its interest was known.
func (j *judge) must(s *subscription, p *publication) bool {
	if p.quiet == never || !s.wanted(p) || s.client.ended < p.quiet || !j.subscribedUntilTaken(s, p) {
		return false
	}
	mayPublish := func(r *Rules) bool { return r.Publish.permits(p.subject) }
	maySubscribe := func(r *Rules) bool { return r.Subscribe.permits(p.subject) && r.Subscribe.grants(s.pattern) }
	if !p.client.always(p.at, p.acked, mayPublish) && !j.mayAnswer(p) || !s.client.always(s.at, p.quiet, maySubscribe) {
		return false
	}
	return j.known(s, p)
}

// mayAnswer reports whether a publication answers a request by a rule for responses.
func (j *judge) mayAnswer(p *publication) bool {
	return p.answers != ID{} && p.client.always(p.at, p.acked, func(r *Rules) bool { return r.Responses || r.Publish.permits(p.subject) })
}

// subscribedUntilTaken reports whether a subscription has not ended before a publication was
// handed on.
func (j *judge) subscribedUntilTaken(s *subscription, p *publication) bool {
	if s.client.server == p.client.server {
		return s.ended > p.acked
	}
	return s.ended > p.quiet
}

// known reports whether the server of the publisher knew the subscription, and its route to the
// server of the subscription was there.
func (j *judge) known(s *subscription, p *publication) bool {
	from, to := p.client.server, s.client.server
	since := s.client.acked(s.at)
	if from == to {
		return since < p.at || j.asked(s, p, from, to)
	}
	return j.settledSince(since, p.at, from, to) || j.asked(s, p, from, to)
}

// asked reports whether a publication answers a request that the client sent after it had
// subscribed: interest travels in front of requests, on the same route. A member of a queue group may
// have been given the request by a third server.
func (j *judge) asked(s *subscription, p *publication, from, to int) bool {
	q := j.byID[p.answers]
	if q == nil || q.client != s.client || s.at > q.at {
		return false
	}
	return from == to || p.client.receivedPlain(q, p.at) && j.settledSince(0, q.at, from, to) && !j.parted(q.at, p.at, from, to)
}

// receivedPlain reports whether a client received a publication before an event, other than as a
// member of a queue group.
func (c *client) receivedPlain(p *publication, before int) bool {
	for _, s := range c.subs {
		if s.queue == "" && slices.ContainsFunc(s.got, func(a arrival) bool { return a.p == p && a.at < before }) {
			return true
		}
	}
	return false
}

// settledSince reports whether two servers have been complete at some moment after since, and their
// route has not ended from then to at.
func (j *judge) settledSince(since, at, a, b int) bool {
	for _, c := range slices.Backward(j.servers) {
		switch {
		case c.at > at:
		case c.at < since:
			return false
		case c.parts(a, b):
			return false
		case c.Kind == Settled && slices.Contains(c.Servers, a) && slices.Contains(c.Servers, b):
			return true
		}
	}
	return false
}

// parts reports whether a change ends the route between two servers.
func (c change) parts(a, b int) bool {
	return c.Kind == Parted && (c.Server == a && c.Peer == b || c.Server == b && c.Peer == a) ||
		c.Kind == Stopped && (c.Server == a || c.Server == b)
}

// parted reports whether the route between two servers has ended between two events. Between a
// server and itself there is the end of the server.
func (j *judge) parted(from, to, a, b int) bool {
	return slices.ContainsFunc(j.servers, func(c change) bool { return from < c.at && c.at < to && c.parts(a, b) })
}

// stoppedBefore reports whether a server was stopped before an event.
func (j *judge) stoppedBefore(server, at int) bool { return j.parted(-1, at, server, server) }

// plain checks that a subscription without a queue group has received what it had to.
func (j *judge) plain(s *subscription) {
	if s.queue != "" {
		return
	}
	var missing []*publication
	due := 0
	for _, p := range j.all {
		if !j.must(s, p) {
			continue
		}
		if j.parted(p.at, p.quiet, p.client.server, s.client.server) {
			j.excuse(s.seen[p.id])
			continue
		}
		if due++; !s.seen[p.id] {
			missing = append(missing, p)
		}
	}
	j.report.Due += due
	if len(missing) > 0 && (s.max == 0 || len(s.got) < min(s.max, due)) {
		j.fault(missing[0].at, Lost, "%v has not received %s", s, those(missing))
	}
}

// excuse counts what did not have to arrive, because the log says why.
func (j *judge) excuse(arrived bool) {
	if !arrived {
		j.report.Lost++
	}
}

// those names publications.
func those(all []*publication) string {
	names := make([]string, 0, 3)
	for _, p := range all[:min(len(all), cap(names))] {
		names = append(names, p.String())
	}
	if len(all) > cap(names) {
		names = append(names, fmt.Sprintf("%d more", len(all)-cap(names)))
	}
	return strings.Join(names, ", ")
}

// queues checks that each queue group which had a member for a publication all the time has
// received it.
func (j *judge) queues() {
	groups := map[string][]*subscription{}
	for _, s := range j.subs {
		if s.queue != "" {
			key := s.client.account + " " + s.queue
			groups[key] = append(groups[key], s)
		}
	}
	for key, members := range groups {
		for _, p := range j.all {
			i := slices.IndexFunc(members, func(s *subscription) bool { return s.max == 0 && s.ended > p.quiet && j.must(s, p) })
			if i < 0 {
				continue
			}
			if j.excused(members, p) {
				j.excuse(p.groups[key] > 0)
				continue
			}
			if j.report.Due++; p.groups[key] == 0 {
				j.fault(p.at, Lost, "no member of queue group %s has received %v; one that could: %v", members[i].queue, p, members[i])
			}
		}
	}
}

// excused reports whether a publication may have been lost with a member of a queue group that has
// ended, or because a route was missing between two servers that have or had members: what a member
// does not take goes from its server to another one.
func (j *judge) excused(members []*subscription, p *publication) bool {
	servers := []int{p.client.server}
	for _, s := range members {
		if !s.wanted(p) || s.at > p.quiet {
			continue
		}
		if p.at < s.client.ended && s.client.ended < p.quiet {
			return true
		}
		if !slices.Contains(servers, s.client.server) {
			servers = append(servers, s.client.server)
		}
	}
	for i, a := range servers {
		for _, b := range servers[:i] {
			if !j.settledSince(0, p.at, a, b) || j.parted(p.at, p.quiet, a, b) {
				return true
			}
		}
		if j.parted(p.at, p.quiet, a, a) {
			return true
		}
	}
	return false
}
