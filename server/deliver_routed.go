package server

import (
	"bytes"
	"weak"

	"gnatsd/sublist"
)

// This file is the way of messages between servers. A message goes to a route once, however many
// subscriptions are behind it; a message from a route goes to local clients only.

// publishRouted collects messages that came over a route: for one member of a queue group if the id
// says so, else for every plain local subscription.
func (b *batch) publishRouted(o *op, subject []byte, p place) {
	b.pin()
	if sid := o.arg[1]; bytes.HasPrefix(sid, []byte(queueMark)) {
		b.publishQueued(subject, sid, p)
		return
	}
	res := b.lookUp(subject)
	b.remember(p.line, o, res)
	b.publishAll(res, subject, p)
}

// publishQueued collects messages for the queue subscription that the sender chose. If that is
// closed, or may not receive them, other members of its group get the messages.
func (b *batch) publishQueued(subject, id []byte, p place) {
	servers, id := cutServers(id)
	if bytes.HasPrefix(id, []byte(systemID)) {
		b.publishSystem(subject, id, p)
		return
	}
	sub, ok := b.queueMember(id)
	if !ok {
		b.from.limitedf(levelError, "Unable to deliver routed queue message: invalid QRSID: %s", later(func() string { return printable(id) }))
		return
	}
	group := ""
	if sub != nil && sub.takes(subject) {
		if p = b.lines[p.line].behind(p, b.offer(sub, subject, p)); p.n == 0 {
			return
		}
		group = sub.queue()
	}
	b.redeliver(id, subject, p, redelivery{group: group, servers: servers, match: b.lookUp})
}

// takes reports whether a subject matches that of a subscription.
func (s *subscription) takes(subject []byte) bool {
	return s.subject() == string(subject) || sublist.Matches(s.subject(), string(subject))
}

// behind returns what follows the first n messages of a place.
func (l *line) behind(p place, n uint32) place {
	return place{at: p.at + n*l.length, line: p.line, n: p.n - n}
}

// maxRoutedTo bounds the queue subscriptions that a route remembers, and maxRoutedID the ids by
// which it does, in bytes: 1 MB at most.
const (
	maxRoutedTo = 4096
	maxRoutedID = 64
	hashedMap   = 16 // a smaller map compares keys one by one
)

// queueMember returns the queue subscription that routes know by id, nil if there is none. The
// connection remembers those that messages were for, as long as they live: looking one up takes the
// locks of the registry and of its client. Its pointers are weak: they would keep clients in memory
// that have ended. It reports false if id is malformed.
func (b *batch) queueMember(id []byte) (*subscription, bool) {
	known := b.from.routedTo
	if sub := known[string(id)].Value(); sub != nil && !sub.ended() {
		return sub, true
	}
	cid, sid, ok := parseQueueID(id)
	if !ok {
		return nil, false
	}
	sub := b.srv.queueSubscription(cid, sid, b.srv.subs)
	switch {
	case sub == nil:
		delete(known, string(id))
	case len(id) <= maxRoutedID:
		if known == nil || len(known) >= maxRoutedTo {
			known = make(map[string]weak.Pointer[subscription], hashedMap)
			b.from.routedTo = known
		}
		known[string(id)] = weak.Make(sub)
	}
	return sub, true
}

// queueSubscription returns the queue subscription in a table that a client calls sid, nil if there
// is none.
func (s *Server) queueSubscription(cid uint64, sid []byte, table *sublist.List[*subscription]) *subscription {
	c := s.clients.find(cid)
	if c == nil {
		return nil
	}
	if sub := c.subOf(sid); sub != nil && sub.queue() != "" && sub.table() == table {
		return sub
	}
	return nil
}
