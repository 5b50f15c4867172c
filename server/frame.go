package server

import (
	"strconv"

	"gnatsd/sublist"
)

// This file encodes messages into what a batch stages: once for each target, or
// once for all that get the same bytes, and large payloads not at all.

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

// frame is an encoded message in the chunk of a stream.
type frame struct {
	sid      string
	bare     bool
	ck       *chunk
	from, to int
}

const (
	// maxStreams is how many streams a batch has at a time, and maxSids for how
	// many sids of one message there may be new ones.
	maxStreams = 16
	maxSids    = 8
	// refPayload is the payload size from which a message is not copied but
	// referred to where it was read.
	refPayload = 8 << 10
	// scatter is how many segments a target may have before short messages are
	// copied together instead of adding another.
	scatter = 32
)

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
