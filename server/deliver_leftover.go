package server

import (
	"bytes"
	"math"
	"slices"

	"gnatsd/server/internal/netio"
	"gnatsd/sublist"
)

// This file gives queue messages that a connection was handed, and that its socket has not taken
// when it ends, to other members of their groups. What the socket has taken counts as delivered.

// leftover is what a connection has not been sent when it ends.
type leftover struct {
	c      *conn
	subs   *subscriptions // that it had
	out    netio.Leftover
	goesOn bool   // the peer may still be sent what no other connection takes
	rest   []byte // that no other connection takes
}

// passOn gives what is left of a connection to others. The connection has no subscriptions any
// more; subs are those it had. The rest is still sent, if the connection ends in order, while the
// write queue is finished.
func (c *conn) passOn(row *closeRow, subs *subscriptions) {
	if !c.out.Keeps() || c.reason() == closeShutdown {
		return
	}
	if r, ok := c.ops.(*route); ok && r.pool != nil && !r.pool.ended.Load() {
		return // others to the same server are left, and its members are to receive messages in order
	}
	c.srv.grace.wait(nil) // batches may have collected messages for it
	wait := finishWait
	if row.abrupt {
		wait = 0
	}
	out, waits := c.out.Leave(wait)
	l := &leftover{c: c, subs: subs, out: out, goesOn: waits && !row.abrupt}
	if len(out.Segments) > 0 {
		l.pass()
		l.out.Release()
	}
	if waits {
		c.out.Continue(l.rest)
	}
}

// pass delivers the queue messages in what is left to others, and keeps the rest.
func (l *leftover) pass() {
	l.c.readLeftover(&l.out, func(o *op, b *batch, text []byte, sent int) {
		begun, ended := sent > 0, sent == len(text)
		if (ended || begun && l.goesOn || !l.passMessage(o, b)) && l.goesOn {
			l.rest = append(l.rest, text[sent:]...)
		}
	})
}

// readLeftover calls act with each operation of a leftover, its text, and how many bytes of that have
// been sent, as if it had come over a route. Bytes that are no operation end that, but there are none:
// this server has written them.
func (c *conn) readLeftover(l *netio.Leftover, act func(o *op, b *batch, text []byte, sent int)) {
	at := 0
	w := c.srv.scratch.Get().(*readerScratch)
	w.limits = frameLimits{role: roleRoute, line: math.MaxInt32, payload: -1, single: true}
	c.in.Clear()
	for _, s := range l.Segments {
		for text := s.Bytes; len(text) > 0; {
			n := copy(c.in.Space(netio.ReadSize), text)
			c.in.Filled(n)
			text = text[n:]
			w.batch.begin(c)
			c.readOps(w, func(o *op, b *batch, text []byte) {
				sent := min(len(text), max(0, l.Sent-at))
				at += len(text)
				act(o, b, text, sent)
			})
			w.batch.end()
		}
	}
	c.in.Clear()
	w.op = op{}
	c.srv.scratch.Put(w)
}

// readOps calls act with the operations in the read buffer.
func (c *conn) readOps(w *readerScratch, act func(o *op, b *batch, text []byte)) {
	b, o := &w.batch, &w.op
	for !c.in.Incomplete() {
		unread := c.in.Unread()
		n, want, _, _ := w.limits.next(unread, o)
		if n == 0 {
			c.in.Need(want, 0) // nothing may be dropped: it counts, and may be sent
			return
		}
		b.at = uint32(c.in.Offset())
		act(o, b, unread[:n])
		c.in.Consume(n)
		if b.due() {
			b.flush()
		}
	}
}

// passMessage collects a message for another member of its queue group. It reports false if it is
// for no queue group, or no other member takes it.
func (l *leftover) passMessage(o *op, b *batch) bool {
	if o.verb != verbMsg && o.verb != verbHmsg {
		return false
	}
	group := l.group(o.arg[1])
	if group == "" {
		return false
	}
	subject, reply := o.arg[0], []byte(nil)
	if o.argCount == verbRows[o.verb].max {
		reply = o.arg[2]
	}
	b.pin()
	queues := b.lookUp(subject).Queues()
	i := slices.IndexFunc(queues, func(g sublist.Group[*subscription]) bool { return g.Name == group })
	if i < 0 {
		return false
	}
	p := place{at: b.offset(o.payload), line: b.addLine(subject, reply, o), n: 1}
	return b.toMember(&queues[i], subject, p, (*conn).roomy)
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
