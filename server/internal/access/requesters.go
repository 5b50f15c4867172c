package access

import (
	"math/bits"

	"gnatsd/server/internal/linked"
)

// This file decides which grant is forgotten when those of a peer take too much: the oldest of a
// requester that takes most. So one that asks for more than its share displaces its own requests,
// and not those of others.

// requester is a connection that requests come from, with the grants for them.
type requester struct {
	id     uint64
	size   int                // bytes of itself and of the grants; 0 = it has none
	grants linked.List[grant] // oldest first
	place  linked.Node[requester]
}

// requesterSize is what a requester takes: itself, and its place in the map.
const requesterSize = 112

// requestersBySize has all requesters by what they take, to within a factor of two: where they take
// about the same, the length of a subject does not decide which of them loses a grant. The first of
// each list is the one with which nothing has been done for longest.
type requestersBySize [24]linked.List[requester]

// of returns the list that a requester belongs to. The last one has all that take [maxReplies] or more.
func (s *requestersBySize) of(q *requester) *linked.List[requester] {
	return &s[min(bits.Len(uint(q.size)), len(s)-1)]
}

// most returns the requester that loses a grant, nil if there is none.
func (s *requestersBySize) most() *requester {
	for i := len(s) - 1; i > 0; i-- {
		if q := s[i].Head(); q != nil {
			return q
		}
	}
	return nil
}

// addLocked adds a grant, which is the latest, for the connection with an id.
func (r *Replies) addLocked(g *grant, id uint64) {
	size := g.size()
	q := r.requesters[id]
	if q == nil {
		q = &requester{id: id}
		r.requesters[id] = q
		size += requesterSize
	}
	g.by = q
	r.order.Add(&g.place, g)
	q.grants.Add(&g.own, g)
	r.resizeLocked(q, size)
}

// removeLocked takes a grant out, and its requester with the last one.
func (r *Replies) removeLocked(g *grant) {
	q, size := g.by, g.size()
	r.order.Remove(&g.place)
	q.grants.Remove(&g.own)
	if q.grants.Head() == nil {
		delete(r.requesters, q.id)
		size += requesterSize
	}
	r.resizeLocked(q, -size)
}

// resizeLocked notes that a requester takes n more bytes.
func (r *Replies) resizeLocked(q *requester, n int) {
	if q.size > 0 {
		r.bySize.of(q).Remove(&q.place)
	}
	q.size += n
	r.size += n
	if q.size > 0 {
		r.bySize.of(q).Add(&q.place, q)
	}
}
