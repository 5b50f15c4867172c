package server

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"gnatsd/server/internal/access"
	"gnatsd/sublist"
)

// This file chooses who receives published messages: every plain subscription, and of each queue
// group one member.

// queuesOf returns the queue groups that messages may go to.
func (b *batch) queuesOf(res *sublist.Result[*subscription]) []sublist.Group[*subscription] {
	if b.from.role == roleRoute {
		return nil
	}
	return res.Queues()
}

// publishAll collects messages for everyone they match, at a time as many as the batch has room for. The
// client is answered if one has no receiver. Messages from a route are for plain subscriptions only. The
// batch is pinned since before the match.
func (b *batch) publishAll(res *sublist.Result[*subscription], subject []byte, p place) {
	for {
		now := b.part(p, res)
		n, taken := now.n, b.toPlain(res, subject, now) // of n messages, the first ones had a receiver
		if queues := b.queuesOf(res); len(queues) > 0 {
			taken = max(taken, b.toQueues(queues, subject, now))
		}
		if c, ok := b.from.ops.(*client); ok && taken < n {
			l := &b.lines[p.line]
			c.unheard(subject, b.tail(l)[:l.replyLen], int(n-taken), int(l.size), b, &p)
		}
		if p = b.lines[p.line].behind(p, n); p.n == 0 {
			return
		}
		b.flushIfDue(&p)
		b.pin()
		res = b.lookUp(subject)
	}
}

// toPlain collects messages for the plain subscriptions of clients. It returns how many of them,
// the first ones, had a receiver.
func (b *batch) toPlain(res *sublist.Result[*subscription], subject []byte, p place) (taken uint32) {
	for _, set := range res.Plain {
		if len(set.Values) == 1 {
			taken = max(taken, b.offer(set.Values[0], subject, p))
		} else {
			taken = max(taken, b.toFanout(b.fanoutFor(set), subject, p))
		}
	}
	b.steps += len(res.Plain) // some may take nothing, and are looked at all the same
	return taken
}

// copies bounds how often one client gets a message, as if all sets of one subscription and all queue
// groups were its own.
func (b *batch) copies(res *sublist.Result[*subscription]) (n int) {
	for _, set := range res.Plain {
		if len(set.Values) == 1 {
			n++
		} else {
			n += b.fanoutFor(set).copies
		}
	}
	for _, g := range b.queuesOf(res) {
		if !isRouteGroup(g.Name) {
			n++
		}
	}
	return max(1, n)
}

// toFanout collects messages for a fanout subscriptions. It returns how many of them, the first
// ones, had a receiver.
func (b *batch) toFanout(g *fanout, subject []byte, p place) (taken uint32) {
	if len(g.whole) > 0 {
		g.places = append(g.places, p)
		g.msgs += int64(p.n)
		g.headers = g.headers || b.lines[p.line].header > 0
		each := b.lines[p.line].bytes()
		b.collected += int(p.n) * each * min(g.copies, b.limit/each+1)
		taken = p.n
	}
	for _, sub := range g.each {
		taken = max(taken, b.offer(sub, subject, p))
	}
	b.steps += len(g.each)
	return taken
}

// fanoutFor returns the fanout of a set of several subscriptions. When it is added it is decided who needs a
// look at every message.
func (b *batch) fanoutFor(set *sublist.Set[*subscription]) *fanout {
	if i, known := b.fanoutOf[set]; known {
		return &b.fanouts[i]
	}
	i := len(b.fanouts)
	b.fanouts = slices.Grow(b.fanouts, 1)[:i+1] // with the memory of one before
	b.fanoutOf[set] = uint32(i)
	b.steps += len(set.Values)
	g := &b.fanouts[i]
	g.whole, g.copies = set.Values, b.mostOfOne(set.Values)
	if slices.ContainsFunc(set.Values, func(sub *subscription) bool { return !b.takesAll(sub) }) {
		g.split(b, set.Values)
	}
	return g
}

// mostOfOne returns how many subscriptions the connection has that has most. They get messages.
func (b *batch) mostOfOne(subs []*subscription) (most int) {
	for _, sub := range subs {
		slot := int(sub.conn.slot)
		if slot >= len(b.perSlot) {
			b.perSlot = append(b.perSlot, make([]uint32, slot+1-len(b.perSlot))...)
		}
		b.perSlot[slot]++
		most = max(most, int(b.perSlot[slot]))
		if sub.conn == b.from {
			b.toSelf, b.newest = true, nil
		}
	}
	for _, sub := range subs {
		b.perSlot[sub.conn.slot] = 0
	}
	return most
}

