package server

import (
	"math/rand/v2"
	"slices"
	"time"

	"gnatsd/server/internal/grace"
	"gnatsd/server/internal/netio"
	"gnatsd/sublist"
)

// batch is what the bytes of one read ask to be delivered. It remembers where messages stand in the
// read buffer and who is to get them, and copies nothing; flush hands everything over, target by
// target. It belongs to the reader of one connection, which borrows it for the time that its read
// buffer does not move.
//
// A message goes to a list of plain subscriptions as a whole (a [fanout]), as long as none of them
// needs a look at every message, and to single subscriptions one by one (a [entry]).
type batch struct {
	srv  *Server
	from *conn
	in   []byte // the read buffer; places count from its beginning
	at   uint32 // where the operation that is acted on begins

	lines []line
	text  []byte // replies, and the tails of lines
	texts []textPart

	fanouts  []fanout
	fanoutOf map[*sublist.Set[*subscription]]uint32
	matches  []*sublist.Result[*subscription] // of lines that are recognized when they come again
	known    recurring
	thin     bool // what was flushed last was little for each target
	entries  []entry

	targets   []target
	sparse    []uint32 // by slot: index of the target, if that is really of the connection
	perSlot   []uint32 // by slot: memory to count subscriptions; all are 0
	collected int      // bytes that one connection may get of the fanouts that are collected
	single    int      // the most bytes that one connection gets of what is collected one by one
	limit     int      // flush above it

	begun   time.Time // of the batch, or the last flush; when the clock was looked at first
	yielded time.Time // the same, since others went on
	steps   int       // work, also before the last flush, since the clock was looked at
	pinned  grace.Pin
	narrow  bool // it is handed over, and not pinned
	long    grace.Flush
	room    netio.Room // reserved at one of the targets, while flushing

	inMsgs, inBytes int64
	noReceivers     int64 // of inMsgs, those without a receiver
	unheard         subjectSample
	maxPending      int64 // of clients
	preferLocal     bool  // queue members of this server come first
	tracing         bool
	readAt          int64 // UnixNano of the read, 0 unless the batch is a sample

	sampler sampler
	scratch expansion
	rand    *rand.Rand // draws members of queue groups

	sorted []entry // by target

	filtered filterAnswer

	toSelf bool          // it may hold messages for the connection that it was read from
	newest *subscription // of that connection, if the batch holds none for it
}

// place is where messages with one control line stand in the read buffer, one after the other.
type place struct {
	at   uint32 // of the first payload
	line uint32
	n    uint32
}

// line is the control line of published messages: what all copies of them have in common.
type line struct {
	subject, subjectLen uint32 // in the read buffer
	tail, tailLen       uint32 // in batch.text: what follows the sid, "[reply] [header] size\r\n"
	replyLen            uint32 // the tail begins with the reply, if there is one
	size, header        uint32
	length              uint32 // from one payload to the next
	n                   uint32 // messages that were published with it

	// If it is recognized when it comes again:
	text, textLen uint32 // all of it, in the read buffer
	match         uint32 // of the messages
}

// Entries that are no messages of one line have these instead of its number, and in n which they are.
const (
	textLine   = ^uint32(0) - iota // text for the batch's own connection, of batch.texts
	fanoutLine                     // messages of a fanout; at says how many, once they are claimed
)

// claimed marks the n of an entry that its subscription has counted already.
const claimed = 1 << 31

// entry is what one subscription gets of the batch. Those of fanouts are added while flushing.
type entry struct {
	place
	target uint32
	sub    *subscription
}

// fanout is a list of plain subscriptions that all get the same messages.
type fanout struct {
	whole   []*subscription // get all of them
	each    []*subscription // need a look at every message
	mixed   []*subscription // memory of whole, where it is not all there are
	places  []place
	msgs    int64 // in places
	headers bool  // some of them have headers
	copies  int   // of a message that one connection gets at most
}

// target is one connection that gets something.
type target struct {
	c        *conn
	from, to uint32 // its entries in batch.sorted, while flushing
	path     *path  // if c is a member of a pool; else nil
	readAt   int64  // UnixNano of the read, if it is followed to the socket, else 0
	bytes    int    // of what is collected one by one
}

// textPart is a part of batch.text for the batch's own connection.
type textPart struct {
	from, to uint32
	payload  int // if it is a message, else -1
}

