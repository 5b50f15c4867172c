package server

import (
	"strconv"
	"time"

	"gnatsd/sublist"
)

// stage is what the reader of one connection keeps for the batch it is
// working on: for every connection that is to receive something, the bytes
// that go there. Nothing here is locked, and nothing is counted in shared
// memory, until the batch ends and flush pushes to each target once.
//
// A stage is borrowed from the server's pool for one batch.
type stage struct {
	srv  *Server
	from *conn // whose reader works on the batch

	// targets is a sparse set: sparse[slot] is the index of the target whose
	// connection has that slot, if targets[index] really is that connection.
	targets []target
	sparse  []uint32

	streams [maxStreams]stream
	recent  int // the stream used last
	next    int // the stream to replace next

	encoded int // bytes copied into chunks since the last flush
	limit   int // flush above it

	maxPending int64 // of clients

	inMsgs      int64 // counted locally, added once per batch
	inBytes     int64
	mark        uint64 // number of the message being delivered
	sids        int    // streams that the message being delivered has begun
	tracing     bool
	preferLocal bool  // queue members of this server come first
	now         int64 // UnixNano of the last flush, 0 if there was none

	op      op
	msg     message // of op, if it is a publication
	bare    message // msg without its headers, for who does not take them
	lines   uint64  // control lines of publications, counted twice each (see message.line)
	limits  frameLimits
	lagging []*outbound
	relief  chan bool
	inside  graceKey // what was matched and is not pushed
}

// target is one connection that receives something in this batch.
type target struct {
	c       *conn
	segs    []seg
	own     *chunk // last chunk that only this target uses
	bytes   int    // in segs
	over    bool   // one message alone is more than may be pending
	msgs    int64
	payload int64
	mark    uint64 // message that was staged last (routes take one copy)
	subject []byte // of a recent message

	// The head encoded last into own, to be copied for a message of the same line.
	headSub  *subscription
	headLine uint64
	from, to int
}

// stream is a run of messages encoded once for all subscriptions of one result
// that have the same sid, and take headers alike: their bytes are equal, so every such target refers to
// the same chunk.
type stream struct {
	res  *sublist.Result[*subscription]
	sid  string
	bare bool // without the headers that others receive
	ck   *chunk
	mark uint64 // the message encoded last
	last frame
}

const (
	// maxStreams is how many streams a batch has at a time, and maxSids for how
	// many sids of one message there may be new ones.
	maxStreams = 16
	maxSids    = 8
	// stageBytes bounds what a batch may encode before it is pushed.
	stageBytes = 1 << 20
	// refPayload is the payload size from which a message is not copied but
	// referred to where it was read.
	refPayload = 8 << 10
	// scatter is how many segments a target may have before short messages are
	// copied together instead of adding another.
	scatter = 32
)

// message is a published message on its way to its subscribers. The slices
// belong to the publisher's read buffer.
type message struct {
	subject []byte
	reply   []byte
	size    int    // headers included
	header  int    // bytes of headers in front of the payload; 0 = none
	payload []byte // headers and payload with CRLF
	line    uint64 // of the batch: equal means that all but the payload is equal
	bare    bool   // had headers, but the subscriber does not take them
}

// begin prepares for a batch of c.
func (st *stage) begin(c *conn) {
	st.from = c
	opts := c.srv.options()
	st.limit = int(min(stageBytes, max(opts.MaxPending/2, 1)))
	st.maxPending = opts.MaxPending
	st.limits = frameLimits{role: c.role, line: opts.MaxControlLine, payload: opts.MaxPayload}
	if c.role == roleRoute {
		st.limits = routeFrameLimits(opts)
	}
	st.preferLocal = opts.Cluster.PreferLocal
	st.tracing = c.srv.log.tracing()
}

// enter precedes the choice of subscriptions: from here to the flush, those who
// unsubscribe wait for the batch before they answer a PING.
func (st *stage) enter() {
	if st.inside.shard == nil {
		st.inside = st.srv.grace.enter(st.from.slot)
	}
}

