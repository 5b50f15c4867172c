package server

import (
	"slices"
)

// This file sends on other members of a pool what a lost one had pending. What its socket had taken
// is lost, and the message of which it had taken a part. Interest that it carried is not needed: the
// next carrier is sent all. Messages before a mark of a publisher that has moved to another member
// are dropped: what it has published since may have arrived, and order matters more. Where all members
// are lost at a time, messages of queue groups go to members elsewhere, as those of a single route do.

// movedLine is the mark of a publisher that moves to another member.
const movedLine = "LINK moved\r\n"

// handOver sends what the connection, which is lost, has pending on other members of its pool.
func (r *route) handOver() {
	r.out.Refuse()
	l, waits := r.out.Leave(0)
	defer l.Release()
	if waits {
		r.out.Continue(nil)
	}
	switch r.reason() {
	case closeSlowPending, closeSlowDeadline, closeSlowTotal, closeSlowMemory:
		return // another one would not take it either
	}
	after, n := 0, 0 // frames up to the last one that may not be sent
	r.readLeftover(&l, always, func(_ *op, _ *batch, frame []byte, sent int) {
		if n++; sent == 0 && string(frame) == movedLine {
			after = n
		}
	})
	h := handOver{r: r}
	n = 0
	r.readLeftover(&l, always, func(o *op, _ *batch, frame []byte, sent int) {
		h.flush(leftoverPiece)
		n++
		wait := o.verb == verbLink && o.argCount > 1 // or gone
		if sent == 0 && (wait || verbRows[o.verb].payload && n > after) {
			h.text = append(h.text, frame...)
		}
	})
	h.flush(0)
	h.end()
	r.unplaced = h.unplaced
}

func always() bool { return true }

// passUnplaced gives queue messages that no other member of the pool has taken to other members of their
// groups, if all are lost.
func (r *route) passUnplaced() {
	if len(r.unplaced) == 0 || !r.pool.ended.Load() {
		return
	}
	l := &leftover{c: &r.conn, out: r.srv.io.NewLeftover(r.unplaced), dropped: r.srv.leftovers.drops()}
	defer l.out.Release()
	r.unplaced = nil
	<-r.pool.dropped
	l.subs = &r.pool.subs
	l.pass()
}

// leftoverPiece is about how many bytes are pushed at a time.
const leftoverPiece = 256 << 10

// handOver is the state of a hand-over.
type handOver struct {
	r    *route
	to   *route // nil before the first piece
	text []byte

	unplaced []byte // what no member has taken
}

// flush pushes what is collected if it is more than n bytes.
func (h *handOver) flush(n int) {
	if len(h.text) <= n {
		return
	}
	for !h.push(h.text) {
	}
	h.text = h.text[:0]
}

// push pushes text to a member. It reports false if another one must be tried.
func (h *handOver) push(text []byte) bool {
	members := *h.r.pool.members.Load()
	if h.to == nil || !slices.Contains(members, h.to) {
		if len(members) == 0 {
			h.unplaced = append(h.unplaced, text...)
			return true
		}
		h.to = members[h.r.number%len(members)]
		text = append([]byte(goneLine(h.r.number)), text...)
	}
	if !h.to.push(text) {
		h.r.srv.cluster.dropMember(h.to)
		return false
	}
	return true
}

// end lets publishers follow what was handed over.
func (h *handOver) end() {
	if h.to == nil {
		return
	}
	if n := h.to.pushMark([]byte(movedLine)); n > 0 {
		h.r.handedTo = appendWait(nil, h.to.number, n)
	} else {
		h.r.handedTo = h.to.appendMoved(nil, false)
	}
}

// deferLate keeps messages that the member they are for has refused, which is lost, until what it had
// pending is handed over. It reports false if that has been done.
func (k *cluster) deferLate(m *flowOther) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.to.lateEnded {
		return false
	}
	m.to.late = append(m.to.late, m)
	return true
}

// takeLate returns what deferLate has kept. If that is nothing, no more is kept.
func (k *cluster) takeLate(r *route) []*flowOther {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := r.late
	r.late, r.lateEnded = nil, len(list) == 0
	return list
}

// handOverLate sends what deferLate has kept.
func (r *route) handOverLate() {
	k := r.srv.cluster
	for list := k.takeLate(r); len(list) > 0; list = k.takeLate(r) {
		for _, m := range list {
			r.pool.pushElsewhere(m)
		}
	}
}
