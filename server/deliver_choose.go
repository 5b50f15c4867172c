package server

import (
	"bytes"
	"math/rand/v2"

	"gnatsd/sublist"
)

// This file chooses who receives published messages: every plain subscription, and of each queue
// group one member.

// publish collects messages that a client published for everyone they match: of those at p as many
// as the batch has room for, n. It returns how many of them, the first ones, had a receiver.
func (b *batch) publish(subject []byte, p place) (n, taken uint32) {
	b.pin()
	res := b.from.match(subject)
	p = b.part(p, res)
	taken = b.toPlain(res, subject, p)
	if len(res.Queues) > 0 {
		taken = max(taken, b.toQueues(res, subject, p))
	}
	return p.n, taken
}

// toPlain collects messages for the plain subscriptions of a result. It returns how many of them,
// the first ones, had a receiver.
func (b *batch) toPlain(res *sublist.Result[*subscription], subject []byte, p place) (taken uint32) {
	switch len(res.Plain) {
	case 0:
		return 0
	case 1:
		b.message++
		return b.offer(res.Plain[0], subject, p)
	}
	g := b.group(res)
	g.places = append(g.places, p)
	g.msgs += int64(p.n)
	g.headers = g.headers || b.lines[p.line].header > 0
	if len(g.whole) > 0 {
		taken = p.n
	}
	if len(g.each) > 0 {
		b.message++ // one copy of all of them for a route
		for _, sub := range g.each {
			taken = max(taken, b.offer(sub, subject, p))
		}
		b.steps += len(g.each)
	}
	return taken
}

// group returns the group of a result, deciding once who needs a look at every message.
func (b *batch) group(res *sublist.Result[*subscription]) *group {
	if int(b.lastGroup) < len(b.groups) && b.groups[b.lastGroup].list == res {
		return &b.groups[b.lastGroup]
	}
	i, known := b.groupOf[res]
	if !known {
		i = b.addGroup(res)
	}
	b.lastGroup = i
	return &b.groups[i]
}

func (b *batch) addGroup(res *sublist.Result[*subscription]) uint32 {
	i := len(b.groups)
	if i < cap(b.groups) {
		b.groups = b.groups[:i+1]
	} else {
		b.groups = append(b.groups, group{})
	}
	b.groupOf[res] = uint32(i)
	g := &b.groups[i]
	g.list = res
	b.steps += len(res.Plain)
	for k, sub := range res.Plain {
		if b.way(sub, uint32(i)) != asGroup {
			g.split(b, res.Plain, k, uint32(i))
			return uint32(i)
		}
	}
	g.whole = res.Plain
	return uint32(i)
}

// split sorts the subscriptions of a group, of which the first k get all messages.
func (g *group) split(b *batch, all []*subscription, k int, i uint32) {
	g.mixed = append(g.mixed[:0], all[:k]...)
	for _, sub := range all[k:] {
		switch b.way(sub, i) {
		case asGroup:
			g.mixed = append(g.mixed, sub)
		case oneByOne:
			g.each = append(g.each, sub)
		}
	}
	g.whole = g.mixed
}

// way is how a subscription gets the messages of a group.
type way uint8

const (
	asGroup  way = iota // all of them
	oneByOne            // those that it may have, or that its route has not got yet
	never
)

// way decides how a plain subscription gets the messages of group i. Of a route one is enough.
func (b *batch) way(sub *subscription, i uint32) way {
	c := sub.conn
	if c == b.from && c.noEcho || c.role == roleRoute && b.from.role == roleRoute {
		return never
	}
	if b.tracing || sub.limit.Load() != 0 || sub.filter.Load() != nil {
		return oneByOne
	}
	if c.role == roleClient {
		return asGroup
	}
	t := &b.targets[b.target(c)]
	if t.group == i+1 {
		return never
	}
	t.group = i + 1
	return asGroup
}

// offer collects messages for one subscription, as many of them as it takes, the first ones. It
// returns how many.
func (b *batch) offer(sub *subscription, subject []byte, p place) (n uint32) {
	c := sub.conn
	if c == b.from && c.noEcho {
		return 0
	}
	if f := sub.filter.Load(); f != nil && f.blocks(subject) {
		return 0
	}
	if c.role == roleRoute && sub.queue == "" {
		t := &b.targets[b.target(c)]
		if b.from.role == roleRoute || t.message == b.message || t.group != 0 && t.group == b.lastGroup+1 {
			return 0
		}
		t.message = b.message
	}
	n = p.n
	if sub.limit.Load() != 0 {
		if n = uint32(sub.claim(int64(n))); n == 0 {
			return 0
		}
		p.n = n | claimed
	}
	if b.tracing {
		b.traceOut(sub, p.line, n)
	}
	b.deliver(sub, p)
	return n
}

