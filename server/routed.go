package server

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"gnatsd/sublist"
)

// This file is the way of messages between servers. A message goes to a route
// once, however many subscriptions are behind it; a message from a route goes
// to local clients only.

// crosses reports whether a message may take the way to the route of sub.
func (st *stage) crosses(sub *subscription) bool {
	if sub.queue != "" {
		return true
	}
	return st.from.role == roleClient && st.target(sub.conn).mark != st.mark
}

// crossed notes that the route of sub has its copy of the message.
func (st *stage) crossed(sub *subscription) {
	if sub.queue == "" {
		st.target(sub.conn).mark = st.mark
	}
}

// overtakes reports whether what is staged for t would come there before the
// interest of its publisher, which may be what it is to be answered to.
func (st *stage) overtakes(t *target) bool {
	if t.msgs == 0 || st.from.announced == 0 || t.c.role != roleRoute {
		return false
	}
	r, ok := t.c.ops.(*route)
	return ok && r.feed.behind(st.from.announced)
}

// pushLate pushes what waits for interest, when that is on its way. A publisher is
// kept for as long as a write may take, and only while the interest moves on: then
// its messages overtake it after all.
func (st *stage) pushLate() {
	for i := range st.targets {
		t := &st.targets[i]
		if !t.late {
			continue
		}
		r := t.c.ops.(*route)
		if st.from.announced > 0 && !r.feed.awaitTold(st.from.announced, st.srv.options().WriteDeadline) {
			st.from.announced = 0
		}
		st.push(t)
	}
}

// toLocalMember stages a message for a random member of a queue group that is
// a client of this server. It reports false if there is none that takes it.
func (st *stage) toLocalMember(members []*subscription, m *message) bool {
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
		if st.accepts(sub, m) {
			st.toOne(sub, m)
			return true
		}
		if before == nil {
			before = members[:i]
		}
	}
	for _, sub := range before {
		if sub.conn.role == roleClient && st.accepts(sub, m) {
			st.toOne(sub, m)
			return true
		}
	}
	return false
}

// publishRouted stages a message that came over a route: for one member of a
// queue group if the id says so, else for every plain local subscription.
func (st *stage) publishRouted(m *message, sid []byte) {
	k := st.srv.cluster
	if !k.rules.Load().permits.canImportMessage(m.subject).allowed() {
		return
	}
	st.enter()
	st.mark++
	st.sids = 0
	if len(sid) >= len(queueID) && string(sid[:len(queueID)]) == queueID {
		st.publishQueued(m, sid)
	} else {
		st.toPlain(st.from.match(m.subject), m)
	}
	st.staged(m)
}

// publishQueued stages a message for the queue subscription that the sender
// chose. If that is gone, another member of its group gets the message.
func (st *stage) publishQueued(m *message, id []byte) {
	sub := st.members.find(id)
	if sub == nil {
		cid, sid, ok := parseQueueID(id)
		if !ok {
			st.from.errorf("Unable to deliver routed queue message: invalid QRSID: %s", printable(id))
			return
		}
		if sub = st.srv.queueMember(cid, sid); sub != nil {
			st.members.add(id, sub)
		}
	}
	if sub != nil && (sub.subject == string(m.subject) || sublist.Matches(sub.subject, string(m.subject))) && st.accepts(sub, m) {
		st.toOne(sub, m)
		return
	}
	if group, known := st.srv.cluster.orphans.group(id); known {
		st.redeliver(m, group)
	}
}

// queueMember returns the queue subscription that a client calls sid, nil if
// there is none.
func (s *Server) queueMember(cid uint64, sid []byte) *subscription {
	c := s.clients.find(cid)
	if c == nil {
		return nil
	}
	if sub := c.subOf(sid); sub != nil && sub.queue != "" {
		return sub
	}
	return nil
}

// redeliver stages a message for some member of a queue group: of this server
// if possible.
func (st *stage) redeliver(m *message, group string) {
	c := st.from
	c.debugf("Attempting redelivery of message for absent queue subscriber on group '%q'", group)
	res := c.match(m.subject)
	for i := range res.Queues {
		if res.Queues[i].Name != group {
			continue
		}
		members := res.Queues[i].Members
		if st.toLocalMember(members, m) {
			c.debugf("Redelivery succeeded on group '%q'", group)
			return
		}
		if len(members) > 0 {
			c.debugf("Re-routing message on group '%q' to remote server", group)
			st.toGroup(members, m)
			return
		}
	}
	c.debugf("Redelivery failed, no queue subscribers for message on group '%q'", group)
}

// parseQueueID splits the id of a queue subscription into the id of the client
// and what the client calls the subscription, which may hold colons.
func parseQueueID(id []byte) (cid uint64, sid []byte, ok bool) {
	rest, ok := bytes.CutPrefix(id, []byte(queueID))
	if !ok {
		return 0, nil, false
	}
	digits, sid, ok := bytes.Cut(rest, []byte{':'})
	if !ok || len(sid) == 0 {
		return 0, nil, false
	}
	cid, err := strconv.ParseUint(string(digits), 10, 64)
	return cid, sid, err == nil
}

// orphans remembers, for half a minute to a minute, the groups of queue
// subscriptions that have ended: messages for them may be on their way.
type orphans struct {
	mu         sync.Mutex
	young, old map[string]string // group by route id
	turned     time.Time
}

const (
	orphanLife = 30 * time.Second
	maxOrphans = 1 << 16 // of each generation
)

// remember notes the group of a subscription that has ended.
func (o *orphans) remember(sub *subscription) {
	id := string(appendRouteSID(nil, sub))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turnLocked()
	if len(o.young) < maxOrphans {
		o.young[id] = sub.queue
	}
}

// group returns the group of a subscription that has ended.
func (o *orphans) group(id []byte) (name string, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turnLocked()
	if name, known = o.young[string(id)]; !known {
		name, known = o.old[string(id)]
	}
	return name, known
}

// turnLocked forgets what is old enough.
func (o *orphans) turnLocked() {
	now := time.Now()
	age := now.Sub(o.turned)
	if age < orphanLife && o.young != nil {
		return
	}
	o.old, o.young, o.turned = o.young, make(map[string]string), now
	if age >= 2*orphanLife {
		o.old = nil
	}
}