// split sorts the subscriptions of a fanout, of which not all get all messages.
func (g *fanout) split(b *batch, all []*subscription) {
	for _, sub := range all {
		switch {
		case b.takesAll(sub):
			g.mixed = append(g.mixed, sub)
		case !b.isEcho(sub):
			g.each = append(g.each, sub)
		}
	}
	g.whole = g.mixed
}

// takesAll reports whether a subscription gets every message of its fanout, whatever it is.
func (b *batch) takesAll(sub *subscription) bool {
	return sub.limit.Load() == 0 && sub.filter.Load() == nil && !b.isEcho(sub) && !b.tracing
}

// isEcho reports whether a subscription is of the publisher, which wants nothing back.
func (b *batch) isEcho(sub *subscription) bool { return sub.conn == b.from && b.from.noEcho }

// offer collects messages for one subscription, as many of them as it takes, the first ones. It
// returns how many.
func (b *batch) offer(sub *subscription, subject []byte, p place) (n uint32) {
	if b.isEcho(sub) {
		return 0
	}
	f := sub.filter.Load()
	if f != nil && b.filtered.blocks(f, subject) {
		return 0
	}
	n = p.n
	switch limit := sub.limit.Load(); {
	case limit&endedBit != 0:
		return 0
	case limit > 0:
		if n = uint32(sub.claim(int64(n))); n == 0 {
			return 0
		}
		p.n = n | claimed
	}
	if f != nil && f.Response() != nil {
		b.noteReply(sub, p.line, f.Response())
	}
	if b.tracing {
		b.traceOut(sub, p.line, n)
	}
	b.deliver(sub, p)
	return n
}

// filterAnswer is the last answer of a filter: all subscriptions of a user ask the same about a
// message. The zero value is ready.
type filterAnswer struct {
	filter  *access.Filter
	subject []byte
	blocked bool
}

// blocks is f.Blocks(subject).
func (a *filterAnswer) blocks(f *access.Filter, subject []byte) bool {
	if a.filter != f || string(a.subject) != string(subject) {
		a.filter, a.subject = f, append(a.subject[:0], subject...)
		a.blocked = f.Blocks(subject)
	}
	return a.blocked
}

// noteReply allows the client of a subscription to answer messages of a line.
func (b *batch) noteReply(sub *subscription, number uint32, allowed *access.Response) {
	l := &b.lines[number]
	if c, ok := sub.conn.ops.(*client); ok && l.replyLen > 0 {
		c.noteReply(b.tail(l)[:l.replyLen], b.from, allowed)
	}
}

// toQueues collects messages for one member of each queue group, and one copy for each route. It
// returns for how many of them, the first ones, there was any.
func (b *batch) toQueues(queues []sublist.Group[*subscription], subject []byte, p place) (taken uint32) {
	length, queueGroups := b.lines[p.line].length, 0
	for i := range queues {
		if isRouteGroup(queues[i].Name) {
			taken = max(taken, b.toRoute(&queues[i], subject, p))
		} else {
			queueGroups++
		}
	}
	if queueGroups == 0 {
		return taken
	}
	for i := range p.n {
		one := place{at: p.at + i*length, line: p.line, n: 1}
		for q := range queues {
			if !isRouteGroup(queues[q].Name) && b.toMember(&queues[q], subject, one, nil) {
				taken = max(taken, i+1)
			}
		}
	}
	return taken
}

// The plain subscriptions of a route are kept as a queue group, since one copy of a message is
// enough for all of them. No queue of a client has such a name.
const routeGroupPrefix = "\x00"

func isRouteGroup(name string) bool { return name[0] == routeGroupPrefix[0] }

// toRoute collects one copy of each message for a route. It returns of how many of them, the first
// ones.
func (b *batch) toRoute(g *sublist.Group[*subscription], subject []byte, p place) (taken uint32) {
	if b.from.role == roleRoute {
		return 0
	}
	for sub := range g.From(0) {
		n := b.offer(sub, subject, p)
		if p = b.lines[p.line].behind(p, n); p.n == 0 {
			return taken + n
		}
		taken += n
	}
	b.steps += g.Len()
	return taken
}

// randomTries is how many members of a large queue group are drawn at random before all are looked at; more
// than one draw is needed only when members refuse. Of a group that is no larger one is drawn.
const randomTries = 64

func isLocal(c *conn) bool { return c.role == roleClient }