// toQueues collects messages for one member of each queue group. It returns for how many of them,
// the first ones, there was any.
func (b *batch) toQueues(res *sublist.Result[*subscription], subject []byte, p place) (taken uint32) {
	stride := b.lines[p.line].stride
	for i := range p.n {
		one := place{at: p.at + i*stride, line: p.line, n: 1}
		for q := range res.Queues {
			if b.toGroup(res.Queues[q].Members, subject, one) {
				taken = i + 1
			}
		}
	}
	return taken
}

// randomTries is how many members of a queue group are drawn at random before
// the rest is tried in order; more than one draw is needed only when members
// refuse. It is so large that which member comes next in order hardly matters,
// even where most refuse.
const randomTries = 64

// toGroup collects a message for one member of a queue group, each with the same
// chance. A member that cannot take it (it has reached its limit, or is the
// publisher that wants no echo) is passed over. It reports whether any could.
func (b *batch) toGroup(members []*subscription, subject []byte, p place) bool {
	if b.preferLocal && b.toLocalMember(members, subject, p) {
		return true
	}
	n := uint32(len(members))
	for range randomTries {
		if b.offer(members[rand.Uint32N(n)], subject, p) > 0 {
			return true
		}
		if n == 1 {
			return false
		}
	}
	b.steps += len(members)
	at := int(rand.Uint32N(n))
	for i := range members {
		if b.offer(members[(at+i)%len(members)], subject, p) > 0 {
			return true
		}
	}
	return false
}

// toLocalMember collects a message for a random member of a queue group that is
// a client of this server. It reports false if there is none that takes it.
func (b *batch) toLocalMember(members []*subscription, subject []byte, p place) bool {
	b.steps += len(members)
	local := 0
	for _, sub := range members {
		if sub.conn.role == roleClient {
			local++
		}
	}
	if local == 0 {
		return false
	}
	chosen := rand.IntN(local)
	var before []*subscription // passed over
	for i, sub := range members {
		if sub.conn.role != roleClient {
			continue
		}
		if chosen > 0 {
			chosen--
			continue
		}
		if b.offer(sub, subject, p) > 0 {
			return true
		}
		if before == nil {
			before = members[:i]
		}
	}
	for _, sub := range before {
		if sub.conn.role == roleClient && b.offer(sub, subject, p) > 0 {
			return true
		}
	}
	return false
}

// statusNoResponders opens the headers of the answer to a request that has no receiver. Clients
// look for the status 503 of a message without payload. The name of the subject is what
// nats-server adds since 2.12: it helps those who have many requests under way, and older clients
// skip it like any header they do not know.
const statusNoResponders = headerStart + " 503\r\nNats-Subject: "

// noResponders answers a request that has no receiver on its reply subject. The answer
// goes to the plain subscriptions of the requester only, whatever they say about echo.
func (b *batch) noResponders(subject, reply []byte) {
	b.pin()
	size := len(statusNoResponders) + len(subject) + len(headerEnd)
	for _, sub := range b.from.match(reply).Plain {
		if sub.conn != b.from {
			continue
		}
		if f := sub.filter.Load(); f != nil && f.blocks(reply) || sub.claim(1) == 0 {
			continue
		}
		at := len(b.text)
		b.text = appendHead(b.text, true, reply, sub.sid)
		b.text = appendTail(b.text, nil, size, size)
		if b.tracing {
			b.from.tracef("<<- [%s]", bytes.TrimSuffix(b.text[at:], []byte("\r\n")))
		}
		b.text = append(b.text, statusNoResponders...)
		b.text = append(b.text, subject...)
		b.text = append(b.text, headerEnd+"\r\n"...)
		b.addText(uint32(at), size)
	}
}

// traceOut traces messages that are delivered.
func (b *batch) traceOut(sub *subscription, number, n uint32) {
	c, l := sub.conn, &b.lines[number]
	if !c.tracing {
		return
	}
	text := b.appendLine(nil, l, sub.sid, l.header > 0 && !c.headers.Load())
	for range n {
		c.tracef("<<- [%s]", text[:len(text)-len("\r\n")])
	}
}
