package server

import (
	"math/rand/v2"

	"gnatsd/sublist"
)

// This file chooses who receives a published message: every plain
// subscription, and of each queue group one member.

// publish stages a message that a client published for everyone it matches. It
// reports whether there was anyone.
func (st *stage) publish(m *message) (taken bool) {
	st.enter()
	res := st.from.match(m.subject)
	if len(res.Plain)+len(res.Queues) == 0 {
		return false
	}
	st.mark++
	st.sids = 0
	taken = st.toPlain(res, m)
	for i := range res.Queues {
		if st.toGroup(res.Queues[i].Members, m) {
			taken = true
		}
	}
	st.staged(m)
	return taken
}

// toPlain stages a message for the plain subscriptions that take it. It reports
// whether any did.
func (st *stage) toPlain(res *sublist.Result[*subscription], m *message) bool {
	if len(res.Plain) != 1 {
		return st.fanOut(res, m)
	}
	sub := res.Plain[0]
	if !st.accepts(sub, m) {
		return false
	}
	st.toOne(sub, m)
	return true
}

// staged pushes what is staged if a message made it enough.
func (st *stage) staged(m *message) {
	if int64(m.size) > st.maxPending {
		st.tooLarge()
	}
	if st.encoded >= st.limit {
		st.flush()
	}
}

// tooLarge ends what the message just staged is too large for: more than the
// whole queue of a client may hold. Targets may hold earlier messages too; those
// go the same way.
func (st *stage) tooLarge() {
	for i := range st.targets {
		t := &st.targets[i]
		t.over = t.over || t.c.role == roleClient && int64(t.bytes) > st.maxPending
	}
	st.encoded = st.limit
}

// fanOut stages a message for several plain subscriptions, encoding it once for
// all that share a sid. It reports whether any took it.
func (st *stage) fanOut(res *sublist.Result[*subscription], m *message) (taken bool) {
	byRef := m.size >= refPayload
	var f frame
	for _, sub := range res.Plain {
		if !st.accepts(sub, m) {
			continue
		}
		taken = true
		if byRef {
			st.toOne(sub, m)
			continue
		}
		f = st.toStream(res, sub, m, f)
	}
	return taken
}

// randomTries is how many members of a queue group are drawn at random before
// the rest is tried in order; more than one draw is needed only when members
// refuse. It is so large that which member comes next in order hardly matters,
// even where most refuse.
const randomTries = 64

// toGroup stages a message for one member of a queue group, each with the same
// chance. A member that cannot take it (it has reached its limit, or is the
// publisher that wants no echo) is passed over. It reports whether any could.
func (st *stage) toGroup(members []*subscription, m *message) bool {
	if st.preferLocal && st.toLocalMember(members, m) {
		return true
	}
	n := uint32(len(members))
	for range randomTries {
		if sub := members[rand.Uint32N(n)]; st.accepts(sub, m) {
			st.toOne(sub, m)
			return true
		}
		if n == 1 {
			return false
		}
	}
	at := int(rand.Uint32N(n))
	for i := range members {
		if sub := members[(at+i)%len(members)]; st.accepts(sub, m) {
			st.toOne(sub, m)
			return true
		}
	}
	return false
}

// accepts reports whether a subscription takes a message, and counts it if so.
func (st *stage) accepts(sub *subscription, m *message) bool {
	c := sub.conn
	if c == st.from && c.noEcho {
		return false
	}
	if f := sub.filter.Load(); f != nil && f.blocks(m.subject) {
		return false
	}
	if c.role == roleRoute && !st.crosses(sub) {
		return false
	}
	if !sub.count() {
		return false
	}
	if c.role == roleRoute {
		st.crossed(sub)
	}
	if st.tracing {
		c.traceOut(m, sub.sid)
	}
	return true
}