// leave says that everything that was staged is pushed.
func (st *stage) leave() {
	if st.inside.shard != nil {
		st.srv.grace.leave(st.inside)
		st.inside = graceKey{}
	}
}

// target returns the entry of c, adding it if need be. It is valid until the
// next call.
func (st *stage) target(c *conn) *target {
	slot := c.slot
	if int(slot) >= len(st.sparse) {
		st.sparse = append(st.sparse, make([]uint32, int(slot)+1-len(st.sparse))...)
	}
	i := st.sparse[slot]
	if int(i) < len(st.targets) && st.targets[i].c == c {
		return &st.targets[i]
	}
	return st.addTarget(c)
}

func (st *stage) addTarget(c *conn) *target {
	n := len(st.targets)
	if n < cap(st.targets) {
		st.targets = st.targets[:n+1]
	} else {
		st.targets = append(st.targets, target{})
	}
	st.sparse[c.slot] = uint32(n)
	t := &st.targets[n]
	t.c = c
	return t
}

// reply stages text for the connection that the batch was read from.
func (st *stage) reply(text string) {
	t := st.target(st.from)
	ck := t.room(len(text))
	ck.b = append(ck.b, text...)
	t.grown(ck, len(text))
	st.encoded += len(text)
}

// toOne stages a message for a single subscription.
func (st *stage) toOne(sub *subscription, m *message) {
	if m.header > 0 && !sub.conn.headers.Load() {
		m = st.withoutHeaders(sub.conn, m)
	}
	t := st.target(sub.conn)
	if m.size >= refPayload {
		st.byReference(t, sub, m)
	} else {
		n := frameLen(m, sub.sid)
		ck := t.room(n)
		at := len(ck.b)
		if t.headSub == sub && t.headLine == m.line {
			ck.b = append(ck.b, ck.b[t.from:t.to]...)
		} else {
			ck.b = appendHead(ck.b, m, sub.sid)
			t.headSub, t.headLine, t.from, t.to = sub, m.line, at, len(ck.b)
			t.subject = m.subject
		}
		ck.b = append(ck.b, m.payload...)
		t.grown(ck, len(ck.b)-at)
		st.encoded += n
	}
	t.msgs++
	t.payload += int64(m.size)
}

// withoutHeaders returns m as c receives it, which does not take headers. It is
// valid until the next message.
func (st *stage) withoutHeaders(c *conn, m *message) *message {
	if r, ok := c.ops.(*route); ok {
		r.lostHeaders()
	}
	st.bare = *m
	b := &st.bare
	b.header, b.bare, b.line = 0, true, m.line|1
	b.size, b.payload = m.size-m.header, m.payload[m.header:]
	return b
}

// byReference stages a large message: its head is encoded, its payload stays
// where it was read.
func (st *stage) byReference(t *target, sub *subscription, m *message) {
	ck := t.room(frameLen(m, sub.sid) - len(m.payload))
	at := len(ck.b)
	ck.b = appendHead(ck.b, m, sub.sid)
	t.grown(ck, len(ck.b)-at)
	st.encoded += len(ck.b) - at
	t.subject = m.subject
	in := st.from.in.ck
	off := cap(in.b) - cap(m.payload) // payload is a slice of in.b
	in.retain()
	t.segs = append(t.segs, seg{ck: in, from: off, to: off + len(m.payload)})
	t.bytes += len(m.payload)
	// Staged references hold the read buffer, not new memory, but they are
	// bounded like the rest: a batch must not outgrow a queue.
	st.encoded += len(m.payload) / 4
	if t.bytes >= st.limit {
		st.encoded = st.limit
	}
}

// toStream stages a message for one of several subscriptions, which are likely
// to share a sid. It returns the frame it used, for the next one to try.
func (st *stage) toStream(res *sublist.Result[*subscription], sub *subscription, m *message, f frame) frame {
	if m.header > 0 && !sub.conn.headers.Load() {
		m = st.withoutHeaders(sub.conn, m)
	}
	if f.sid != sub.sid || f.ck == nil || f.bare != m.bare {
		s := st.stream(res, sub.sid, m.bare)
		if s == nil {
			st.toOne(sub, m)
			return f
		}
		f = st.encode(s, m)
	}
	t := st.target(sub.conn)
	if k := len(t.segs); k > 0 && t.segs[k-1].ck == f.ck && t.segs[k-1].to == f.from {
		t.segs[k-1].to = f.to
		t.bytes += f.to - f.from
	} else {
		st.addFrame(t, m, f)
	}
	t.msgs++
	t.payload += int64(m.size)
	return f
}

