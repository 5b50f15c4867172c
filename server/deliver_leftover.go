package server

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/sublist"
)

// This file gives queue messages that a connection was handed, and that its socket has not taken
// when it ends, to other members of their groups. What the socket has taken counts as delivered.
// Nothing says any more who published them: a publisher that wants no echo may be given its own.

// leftover is what a connection has not been sent when it ends.
type leftover struct {
	c      *conn
	subs   *subscriptions // that it had
	out    netio.Leftover
	open   bool   // the peer may still be sent what no other connection takes
	rest   []byte // that no other connection takes
	kept   int64  // bytes of it that count with the leftovers
	behind bool   // all has been read of which the socket has taken a part

	choices map[string]*choice // by subject and group
	part    int                // of what is left, that is in the read buffer
	key     []byte             // memory for one of them
	looks   int                // at groups and members, to find those with room
	allowed int                // looks

	dropped <-chan struct{} // closed when all have to be given up, for the memory
	slot    bool            // it is being passed on, see leftovers.slots
	givenUp bool            // there is no memory for it
}

// leftovers is what the leftovers of a server have in common.
type leftovers struct {
	slots chan struct{} // holds as many as are passed on now
	lines logLimit      // about those that were given up

	mu      sync.Mutex // guards what follows, and is held while it is decided whether one is given up
	dropped chan struct{}
}

// maxPassedOn is how many leftovers are passed on at a time.
const maxPassedOn = 4

func newLeftovers() leftovers {
	return leftovers{slots: make(chan struct{}, maxPassedOn), dropped: make(chan struct{})}
}

// drop gives up all that there are.
func (l *leftovers) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.dropped)
	l.dropped = make(chan struct{})
}

// drops returns a channel that is closed when what there is now is given up.
func (l *leftovers) drops() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// giveUp gives up what is left if there is no memory for it.
func (l *leftover) giveUp() {
	s, size := l.c.srv, l.out.Size()
	l.givenUp = l.givenUp || s.ended()
	why := l.tooMuch()
	if why == "" || !s.leftovers.lines.admit(time.Since(s.start)) {
		return
	}
	s.leftovers.lines.reportLeftOut(s.Warnf, "Left out %d log lines about messages for queue groups that were given up")
	l.c.warnf("Gave up what was pending for queue groups (%d bytes at most): %s", size, why)
}

// tooMuch reports why the leftover is given up, "" if it is not, or was before: queues and leftovers together
// may hold a quarter more than max_pending_total, or half as much again where this leftover is small.
func (l *leftover) tooMuch() (why string) {
	s, limit := l.c.srv, l.c.srv.options().MaxPendingTotal
	s.leftovers.mu.Lock()
	defer s.leftovers.mu.Unlock()
	room := limit / 4
	if l.out.Size() <= highWater {
		room = limit / 2
	}
	if l.givenUp {
		return ""
	}
	select {
	case <-l.dropped:
		why = "queues hold too much"
	default:
		if s.io.Pending.Load()+s.io.SetAside.Load()-limit <= room {
			return ""
		}
		why = fmt.Sprintf("MaxPendingTotal of %d Exceeded", limit)
	}
	l.givenUp = true
	l.out.Discount() // it is released when the message is over that the socket has taken a part of
	return why
}

// choice is the members of a queue group that messages of one subject can be given to.
type choice struct {
	res   *sublist.Result[*subscription]
	part  int                           // for which res was looked up
	group *sublist.Group[*subscription] // nil = it has no members
	known bool                          // roomy is all of them
	roomy []*subscription               // on connections with room, without those that took nothing
}

const (
	// roomyTries is how many members are drawn at random before all are looked at, to find those with
	// room.
	roomyTries = 8
	// freeLooks and looksPerMessage bound the looks that finding them takes. When there have been more,
	// messages are passed on only if members with room are known or drawn. Without a bound 450 000
	// messages and a group of 10 000 members without room took minutes.
	freeLooks       = 1 << 20
	looksPerMessage = 16
)

