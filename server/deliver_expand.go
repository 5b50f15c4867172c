package server

import (
	"time"

	"gnatsd/server/internal/netio"
)

// expansion is what one goroutine needs to hand a batch over: memory in which the messages of one
// target after the other are written out, just as they go to the socket.
type expansion struct {
	b   *batch
	now int64 // UnixNano

	// Of the target under way.
	t        *target
	mem      *netio.Chunk // the memory of buf
	buf      []byte       // control lines, and payloads but the large ones
	cut      int          // how much of buf is in delivery.Segments
	large    int          // bytes of delivery.Segments that are not in buf
	delivery netio.Delivery
	drops    bool     // it may lose messages: what is pushed at a time is small, and has no text besides
	limit    int      // of the bytes of one push
	sources  []source // of it, if it has several
	heap     []uint64 // of their keys

	// The control line that was written last into buf, to be copied for the next message.
	headSub        *subscription
	headLine       uint32
	headAt, headTo int

	// What buf holds, if that is all messages of one fanout.
	whole    bool
	fanout   uint32
	sid      string
	headless bool

	bytes   int // of messages
	reached int // targets that got messages
	streak  netio.Streak
}

const (
	// expansionSize is the size of buf: it fits the cache of a core, most batches need one write
	// for each target, and fill so much of it that a queue keeps the memory instead of a copy.
	expansionSize = 96 << 10
	// refPayload is the payload size from which a message is not copied but written from where
	// it was read.
	refPayload = 8 << 10
	// maxSegments bounds the parts of one write.
	maxSegments = 64
	// thinWrite is how much a target gets on average where a longer read would save time.
	thinWrite = 16 << 10
	// maxThin bounds how many targets the flush of a long read may have. So many take milliseconds.
	maxThin = 1 << 10
)

// flushPace is when a flush lets others go on. That takes 5 to 10 us while its publisher has more to send,
// and a look at the clock up to 0.1 us.
var flushPace = netio.Pace{Steps: 64, Bytes: 512 << 10, Streak: time.Millisecond}

// start prepares for a flush of b.
func (x *expansion) start(b *batch, now int64) {
	x.b, x.now = b, now
	x.bytes, x.reached, x.streak = 0, 0, netio.Streak{}
	if x.mem == nil {
		x.allocate(expansionSize)
	}
	x.empty()
}

// finish forgets what the memory referred to.
func (x *expansion) finish() {
	clear(x.delivery.Segments[:cap(x.delivery.Segments)])
	if x.mem.Shared() || cap(x.buf) > 4*expansionSize { // control lines can be very long
		x.mem.Release()
		x.mem, x.buf = nil, nil
	}
	x.reset()
	x.b, x.t = nil, nil
	x.forgetSources()
}

// allocate gets memory for buf, at least so many bytes.
func (x *expansion) allocate(size int) {
	x.mem = netio.NewChunk(size)
	x.buf = x.mem.Space()
}

// empty prepares for another target, or for the rest of one. Memory that a queue has kept is left to
// it.
func (x *expansion) empty() {
	if x.mem.Shared() {
		x.mem.Release()
		x.allocate(expansionSize)
	}
	x.reset()
}

// reset forgets what has been written.
func (x *expansion) reset() {
	x.buf, x.cut, x.large = x.buf[:0], 0, 0
	x.delivery = netio.Delivery{Segments: x.delivery.Segments[:0], Droppable: x.drops}
	x.headSub, x.whole = nil, false
}

// deliver writes what the batch holds for one target. Others are let go on now and then, since there
// may be thousands.
func (x *expansion) deliver(t *target) {
	b, before := x.b, x.bytes
	x.t = t
	x.drops, x.limit = t.c.dropsMessages(), b.limit
	if x.drops {
		x.limit = min(b.limit, int(netio.DropUnit(b.maxPending)))
	}
	list := b.sorted[t.from:t.to]
	if len(list) == 1 && list[0].line == fanoutLine {
		x.addFanout(&list[0])
	} else {
		x.empty()
		if t.path != nil {
			x.buf = t.path.appendFences(x.buf)
		}
		if b.inOrder(list) {
			x.addEach(list)
		} else {
			x.addMerged(list)
		}
	}
	x.push()
	if x.bytes == before {
		return
	}
	x.reached++
	t.c.lastActive.Store(x.now)
	b.srv.io.Step(&x.streak, x.bytes-before, &flushPace)
}