// frame is an encoded message in the chunk of a stream.
type frame struct {
	sid      string
	bare     bool
	ck       *chunk
	from, to int
}

// addFrame adds a frame that does not continue the target's last segment.
func (st *stage) addFrame(t *target, m *message, f frame) {
	t.subject = m.subject
	n := f.to - f.from
	if len(t.segs) >= scatter && n < compactBelow {
		ck := t.room(n)
		ck.b = append(ck.b, f.ck.b[f.from:f.to]...)
		t.grown(ck, n)
		st.encoded += n
		return
	}
	f.ck.retain()
	t.segs = append(t.segs, seg{ck: f.ck, from: f.from, to: f.to})
	t.bytes += n
}

// encode appends a message to a stream, once.
func (st *stage) encode(s *stream, m *message) frame {
	if s.mark == st.mark {
		return s.last
	}
	n := frameLen(m, s.sid)
	if s.ck == nil || s.ck.free() < n {
		size := n
		if s.ck != nil {
			size = max(n, min(4*cap(s.ck.b), readSize))
			s.ck.release()
		}
		s.ck = newChunk(max(size, 4<<10))
	}
	from := len(s.ck.b)
	s.ck.b = appendFrame(s.ck.b, m, s.sid)
	st.encoded += n
	s.mark = st.mark
	s.last = frame{sid: s.sid, bare: s.bare, ck: s.ck, from: from, to: len(s.ck.b)}
	return s.last
}

// stream finds the stream of a result, a sid and a form, or starts one. It
// returns nil if the message has too many different sids for that to pay.
func (st *stage) stream(res *sublist.Result[*subscription], sid string, bare bool) *stream {
	if s := &st.streams[st.recent]; s.res == res && s.sid == sid && s.bare == bare {
		return s
	}
	for i := range st.streams {
		if s := &st.streams[i]; s.res == res && s.sid == sid && s.bare == bare {
			st.recent = i
			return s
		}
	}
	if st.sids == maxSids {
		return nil
	}
	st.sids++
	s := &st.streams[st.next]
	st.recent = st.next
	st.next = (st.next + 1) % maxStreams
	if s.ck != nil {
		s.ck.release()
	}
	*s = stream{res: res, sid: sid, bare: bare}
	return s
}

// room returns the target's own chunk with room for n bytes.
func (t *target) room(n int) *chunk {
	if t.own == nil || t.own.free() < n {
		t.headSub = nil
		t.own = newChunk(max(n, min(readSize, max(4<<10, 4*t.bytes))))
	}
	return t.own
}

// grown says that n bytes were appended to ck, the target's own chunk.
func (t *target) grown(ck *chunk, n int) {
	end := len(ck.b)
	t.bytes += n
	if k := len(t.segs); k > 0 && t.segs[k-1].ck == ck && t.segs[k-1].to == end-n {
		t.segs[k-1].to = end
		return
	}
	if end > n { // another segment of the same chunk
		ck.retain()
	}
	t.segs = append(t.segs, seg{ck: ck, from: end - n, to: end})
}

// frameLen is an upper bound of the bytes of a message for a sid.
func frameLen(m *message, sid string) int {
	return len("HMSG ") + len(m.subject) + 1 + len(sid) + 1 + len(m.reply) + 1 + 2*maxSizeDigits + 1 + 2 + len(m.payload)
}

