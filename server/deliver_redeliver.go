package server

import (
	"bytes"
	"slices"
	"strconv"

	"gnatsd/server/internal/access"
	"gnatsd/sublist"
)

// This file gives queue messages to another member of the group. Most came over a route: the one that
// the sender chose has ended, or its user may not receive the subject, or this server may not import
// it.
//
// Members of this server come first. If none takes a message it is sent on, to the next server in the
// order of their ids that has members, around the ring. The id that it is sent with says how many
// places of the ring are behind it, from the server that had it first:
//
//	QRSID+2:5:7
//
// So each server is asked once, and a message that no member may have does not circle for ever.
// Places count, not servers with members: those of a server that has had the message may have
// ended, and the number would then end its way before all others are asked. Servers of 1.x do not
// know such ids: they come last and are sent the plain id.
//
// What is sent on takes a longer way than what follows it, which may arrive first: order holds for
// the members of the first server only.
//
// The same way go messages beyond a limit that a member has got after it was chosen, or that it has
// reached since with those of other publishers.

// redelivery is how a message is given to another member of a group.
type redelivery struct {
	group   string // "" = that of a subscription that has ended
	servers int    // places of the ring that are behind the message
	notHere bool   // members of this server may not have it
	match   func(subject []byte) *sublist.Result[*subscription]
}

// cutServers returns how many places of the ring are behind a message, by the id that it came with,
// and the id without that number.
func cutServers(id []byte) (servers int, plain []byte) {
	rest, ok := bytes.CutPrefix(id, []byte(queueMark+"+"))
	if !ok {
		return 0, id
	}
	digits, _, ok := bytes.Cut(rest, []byte{':'})
	servers, err := strconv.Atoi(string(digits))
	if !ok || err != nil || servers < 0 {
		return 0, id // malformed
	}
	return servers, append([]byte(queueMark), rest[len(digits):]...)
}

// redeliver collects messages that the subscription with an id does not take.
func (b *batch) redeliver(id, subject []byte, p place, r redelivery) {
	if r.group == "" {
		name, known := b.srv.cluster.closed.group(id)
		if !known {
			return
		}
		r.group = name
	}
	c := b.from
	c.limitedf(levelDebug, "Attempting redelivery of message for absent queue subscriber on group '%q'", r.group)
	queues := r.match(subject).Queues()
	g := slices.IndexFunc(queues, func(g sublist.Group[*subscription]) bool { return g.Name == r.group })
	if g < 0 {
		c.limitedf(levelDebug, "Redelivery failed, no queue subscribers for message on group '%q'", r.group)
		return
	}
	for i := range p.n {
		one := place{at: p.at + i*b.lines[p.line].length, line: p.line, n: 1}
		if !r.notHere && b.toMember(&queues[g], subject, one, isLocal) {
			c.limitedf(levelDebug, "Redelivery succeeded on group '%q'", r.group)
			continue
		}
		c.limitedf(levelDebug, "Re-routing message on group '%q' to remote server", r.group)
		b.sendOn(&queues[g], subject, one, r.servers)
	}
}

// passBy gives queue messages that may not be imported to other servers of the group: the sender
// chose a member of this one.
func (b *batch) passBy(o *op) {
	subject := o.arg[0]
	servers, id := cutServers(o.arg[1])
	if !bytes.HasPrefix(id, []byte(queueID)) || bytes.HasPrefix(id, []byte(systemID)) || access.Reserved(subject) {
		return
	}
	d := redelivery{servers: servers, match: b.lookUp, notHere: true}
	if sub, _ := b.queueMember(id); sub != nil && sub.takes(subject) {
		d.group = sub.queue()
	}
	b.pin()
	b.redeliver(id, subject, b.add(subject, o.reply(), o), d)
}

// sendOn collects a message for a member of a queue group on the first server in the ring that has
// one which takes it. servers is how much of the ring is behind the message.
func (b *batch) sendOn(g *sublist.Group[*subscription], subject []byte, p place, servers int) {
	ring := b.ring()
	for i, r := range ring[:max(0, len(ring)-servers)] { // those behind them may have been asked
		if b.toMember(g, subject, p, func(c *conn) bool { return c == r.holder() }) {
			b.entries[len(b.entries)-1].passed(servers + i + 1)
			return
		}
	}
	b.toMember(g, subject, p, func(c *conn) bool { return c.role == roleRoute && !c.counts() })
}

// ring returns routes to the servers that count, in the order of the ring that begins behind this one.
// Servers without members have their places too: one that had members may have none when it is asked.
func (b *batch) ring() []*route {
	ring := slices.DeleteFunc(slices.Clone(b.srv.cluster.active()), func(r *route) bool { return !r.counts() })
	slices.SortFunc(ring, func(x, y *route) int {
		if comesNext(b.srv.id, x.remoteID(), y.remoteID()) {
			return -1
		}
		return 1
	})
	b.steps += len(ring)
	return ring
}

// comesNext reports whether id a comes before b in the ring that begins behind self.
func comesNext(self, a, b string) bool {
	if (a > self) != (b > self) {
		return a > self
	}
	return a < b
}

// counts reports whether the peer of a route knows ids that say how many servers have had a message.
func (c *conn) counts() bool {
	r, ok := c.ops.(*route)
	return ok && r.peerInfo().extended()
}

// passed makes the id that a message is sent with say how many places of the ring are behind it.
func (e *entry) passed(servers int) {
	rest, ok := bytes.CutPrefix([]byte(e.sub.sid()), []byte(queueMark))
	if !ok {
		return
	}
	if e.n&claimed == 0 {
		e.sub.claim(int64(e.n)) // if it has ended the other server gives the message to another one
		e.n |= claimed          // nothing is counted of the subscription that has the new id
	}
	id := append(strconv.AppendInt([]byte(queueMark+"+"), int64(servers), 10), rest...)
	e.sub = newSubscription(e.sub.conn, []byte(e.sub.subject()), []byte(e.sub.queue()), id)
}

// redeliverBeyond collects what members of queue groups do not take because they have reached their
// limits.
func (b *batch) redeliverBeyond(beyond []entry) {
	for _, d := range beyond {
		l := &b.lines[d.line]
		to := redelivery{group: d.sub.queue(), match: b.lookUp}
		if r, ok := b.from.ops.(*route); ok && d.sub.table() != b.from.table {
			to.match = r.matchSystem
		}
		b.redeliver([]byte(d.sub.sid()), b.bytesAt(l.subject, l.subjectLen), d.place, to)
	}
}