// passOn gives what is left of a connection to others. The connection has no subscriptions any
// more; subs are those it had. The rest is still sent, if the connection ends in order, while the
// write queue is finished.
func (c *conn) passOn(row *closeRow, subs *subscriptions) {
	if r, ok := c.ops.(*route); ok && r.pool != nil {
		defer r.pool.release()
	}
	if !c.out.Keeps() || c.reason() == closeShutdown {
		return
	}
	holds := c // batches may have collected messages for it
	if r, ok := c.ops.(*route); ok && r.pool != nil {
		if !r.pool.ended.Load() {
			return // others to the same server are left, and its members are to receive messages in order
		}
		<-r.pool.dropped
		subs = &r.pool.subs
		holds = &r.pool.anchor // or for a member that was lost before
	}
	c.srv.grace.Wait(holds.slot)
	wait := finishWait
	if row.abrupt {
		wait = 0
	}
	out, waits := c.out.Leave(wait)
	l := &leftover{c: c, subs: subs, out: out, open: waits && !row.abrupt, dropped: c.srv.leftovers.drops()}
	if l.open {
		l.rest = out.First
	}
	l.pass()
	l.out.Release()
	c.srv.io.SetAside.Add(-l.kept)
	if waits {
		c.out.Continue(l.rest)
	}
}

// pass delivers the queue messages in what is left to others, and keeps the rest. Leftovers wait for a slot: many
// at once would take the processors from clients that are connected.
func (l *leftover) pass() {
	if len(l.out.Segments) == 0 {
		return
	}
	l.choices, l.allowed = make(map[string]*choice), freeLooks
	l.giveUp()
	defer l.freeSlot()
	l.c.readLeftover(&l.out, l.nextPart, func(o *op, b *batch, text []byte, sent int) {
		switch begun := sent > 0; {
		case begun && l.open:
			l.keep(text[sent:])
		case sent == len(text), l.givenUp:
		case !l.passMessage(o, b) && l.open:
			l.keep(text)
		}
		l.behind = sent == 0
	})
}

// keep keeps what is sent to the peer itself. It counts with the leftovers until then.
func (l *leftover) keep(text []byte) {
	if len(l.rest)+len(text) > max(cap(l.rest), highWater) {
		l.rest = slices.Grow(l.rest, max(len(text), int(l.out.Size())-len(l.rest))) // at once: much of it may follow
	}
	l.rest = append(l.rest, text...)
	l.c.srv.io.SetAside.Add(int64(len(text)))
	l.kept += int64(len(text))
}

// awaitSlot waits until fewer others are passed on. It ends early if all are given up, or the server ends.
func (l *leftover) awaitSlot() {
	select {
	case l.c.srv.leftovers.slots <- struct{}{}:
		l.slot = true
	case <-l.dropped:
	case <-l.c.srv.quit:
	}
}

func (l *leftover) freeSlot() {
	if l.slot {
		l.slot = false
		<-l.c.srv.leftovers.slots
	}
}

// readLeftover calls act with each operation of a leftover, its text, and how many bytes of that have
// been sent, as if it had come over a route, and begin before each part that is in the read buffer at a
// time, until that reports false. Bytes that are no operation end that, too, but there are none: this server
// has written them.
func (c *conn) readLeftover(l *netio.Leftover, begin func() bool, act func(o *op, b *batch, text []byte, sent int)) {
	at := 0
	w := c.srv.scratch.Get().(*readerScratch)
	w.limits = frameLimits{role: roleRoute, line: math.MaxInt32, payload: -1, single: true}
	defer func() {
		c.in.Clear()
		w.op = op{}
		c.srv.scratch.Put(w)
	}()
	c.in.Clear()
	for _, s := range l.Segments {
		for text := s.Bytes; len(text) > 0; {
			n := copy(c.in.Space(netio.ReadSize), text)
			c.in.Filled(n)
			text = text[n:]
			if !begin() {
				return
			}
			w.batch.begin(c)
			ok := c.readOps(w, func(o *op, b *batch, text []byte) {
				sent := min(len(text), max(0, l.Sent-at))
				at += len(text)
				act(o, b, text, sent)
			})
			if w.batch.end(); !ok {
				return
			}
		}
	}
}

// readOps calls act with the operations in the read buffer. It reports false if there are other bytes.
func (c *conn) readOps(w *readerScratch, act func(o *op, b *batch, text []byte)) (ok bool) {
	b, o := &w.batch, &w.op
	for !c.in.Incomplete() {
		unread := c.in.Unread()
		n, want, _, err := w.limits.next(unread, o)
		if n == 0 {
			c.in.Need(want, 0) // nothing may be dropped: it counts, and may be sent
			return err == frameOK
		}
		b.at = uint32(c.in.Offset())
		act(o, b, unread[:n])
		c.in.Consume(n)
		b.flushIfDue(nil)
	}
	return true
}

