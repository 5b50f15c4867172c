package server

import (
	"slices"

	"gnatsd/server/internal/netio"
)

// This file sends on other members of a pool what a lost one had pending. What its socket had taken
// is lost, and the message of which it had taken a part. Interest that it carried is not needed: the
// next carrier is sent all. Messages before a mark of a publisher that has moved to another member
// are dropped: what it has published since may have arrived, and order matters more. So are messages that
// were handed over before, if a publisher has followed them. Where all members are lost at a time, messages
// of queue groups go to members elsewhere, as those of a single route do.

// handOver is what a member of a pool that is lost leaves to another one: what it had pending, and behind
// that what it has refused meanwhile.
type handOver struct {
	r    *route
	to   *route // nil before the first piece
	text []byte
}

// leftoverPiece is about how many bytes are pushed at a time.
const leftoverPiece = 256 << 10

// pushPending pushes what the connection has pending.
func (h *handOver) pushPending() {
	r := h.r
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
	after, n := r.mayNotBeSent(&l), 0
	r.readLeftover(&l, always, func(o *op, _ *batch, frame []byte, sent int) {
		h.flush(leftoverPiece)
		n++
		wait := o.verb == verbLink && o.argCount > 1 // or gone
		if sent == 0 && (wait || verbRows[o.verb].payload && n > after) {
			h.text = append(h.text, frame...)
		}
	})
	h.flush(0)
}

func always() bool { return true }

// mayNotBeSent returns how many frames at the beginning of a leftover may not be sent on another member:
// those up to the last mark that a publisher waits for elsewhere.
func (r *route) mayNotBeSent(l *netio.Leftover) (frames int) {
	n := 0
	var marks []int // the frames that are marks, and were not sent
	r.readLeftover(l, always, func(_ *op, _ *batch, frame []byte, sent int) {
		if n++; sent > 0 {
			return
		}
		switch string(frame) {
		case movedLine:
			frames = n
			fallthrough
		case markLine:
			marks = append(marks, n)
		}
	})
	if followed := len(marks) - int(r.marks.Load()-r.followed.Load()); followed > 0 {
		frames = max(frames, marks[followed-1])
	}
	return frames
}

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

// flush pushes what is collected if it is more than n bytes.
func (h *handOver) flush(n int) {
	if len(h.text) > n {
		h.push(netio.Delivery{Segments: []netio.Segment{{Bytes: h.text}}, Bytes: len(h.text)})
		h.text = h.text[:0]
	}
}

// push pushes a delivery behind those before, which another member has.
func (h *handOver) push(d netio.Delivery) {
	p, m := h.r.pool, &flowOther{messages: d, to: h.to, index: uint32(h.r.number)}
	placed := true
	if h.to != nil {
		m.push(p)
	} else {
		m.to = h.r
		placed = p.pushNext(m)
	}
	if placed && m.messages.Refused {
		placed = p.resend(m)
	}
	if placed {
		h.to = m.to
		return
	}
	for _, s := range m.messages.Segments {
		h.r.unplaced = append(h.r.unplaced, s.Bytes...)
	}
	m.messages.Drop()
}

// pushDeferred pushes what the connection has refused since it was lost. Then it defers nothing any more.
func (h *handOver) pushDeferred() {
	k := h.r.srv.cluster
	for list := k.takeDeferred(h.r); len(list) > 0; list = k.takeDeferred(h.r) {
		for _, m := range list {
			h.push(m.messages)
		}
	}
}

// end lets publishers follow what was handed over.
func (h *handOver) end() {
	if h.to != nil {
		h.r.handedTo, h.r.handedMark = h.to, h.to.pushMark([]byte(markLine))
	}
	close(h.r.handedOver)
}

// awaitHandedOver waits until others have what was pending on a member that is lost, and on those that have
// taken it and are lost, too. That is soon: in their teardown, which waits for no client.
func (r *route) awaitHandedOver() {
	for {
		<-r.handedOver
		if r.handedTo == nil || r.follow() || r.handedTo.retired() {
			return
		}
		r = r.handedTo
	}
}

// follow notes that a publisher goes on behind what the connection has handed over. It reports false if the
// member that has it is lost, too. That member looks afterwards what is followed.
func (r *route) follow() bool {
	to, mark := r.handedTo, r.handedMark
	for old := to.followed.Load(); old < mark && !to.followed.CompareAndSwap(old, mark); old = to.followed.Load() {
	}
	return mark > 0 && slices.Contains(to.siblings(), to)
}

// defers keeps messages that the member they are for has refused, which is lost, until what it had
// pending is handed over. It reports false if that has been done.
func (k *cluster) defers(m *flowOther) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.to.defersNone {
		return false
	}
	m.to.deferredMessages = append(m.to.deferredMessages, m)
	k.srv.io.SetAside.Add(int64(m.messages.Bytes))
	return true
}

// takeDeferred returns what defers has kept. If that is nothing, no more is kept.
func (k *cluster) takeDeferred(r *route) []*flowOther {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := r.deferredMessages
	r.deferredMessages, r.defersNone = nil, len(list) == 0
	for _, m := range list {
		k.srv.io.SetAside.Add(-int64(m.messages.Bytes))
	}
	return list
}

// resend pushes messages that the member they are for has refused, or that its carrier had for it when it
// was lost, to another one. What a lost one had pending goes first: until that is handed over, they follow it.
// It reports false if no member is left.
func (p *pool) resend(m *flowOther) bool {
	m.messages.Keep()
	for m.to.retired() || !p.k.defers(m) {
		if !m.to.retired() {
			<-m.to.handedOver // soon: only the mark behind it is still to be pushed
		}
		if !p.pushNext(m) || !m.messages.Refused {
			return !m.messages.Refused
		}
	}
	return true
}

// pushNext pushes messages to another member than that they are for, which is lost. The index of the path of
// their publisher chooses the same one as the path. It reports false if no member is left.
func (p *pool) pushNext(m *flowOther) bool {
	lost := m.to
	members := p.k.dropMember(lost)
	if len(members) == 0 {
		return false
	}
	m.to = members[int(m.index%uint32(len(members)))]
	m.to.push(lost.appendMoved(nil, false))
	m.push(p)
	return true
}

// push pushes messages to the member that they are for, behind the interest that is sent.
func (m *flowOther) push(p *pool) {
	if c := p.carrier.Load(); c != nil && c != m.to {
		m.to.push(appendWait(nil, c.number, c.marks.Load()))
	}
	d := &m.messages
	m.to.out.Reserve(d.Bytes)
	d.Reserved, d.Refused = true, false
	m.to.out.Push(d)
}