// appendHead appends the control line of a message.
func appendHead(b []byte, m *message, sid string) []byte {
	if m.header > 0 {
		b = append(b, 'H')
	}
	b = append(b, "MSG "...)
	b = append(b, m.subject...)
	b = append(b, ' ')
	b = append(b, sid...)
	b = append(b, ' ')
	if len(m.reply) > 0 {
		b = append(b, m.reply...)
		b = append(b, ' ')
	}
	if m.header > 0 {
		b = strconv.AppendInt(b, int64(m.header), 10)
		b = append(b, ' ')
	}
	b = strconv.AppendInt(b, int64(m.size), 10)
	return append(b, '\r', '\n')
}

// appendFrame appends a whole message.
func appendFrame(b []byte, m *message, sid string) []byte {
	return append(appendHead(b, m, sid), m.payload...)
}

// flush pushes what is staged: to all others first and to the reader's own
// connection last, so that a PONG comes after everything that was published
// before its PING was handed on.
func (st *stage) flush() {
	st.srv.cluster.pushInterest()
	if len(st.targets) == 0 {
		st.leave()
		return
	}
	for i := range st.streams {
		s := &st.streams[i]
		if s.ck != nil {
			s.ck.release()
		}
		*s = stream{}
	}
	st.now = time.Now().UnixNano()
	var own *target
	var msgs, bytes int64
	reached := 0
	for i := range st.targets {
		t := &st.targets[i]
		msgs += t.msgs
		bytes += t.payload
		if t.c == st.from {
			own = t
			continue
		}
		reached++
		st.push(t)
	}
	if own != nil {
		if own.msgs > 0 {
			reached++
		}
		st.push(own)
	}
	st.leave()
	st.srv.counters.out(msgs, bytes)
	for i := range st.targets {
		t := &st.targets[i]
		*t = target{segs: t.segs[:0]}
	}
	st.targets = st.targets[:0]
	st.encoded = 0
	if reached > 0 && len(st.lagging) == reached && st.from.role == roleClient {
		st.hold()
	}
	st.lagging = st.lagging[:0]
}

// push hands one target its batch.
func (st *stage) push(t *target) {
	if len(t.segs) == 0 {
		return
	}
	if t.msgs > 0 {
		t.c.lastActive.Store(st.now)
	}
	if t.c.out.push(t) && t.msgs > 0 {
		st.lagging = append(st.lagging, &t.c.out)
	}
	clear(t.segs) // push took the references over
}

// holdTime is the longest time a publisher is held back at a time.
const holdTime = 100 * time.Millisecond

// maxHold bounds how many targets a held publisher waits on.
const maxHold = 64

// hold waits until one of the targets, all of which lag, has caught up. Once is
// enough while there is room for what the publisher may send next; when all are
// so full that it might cut them, although they read, it waits on, as long as a
// write may take.
func (st *stage) hold() {
	wait := st.lagging[:min(len(st.lagging), maxHold)]
	for held := time.Duration(0); st.holdOnce(wait); {
		held += holdTime
		if held >= st.srv.options().WriteDeadline || st.from.ended() || !allCrowded(wait) {
			return
		}
	}
}

// holdOnce waits for holdTime. It reports false if one of the targets does not
// lag, or stopped lagging meanwhile.
func (st *stage) holdOnce(wait []*outbound) bool {
	select {
	case <-st.relief: // left over from an earlier wait
	default:
	}
	for i, o := range wait {
		if !o.await(st.relief) {
			forgetAll(wait[:i], st.relief)
			return false
		}
	}
	defer forgetAll(wait, st.relief)
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	select {
	case <-st.relief:
		return false
	case <-timer.C:
		return true
	}
}

func forgetAll(wait []*outbound, relief chan<- bool) {
	for _, o := range wait {
		o.forget(relief)
	}
}

func allCrowded(wait []*outbound) bool {
	for _, o := range wait {
		if !o.crowded() {
			return false
		}
	}
	return true
}

// end adds up the batch.
func (st *stage) end() {
	st.flush()
	if st.inMsgs > 0 {
		if st.now == 0 { // nothing was flushed
			st.now = time.Now().UnixNano()
		}
		st.from.counted(st.inMsgs, st.inBytes, st.now)
		st.inMsgs, st.inBytes = 0, 0
	}
	st.from, st.now = nil, 0
	st.op, st.msg, st.bare = op{}, message{}, message{}
}