// passMessage collects a message for another member of its queue group. It reports false if it is
// for no queue group, or too large, or no other member takes it.
func (l *leftover) passMessage(o *op, b *batch) bool {
	if o.verb != verbMsg && o.verb != verbHmsg || int64(o.size) > b.maxPending { // which would end the others, too
		return false
	}
	group := l.group(o.arg[1])
	if group == "" {
		return false
	}
	subject := o.arg[0]
	b.pin()
	l.allowed += looksPerMessage
	c := l.choice(subject, group, b)
	if c.group == nil {
		return false
	}
	return l.give(c, subject, b.add(subject, o.reply(), o), b)
}

// maxChoices is how many choices are remembered.
const maxChoices = 1 << 10

// nextPart is called before each part of what is left: what subjects match may have changed. It reports
// false if nothing is to be done any more.
func (l *leftover) nextPart() bool {
	l.freeSlot()
	if !l.givenUp {
		l.awaitSlot()
		l.giveUp()
	}
	if l.part++; len(l.choices) > maxChoices {
		clear(l.choices)
	}
	return !l.givenUp || l.open && !l.behind
}

// choice returns who messages of a subject can be given to.
func (l *leftover) choice(subject []byte, group string, b *batch) *choice {
	l.key = append(append(append(l.key[:0], subject...), ' '), group...)
	c := l.choices[string(l.key)]
	if c != nil && c.part == l.part {
		return c
	}
	res := b.lookUp(subject)
	if c != nil && c.res == res && c.group != nil {
		c.part, c.known = l.part, len(c.roomy) > 0
		return c
	}
	c = &choice{res: res, part: l.part}
	l.choices[string(l.key)] = c
	if queues := res.Queues(); l.look(len(queues)) {
		if i := slices.IndexFunc(queues, func(g sublist.Group[*subscription]) bool { return g.Name == group }); i >= 0 {
			c.group = &queues[i]
		}
	}
	return c
}

// look reports whether n more groups or members may be looked at.
func (l *leftover) look(n int) bool {
	if l.looks+n > l.allowed {
		return false
	}
	l.looks += n
	return true
}

// give collects a message for a random member that has room. It reports false if there is none, or
// finding one would take too long.
func (l *leftover) give(c *choice, subject []byte, p place, b *batch) bool {
	n := c.group.Len()
	if !c.known {
		for range min(n, roomyTries) {
			if sub := c.group.At(b.rand.IntN(n)); sub.conn.roomy() && b.offer(sub, subject, p) > 0 {
				return true
			}
		}
		if !l.look(n) {
			return false
		}
		b.steps += n
		c.findRoomy()
	}
	for len(c.roomy) > 0 {
		i, last := b.rand.IntN(len(c.roomy)), len(c.roomy)-1
		if sub := c.roomy[i]; sub.conn.roomy() && b.offer(sub, subject, p) > 0 {
			return true
		}
		c.roomy[i], c.roomy = c.roomy[last], c.roomy[:last]
	}
	return false
}

// findRoomy finds the members with room. Members of one connection often follow each other.
func (c *choice) findRoomy() {
	var conn *conn
	roomy := false
	for sub := range c.group.From(0) {
		if sub.conn != conn {
			conn = sub.conn
			roomy = conn.roomy()
		}
		if roomy {
			c.roomy = append(c.roomy, sub)
		}
	}
	c.known = true
}

// group returns the queue group of a subscription that the connection had, "" if it is none.
func (l *leftover) group(sid []byte) string {
	c := l.c
	sub := l.subs.with(string(sid))
	if r, ok := c.ops.(*route); ok {
		if bytes.HasPrefix(sid, []byte(systemID)) {
			return "" // of another table of subscriptions
		}
		if sub == nil {
			sub = r.holder().subOf(sid)
		}
	}
	if sub != nil {
		return sub.queue()
	}
	if c.role == roleClient {
		group, _ := c.srv.cluster.closed.group(appendClientSID([]byte(queueID), c.id, sid))
		return group
	}
	return ""
}

// roomy reports whether little is pending for a connection, or on one to the same server: what one
// slow consumer leaves behind must not disconnect the next.
func (c *conn) roomy() bool {
	if c.pool == nil {
		return !c.out.HalfFull()
	}
	return slices.ContainsFunc(*c.pool.members.Load(), func(r *route) bool { return !r.out.HalfFull() })
}