// toMember collects a message for one member of a queue group, each with the same chance, or one of
// those whose connections may have it, unless may is nil. A member that cannot take it (it has
// reached its limit, or is the publisher that wants no echo) is passed over, and so is one that would
// drop it, where another does not. Where those that are drawn refuse, it is one of all that would take the
// message. It reports whether any could.
func (b *batch) toMember(g *sublist.Group[*subscription], subject []byte, p place, may func(*conn) bool) bool {
	if may == nil && b.preferLocal && b.toMember(g, subject, p, isLocal) {
		return true
	}
	n, tries := g.Len(), 1
	if n > randomTries {
		tries = randomTries
	}
	for range tries {
		if sub := g.At(b.rand.IntN(n)); (may == nil || may(sub.conn)) && !sub.conn.sheds() && b.offer(sub, subject, p) > 0 {
			return true
		}
	}
	b.steps += n + tries
	var all, sheds drawn
	i := 0
	for sub := range g.From(0) {
		if (may == nil || may(sub.conn)) && b.wouldTake(sub, subject) {
			if sub.conn.sheds() {
				sheds.add(i, b.rand)
			} else {
				all.add(i, b.rand)
			}
		}
		i++
	}
	if all.seen == 0 {
		all = sheds
	}
	if all.seen == 0 {
		return false
	}
	for sub := range g.From(all.at) { // the first one takes it, unless that has changed since
		if (may == nil || may(sub.conn)) && b.offer(sub, subject, p) > 0 {
			return true
		}
	}
	return false
}

// drawn is the position of one of the members that were seen, each with the same chance.
type drawn struct{ at, seen int }

func (d *drawn) add(i int, random *rand.Rand) {
	if d.seen++; random.IntN(d.seen) == 0 {
		d.at = i
	}
}

// wouldTake reports whether offer would collect a message now.
func (b *batch) wouldTake(sub *subscription, subject []byte) bool {
	limit, f := sub.limit.Load(), sub.filter.Load()
	return !b.isEcho(sub) && limit&endedBit == 0 && (limit == 0 || sub.delivered.Load() < limit) &&
		(f == nil || !b.filtered.blocks(f, subject))
}

// statusNoResponders opens the headers of the answer to a request that has no receiver. Clients
// look for the status 503 of a message without payload. The name of the subject is what nats-server
// adds since 2.12: it helps those who have many requests under way, and older clients skip it like
// any header they do not know.
const statusNoResponders = "NATS/1.0 503\r\nNats-Subject: "

// headerEnd ends a block of headers.
const headerEnd = "\r\n\r\n"

// noResponders answers a request that has no receiver on its reply subject.
func (b *batch) noResponders(subject, reply []byte) {
	size := len(statusNoResponders) + len(subject) + len(headerEnd)
	b.answer(reply, size, []byte(statusNoResponders), subject, []byte(headerEnd))
}

// takesOne claims one message of a subscription. It reports false if the subscription does not take
// it.
func (s *subscription) takesOne(subject []byte) bool {
	f := s.filter.Load()
	return (f == nil || !f.Blocks(subject)) && !s.ended() && s.claim(1) > 0
}

// answer sends the reader's own client a message on its reply subject, whose payload begins with so
// many bytes of headers. It goes to the plain subscriptions of the client only, whatever they say
// about echo.
func (b *batch) answer(reply []byte, header int, payload ...[]byte) {
	b.pin()
	size := 0
	for _, part := range payload {
		size += len(part)
	}
	for sub := range b.lookUp(reply).All {
		if sub.conn != b.from || !sub.takesOne(reply) {
			continue
		}
		at := len(b.text)
		b.text = appendHead(b.text, header > 0, reply, sub.sid())
		b.text = appendTail(b.text, nil, header, size)
		if b.tracing {
			b.from.tracef("<<- [%s]", bytes.TrimSuffix(b.text[at:], []byte("\r\n")))
		}
		for _, part := range payload {
			b.text = append(b.text, part...)
		}
		b.text = append(b.text, "\r\n"...)
		b.addText(uint32(at), size)
		b.steps++
	}
}

// traceOut traces messages that are delivered.
func (b *batch) traceOut(sub *subscription, number, n uint32) {
	c, l := sub.conn, &b.lines[number]
	if !c.tracing {
		return
	}
	text := b.appendLine(nil, l, sub.sid(), l.header > 0 && !c.headers.Load())
	for range n {
		c.tracef("<<- [%s]", text[:len(text)-len("\r\n")])
	}
}