const (
	// maxEntries bounds what is collected one by one, 1 MB of memory.
	maxEntries = 1 << 15
	// maxTries bounds how many members of queue groups are looked at for one part of an operation, if
	// all refuse: with 20 000 members and 1 024 messages others waited 2.3 s for a PONG, and 49 ms
	// since there is a bound.
	maxTries = 1 << 16
	// maxFanouts bounds the fanouts of a batch.
	maxFanouts = 512
	// maxText bounds the replies of a batch, and the tails of its lines.
	maxText = 64 << 10
	// batchTime is how long a batch may take before it is flushed: those who unsubscribe wait
	// for it, and so do the messages.
	batchTime = 5 * time.Millisecond
	// yieldEvery is when a reader that has much to do with one read lets others go on. With ten clients that
	// send what is refused, others waited four times as long without it.
	yieldEvery = 250 * time.Microsecond
	// stepsPerLook is how much is done between two looks at the clock, and stepTime about how long a step
	// takes, in ns.
	stepsPerLook = 4 << 10
	stepTime     = 10
	// slowSteps is what a match counts for at least for which the patterns were asked: it may take
	// milliseconds.
	slowSteps = stepsPerLook / 4
	// controlSteps is what an operation counts for that is no message, or a refused one: up to some 2 µs.
	controlSteps = 200
	// connectSteps is what a CONNECT counts for besides.
	connectSteps = 1000
)

// begin prepares for what c has read.
func (b *batch) begin(c *conn) {
	opts := c.srv.options()
	b.from = c
	b.in = c.in.Bytes()[:0]
	b.maxPending = opts.MaxPending
	b.limit = int(max(opts.highWater(), 1))
	b.preferLocal = opts.Cluster.PreferLocal
	b.tracing = c.srv.log.tracing()
	b.readAt, b.thin, b.steps, b.yielded = 0, false, 0, time.Time{}
	b.known.looks, b.known.added = maxMisses, c.table.Added()
	if b.sampler.due() {
		b.readAt = time.Now().UnixNano()
		b.sampler.took(b.readAt)
	}
}

// end flushes the batch and adds it up.
func (b *batch) end() {
	b.flush()
	b.from, b.in, b.filtered.filter, b.newest = nil, nil, nil, nil
}

// pin precedes every match: from here to the flush, those who unsubscribe wait for the batch before
// they answer a PING.
func (b *batch) pin() {
	if !b.pinned.Held() {
		b.pinned = b.srv.grace.Pin(b.from.slot)
	}
}

// lookUp returns what a subject matches. The batch is pinned.
func (b *batch) lookUp(subject []byte) *sublist.Result[*subscription] {
	slow := b.from.slowMatches()
	res := b.from.match(subject)
	if b.from.slowMatches() != slow {
		b.steps += max(slowSteps, res.Words())
	}
	return res
}

// unpin says that everything collected has been handed over, to other clients at least.
func (b *batch) unpin() {
	if b.pinned.Held() {
		b.srv.grace.Unpin(b.pinned)
		b.pinned = grace.Pin{}
	}
	if b.narrow {
		b.srv.grace.End(&b.long)
		b.narrow = false
	}
}

// narrowTo unpins a batch that is about to be handed over: only those wait for it that it may hold
// messages for.
func (b *batch) narrowTo(targets []target) {
	if b.pinned.Held() {
		b.long.Reset()
		for i := range targets {
			t := &targets[i]
			b.long.Add(t.c.slot)
			if t.path != nil {
				b.long.Add(t.path.pool.anchor.slot)
			}
		}
		b.srv.grace.Begin(&b.long)
		b.unpin()
		b.narrow = true
	}
}

// due reports whether the batch must be flushed before it is finished.
func (b *batch) due() bool {
	full := b.full() || len(b.entries) >= maxEntries || len(b.fanouts) >= maxFanouts || len(b.text) >= maxText
	if b.steps < stepsPerLook {
		return full
	}
	b.steps = 0
	now := time.Now()
	if b.begun.IsZero() {
		b.begun = now
	}
	if b.yielded.IsZero() {
		b.yielded = now
	} else if now.Sub(b.yielded) >= yieldEvery {
		b.from.link.Yield()
		b.yielded = time.Time{}
	}
	return full || now.Sub(b.begun) >= batchTime
}

// offset returns where a slice of the read buffer begins.
func (b *batch) offset(part []byte) uint32 { return uint32(cap(b.in) - cap(part)) }