// addFanout writes the messages of one fanout. They stand in buf already if the target before got
// the same.
func (x *expansion) addFanout(all *entry) {
	number, n := all.n&^claimed, int64(all.at)
	g, sid := &x.b.fanouts[number], all.sub.sid()
	headless := g.headers && !x.t.c.headers.Load()
	if x.whole && !x.drops && n == g.msgs && x.fanout == number && x.sid == sid && x.headless == headless {
		return
	}
	x.empty()
	x.whole, x.fanout, x.sid, x.headless = n == g.msgs, number, sid, headless
	for _, p := range g.places {
		k := min(int64(p.n), n)
		x.add(all.sub, p, uint32(k))
		n -= k
	}
}

// addEach writes entries, in their order.
func (x *expansion) addEach(list []entry) {
	for i := range list {
		if d := &list[i]; d.line == textLine {
			x.addText(x.b.texts[d.n])
		} else {
			x.add(d.sub, d.place, d.n&^claimed)
		}
	}
}

// inOrder reports whether each entry begins behind the last message of the one before. Fanouts have
// messages everywhere.
func (b *batch) inOrder(list []entry) bool {
	last := uint32(0)
	for i := range list {
		d := &list[i]
		if d.at < last || d.line == fanoutLine {
			return false
		}
		if last = d.at; d.line != textLine && d.n != claimed {
			last += (d.n&^claimed - 1) * b.lines[d.line].length
		}
	}
	return true
}

// addText writes text for the batch's own connection.
func (x *expansion) addText(part textPart) {
	text := x.b.text[part.from:part.to]
	x.makeRoom(len(text))
	if x.drops { // messages may be dropped, and text may not
		x.flush()
		x.delivery.Droppable = part.payload >= 0 // a status is a message
		defer x.flush()
	}
	x.buf = append(x.buf, text...)
	if part.payload >= 0 {
		x.delivery.Messages++
		x.delivery.Payload += int64(part.payload)
	}
}

// flush pushes what has been added, and makes room for more.
func (x *expansion) flush() {
	x.push()
	x.empty()
}

// add writes n messages of one line.
func (x *expansion) add(sub *subscription, p place, n uint32) {
	if n == 0 {
		return
	}
	b, c := x.b, x.t.c
	l := &b.lines[p.line]
	at, size := p.at, l.size
	bare := l.header > 0 && !c.headers.Load()
	if bare {
		at, size = at+l.header, size-l.header
		if r, ok := c.ops.(*route); ok {
			r.lostHeaders(int64(n))
		}
	}
	over := int64(size) > b.maxPending && c.role == roleClient
	room := x.headTo - x.headAt
	if x.headSub != sub || x.headLine != p.line {
		room = maxHead + int(l.subjectLen+l.tailLen) + len(sub.sid())
	}
	if size < refPayload {
		room += int(size) + len("\r\n")
	}
	for range n {
		x.makeRoom(room)
		x.addHead(sub, l, p.line, bare)
		payload := b.bytesAt(at, size+2)
		if size < refPayload {
			x.buf = append(x.buf, payload...)
		} else {
			x.addLarge(payload)
		}
		x.delivery.Messages++
		x.delivery.Payload += int64(size)
		x.delivery.TooLarge = x.delivery.TooLarge || over
		x.delivery.Subject = b.bytesAt(l.subject, l.subjectLen)
		at += l.length
	}
}

// makeRoom makes sure that n bytes can be appended to buf, and that one write does not get too
// large.
func (x *expansion) makeRoom(n int) {
	if len(x.buf)+n > cap(x.buf) || len(x.buf)+x.large >= x.limit || len(x.delivery.Segments) >= maxSegments {
		x.flush()
		if n > cap(x.buf) {
			x.mem.Release()
			x.allocate(n)
		}
	}
}

// maxHead is how many bytes a control line may have besides subject, sid and tail.
const maxHead = len("HMSG ") + 2 + 2*maxSizeDigits + len(" \r\n")

