package server

import (
	"slices"

	"gnatsd/server/internal/netio"
)

// This file is the way of one publisher's messages to another server with a pool: which member it takes,
// and what precedes it there so that order holds.

// path is the way of one publisher's messages to another server. It belongs to the reader of the
// publisher.
type path struct {
	next   *path // to another server
	from   *conn // the publisher
	pool   *pool
	index  uint32    // decides the member
	of     *[]*route // members when it was decided
	to     *route    // the member; nil before the first message
	before []byte    // lines that precede what is sent next
	fence  fence     // that is set when they are sent
	seen   fence     // what appendFences found
}

// fence is up to where the marks of a carrier precede what is sent on a member. It names the carrier by
// its id: a pointer would hold all carriers that have been lost, each by the one after it.
type fence struct {
	carrier uint64
	number  int // of the carrier in the pool
	marks   int64
}

// pathTo returns the path of the connection's messages to a server.
func (c *conn) pathTo(p *pool) *path {
	at := &c.paths
	for *at != nil {
		switch w := *at; {
		case w.pool == p:
			return w
		case w.pool.ended.Load():
			*at = w.next
		default:
			at = &w.next
		}
	}
	*at = &path{from: c, pool: p, index: p.placed.Add(1) - 1}
	return *at
}

// member returns the member that messages are sent on now. If it is another one than before, what
// restores the order precedes them.
func (w *path) member() *route {
	members := w.pool.members.Load()
	if members == w.of {
		return w.to
	}
	if len(*members) == 0 {
		if w.to == nil {
			w.to = w.pool.opener
		}
		return w.to
	}
	from, to := w.to, (*members)[int(w.index%uint32(len(*members)))]
	if from != nil && from != to {
		alive := slices.Contains(*members, from)
		if c := w.pool.carrier.Load(); alive && c != nil && c.interest.has(w.from) {
			return from // what waits behind interest is for the old member: it stays for now
		}
		if !alive && w.from.role == roleClient && !from.retired() {
			from.awaitHandedOver()
		}
		w.before = from.appendMoved(w.before, alive)
	}
	w.of = members
	w.to = to
	return to
}

// appendMoved appends what precedes the messages of a publisher that has left the member.
func (r *route) appendMoved(text []byte, alive bool) []byte {
	if alive {
		if n := r.pushMark([]byte(movedLine)); n > 0 {
			return appendWait(text, r.number, n)
		}
	}
	if r.retired() {
		return appendWait(text, r.number, untilEnd)
	}
	text = append(text, goneLine(r.number)...)
	select {
	case <-r.handedOver:
	default:
		return text
	}
	switch to := r.handedTo; {
	case to == nil:
		return text
	case r.follow():
		return appendWait(text, to.number, r.handedMark)
	default:
		return to.appendMoved(text, false)
	}
}

// appendFences appends what must precede the messages that are sent next.
func (w *path) appendFences(text []byte) []byte {
	text = append(text, w.before...)
	now, set := w.carried(), w.to.fenced.Load()
	w.fence, w.seen = fence{}, now
	if now.marks == 0 || set != nil && set.carrier == now.carrier && set.marks >= now.marks {
		return text
	}
	w.fence = now
	return appendWait(text, now.number, now.marks)
}

// carried returns how far interest is sent, on another member than that of the path.
func (w *path) carried() fence {
	if c := w.pool.carrier.Load(); c != nil && c != w.to {
		return fence{c.id, c.number, c.marks.Load()}
	}
	return fence{}
}

// refence sends a wait for interest that was sent after appendFences had looked. It is called when
// nothing of the publisher is queued any more: until then its own interest may not have been sent.
func (w *path) refence() {
	if w.carried() == w.seen {
		return
	}
	w.before = w.before[:0] // is in what is sent next
	if text := w.appendFences(nil); len(text) > 0 && w.to.push(text) {
		w.sent()
	}
}

// sent notes that what appendFences returned has been sent.
func (w *path) sent() {
	if set := w.fence; set.marks > 0 {
		w.to.fenced.Store(&set)
	}
	w.queued()
}

// queued notes that what appendFences returned has been queued behind the interest of the
// publisher: it is not sent yet.
func (w *path) queued() {
	w.before = w.before[:0]
	w.fence = fence{}
}

// redirect pushes a delivery that the member of the path has refused to another one. It returns the
// member that has taken it, which is the last one if none does.
func (w *path) redirect(d *netio.Delivery) (to *route) {
	for {
		refused := w.to
		w.pool.k.dropMember(refused)
		if to = w.member(); to == refused {
			return to
		}
		if fences := w.appendFences(nil); len(fences) > 0 && !to.push(fences) {
			continue
		}
		w.sent()
		again := *d
		if to.out.Push(&again); !again.Refused {
			return to
		}
	}
}