// add notes the control line of a publication, and returns the place of its messages.
func (b *batch) add(subject, reply []byte, o *op) place {
	n, at := len(b.lines), len(b.text)
	b.text = appendTail(b.text, reply, o.header, o.size)
	b.lines = slices.Grow(b.lines, 1)[:n+1]
	l := &b.lines[n]
	l.subject, l.subjectLen, l.replyLen = b.offset(subject), uint32(len(subject)), uint32(len(reply))
	l.tail, l.tailLen = uint32(at), uint32(len(b.text)-at)
	l.size, l.header, l.length, l.n = uint32(o.size), uint32(o.header), uint32(o.length()), uint32(o.count)
	return place{at: b.offset(o.payload), line: uint32(n), n: l.n}
}

// bytesAt returns bytes of the read buffer.
func (b *batch) bytesAt(at, n uint32) []byte { return b.in[:cap(b.in)][at : at+n] }

func (b *batch) tail(l *line) []byte { return b.text[l.tail : l.tail+l.tailLen] }

// reply collects text for the connection that the batch was read from.
func (b *batch) reply(text string) {
	if d := b.from.deferred; d != nil {
		if d.add(text) {
			return
		}
		b.flush() // no grace period may wait for a batch that waits for it
		b.from.awaitReplies()
	}
	at := uint32(len(b.text))
	b.text = append(b.text, text...)
	b.addText(at, -1)
}

// addText collects what has been appended to b.text from at on: a message with so many bytes of
// payload, or -1 for none.
func (b *batch) addText(at uint32, payload int) {
	b.entries = append(b.entries, entry{
		place: place{at: b.at, line: textLine, n: uint32(len(b.texts))}, target: b.target(b.from),
	})
	b.texts = append(b.texts, textPart{at, uint32(len(b.text)), payload})
}

// deliver collects messages of one line for one subscription.
func (b *batch) deliver(sub *subscription, p place) {
	t := b.target(sub.conn)
	b.entries = append(b.entries, entry{place: p, target: t, sub: sub})
	to := &b.targets[t]
	to.bytes += int(p.n&^claimed) * b.lines[p.line].bytes()
	b.single = max(b.single, to.bytes)
	b.steps++
	if sub.conn == b.from {
		b.toSelf, b.newest = true, nil
	}
}

// mayHold reports whether the batch may hold messages for a subscription of the connection that it was
// read from.
func (b *batch) mayHold(sub *subscription) bool { return b.toSelf && sub != b.newest }

// bytes returns about how many bytes one copy of a message is.
func (l *line) bytes() int { return int(l.subjectLen+l.tailLen+l.size) + maxHead }

// full reports whether one connection may get so much that the batch must be flushed.
func (b *batch) full() bool { return b.collected+b.single >= b.limit }

// target returns the index of a connection's target, adding it if need be.
func (b *batch) target(c *conn) uint32 {
	slot := c.slot
	if int(slot) >= len(b.sparse) {
		b.sparse = append(b.sparse, make([]uint32, int(slot)+1-len(b.sparse))...)
	}
	i := b.sparse[slot]
	if int(i) < len(b.targets) && b.targets[i].c == c {
		return i
	}
	i = uint32(len(b.targets))
	b.sparse[slot] = i
	b.targets = append(b.targets, target{c: c})
	return i
}

// members returns how many members queue groups have.
func members(queues []sublist.Group[*subscription]) (n int) {
	for i := range queues {
		n += queues[i].Len()
	}
	return n
}

// part returns the messages at the beginning of a place that the batch has room for, at least one.
func (b *batch) part(p place, res *sublist.Result[*subscription]) place {
	n := 1
	if p.n > 1 { // dividing takes as long as the rest
		queues := b.queuesOf(res)
		room := max(0, b.limit-b.collected-b.single) / b.lines[p.line].bytes()
		n = max(1, min(int(p.n), room/b.copies(res), maxEntries/(len(queues)+1), maxTries/(members(queues)+1)))
	}
	b.steps += n
	return place{at: p.at, line: p.line, n: uint32(n)}
}

// flushIfDue flushes the batch if it is due, in the middle of an operation, but keeps the line of p
// unless that is nil.
func (b *batch) flushIfDue(p *place) {
	if !b.due() {
		return
	}
	if p == nil {
		b.flush()
		return
	}
	l := b.lines[p.line]
	tail := slices.Clone(b.tail(&l))
	b.flush()
	l.tail = 0
	b.text = append(b.text, tail...)
	b.lines = append(b.lines, l)
	p.line = 0
}