// addHead writes a control line.
func (x *expansion) addHead(sub *subscription, l *line, number uint32, bare bool) {
	if x.headSub == sub && x.headLine == number {
		x.buf = append(x.buf, x.buf[x.headAt:x.headTo]...)
		return
	}
	x.headSub, x.headLine, x.headAt = sub, number, len(x.buf)
	x.buf = x.b.appendLine(x.buf, l, sub.sid(), bare)
	x.headTo = len(x.buf)
}

// appendLine appends the control line of l for a sid.
func (b *batch) appendLine(text []byte, l *line, sid string, bare bool) []byte {
	text = appendHead(text, l.header > 0 && !bare, b.bytesAt(l.subject, l.subjectLen), sid)
	tail := b.tail(l)
	if bare {
		return appendTail(text, tail[:l.replyLen], 0, int(l.size-l.header))
	}
	return append(text, tail...)
}

// appendHead appends the beginning of a control line, as far as the sid.
func appendHead(text []byte, headers bool, subject []byte, sid string) []byte {
	if headers {
		text = append(text, 'H')
	}
	text = append(text, "MSG "...)
	text = append(text, subject...)
	text = append(text, ' ')
	text = append(text, sid...)
	return append(text, ' ')
}

// appendTail appends what follows the sid; header is 0 for messages without headers.
func appendTail(text, reply []byte, header, size int) []byte {
	if len(reply) > 0 {
		text = append(text, reply...)
		text = append(text, ' ')
	}
	if header > 0 {
		text = append(appendSize(text, header), ' ')
	}
	return append(appendSize(text, size), "\r\n"...)
}

// appendSize appends a size in less than half the time that [strconv.AppendInt] takes, which is 9 ns.
func appendSize(text []byte, size int) []byte {
	var digits [maxSizeDigits]byte
	at := len(digits) - 1
	for ; size >= 10; at-- {
		digits[at] = '0' + byte(size%10)
		size /= 10
	}
	digits[at] = '0' + byte(size)
	return append(text, digits[at:]...)
}

// addLarge adds a payload where it was read.
func (x *expansion) addLarge(payload []byte) {
	x.cutOff()
	x.delivery.Segments = append(x.delivery.Segments, netio.Segment{Bytes: payload, Chunk: x.b.from.in.Chunk()})
	x.large += len(payload)
}

// cutOff makes what is new in buf a part of the next write.
func (x *expansion) cutOff() {
	if len(x.buf) > x.cut {
		x.delivery.Segments = append(x.delivery.Segments, netio.Segment{Bytes: x.buf[x.cut:], Chunk: x.mem})
		x.cut = len(x.buf)
	}
}

// push writes to the target what has been added. It may be done again, to another one.
func (x *expansion) push() {
	x.cutOff()
	if len(x.delivery.Segments) == 0 {
		return
	}
	x.delivery.Bytes = len(x.buf) + x.large
	d := x.delivery
	if d.Messages > 0 {
		d.ReadAt, x.t.readAt = x.t.readAt, 0
		x.bytes += d.Bytes
		x.b.srv.counters.out(x.b.from, x.t.c.role, d.Messages, d.Payload) // before a client can know of them
	}
	if r, ok := x.t.c.ops.(*route); ok && x.follow(r, &d) {
		return
	}
	if x.t.path != nil {
		x.t.path.refence()
	}
	d.Room = x.b.room.Take(&x.t.c.out, d.Bytes)
	x.t.c.out.Push(&d)
	if d.Refused && d.Reserved {
		d.Drop()
	}
	switch w := x.t.path; {
	case w == nil:
	case d.Refused: // the member is lost
		x.t.c = &w.redirect(&x.delivery).conn
	default:
		w.sent()
	}
}

// follow queues a delivery behind the interest of its publisher, if some of that has not been sent,
// and reports whether it did.
func (x *expansion) follow(r *route, d *netio.Delivery) (queued bool) {
	carrier, w, index := r.carrier(), x.t.path, uint32(0)
	if w != nil {
		index = w.index
	}
	if carrier == nil || !carrier.interest.follow(x.b.from, d, r, index) {
		return false
	}
	if w != nil {
		w.queued()
	}
	return true
}
