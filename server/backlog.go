package server

import "time"

// backlog is what waits for a socket that does not take everything at once,
// and who waits for it to get shorter. It exists only while there is such a
// thing, and is guarded by the mutex of the outbound it belongs to.
type backlog struct {
	queue  []seg
	fill   *chunk // the backlog's own, to copy short segments to; nil = none yet
	bytes  int64  // in queue, or taken from it and not yet written
	top    topSubject
	since  time.Time // when it began
	moved  time.Time // when bytes of it were written last, or it began
	sample sample
	relief []chan<- bool // publishers who wait until it is short
}

// sample is a place in a backlog. How long the bytes before it take is measured.
type sample struct {
	born int64 // UnixNano of the moment they were read; 0 = there is no sample
	left int64 // bytes up to it
}

// follow makes a sample of bytes that were read at born, if that is not 0 and
// there is none yet. They end after the first left bytes of the backlog.
func (b *backlog) follow(born, left int64) {
	if born != 0 && b.sample.born == 0 {
		b.sample = sample{born: born, left: left}
	}
}

// sent says that n bytes of the backlog were written. When they reach the
// sample it ends, and sent returns when its bytes were read, else 0.
func (s *sample) sent(n int64) (born int64) {
	if s.left -= n; s.left > 0 {
		return 0
	}
	born = s.born
	*s = sample{}
	return born
}

// add queues a segment: it keeps the chunk, or copies the bytes exactly.
func (b *backlog) add(s seg) {
	if s.worthKeeping() {
		s.ck.retain()
		b.queue = append(b.queue, s)
		return
	}
	for text := s.b; len(text) > 0; {
		tail := b.tail(len(text))
		k := min(len(text), b.fill.free())
		b.fill.b = append(b.fill.b, text[:k]...)
		tail.b = tail.b[:len(tail.b)+k]
		text = text[k:]
	}
}

// tail returns a last segment that ends where the free part of fill begins.
func (b *backlog) tail(want int) *seg {
	if b.fill == nil || b.fill.free() == 0 {
		b.dropFill()
		b.fill = newChunk(min(readSize, max(want, int(min(b.bytes, readSize)))))
	}
	at := len(b.fill.b)
	if k := len(b.queue); k > 0 && b.queue[k-1].ck == b.fill {
		return &b.queue[k-1] // nothing was queued since, so it ends there
	}
	b.fill.retain()
	b.queue = append(b.queue, seg{b: b.fill.mem[at:at], ck: b.fill})
	return &b.queue[len(b.queue)-1]
}

// kept returns segments as a queue holds them: with references of their own, or copied.
func kept(segs []seg) []seg {
	var b backlog
	for _, s := range segs {
		b.bytes += int64(len(s.b))
	}
	for _, s := range segs {
		b.add(s)
	}
	b.dropFill()
	return b.queue
}

// dropFill gives up the chunk that short segments are copied to.
func (b *backlog) dropFill() {
	if b.fill != nil {
		b.fill.release()
		b.fill = nil
	}
}

// end gives up what only a living backlog needs.
func (b *backlog) end() {
	b.dropFill()
	b.relieve()
}

// take takes about limit bytes from the front, at least one segment.
func (b *backlog) take(limit int) (segs []seg, bytes int) {
	n := 0
	for n < len(b.queue) && (n == 0 || bytes+len(b.queue[n].b) <= limit) {
		bytes += len(b.queue[n].b)
		n++
	}
	segs = append(segs, b.queue[:n]...)
	k := copy(b.queue, b.queue[n:])
	clear(b.queue[k:])
	b.queue = b.queue[:k]
	return segs, bytes
}

// relieve lets held publishers go on.
func (b *backlog) relieve() {
	for _, ch := range b.relief {
		select {
		case ch <- true:
		default: // it has been told
		}
	}
	b.relief = nil
}

// forget takes back the wish of one publisher to be told.
func (b *backlog) forget(ch chan<- bool) {
	for i, have := range b.relief {
		if have == ch {
			b.relief = append(b.relief[:i], b.relief[i+1:]...)
			return
		}
	}
}

// topSubject finds, in one pass and constant memory, the subject that most of
// the queued bytes were published on, if there is one (a majority vote weighted
// by bytes).
type topSubject struct {
	subject []byte
	weight  int64
}

// maxTopSubject bounds how much of a subject is remembered.
const maxTopSubject = 256

func (t *topSubject) add(subject []byte, n int64) {
	if len(subject) == 0 {
		return
	}
	subject = subject[:min(len(subject), maxTopSubject)]
	switch {
	case string(t.subject) == string(subject):
		t.weight += n
	case t.weight < n:
		t.subject = append(t.subject[:0], subject...)
		t.weight = n - t.weight
	default:
		t.weight -= n
	}
}

// dropSent releases the segments that lie in the first n bytes and cuts the
// one that is partly sent.
func dropSent(segs []seg, n int) []seg {
	for len(segs) > 0 && n >= len(segs[0].b) {
		n -= len(segs[0].b)
		segs[0].ck.release()
		segs = segs[1:]
	}
	if n > 0 {
		segs[0].b = segs[0].b[n:]
	}
	return segs
}

// skip returns the segments without their first n bytes. Segments are copied
// before they are cut: the caller still owns the originals.
func skip(segs []seg, n int) []seg {
	for len(segs) > 0 && n >= len(segs[0].b) {
		n -= len(segs[0].b)
		segs = segs[1:]
	}
	if n > 0 {
		segs = append([]seg(nil), segs...)
		segs[0].b = segs[0].b[n:]
	}
	return segs
}

func releaseAll(segs []seg) {
	for _, s := range segs {
		s.ck.release()
	}
}
