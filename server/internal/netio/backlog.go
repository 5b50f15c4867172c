package netio

import (
	"slices"
	"time"
)

// backlog is what waits for a socket that does not take everything at once. It exists only while
// there is such a thing, and is guarded by the mutex of the queue it belongs to.
type backlog struct {
	queue  []Segment
	fill   *Chunk // the backlog's own, to copy short segments to; nil = none yet
	coming int    // bytes that are about to be copied; 0 if that is not known
	bytes  int64  // in queue, or taken from it and not yet written
	top    topSubject
	since  time.Time // when it began
	moved  time.Time // when bytes of it were written last, or it began
	sample sample

	// Only if messages may be dropped.
	tracked bool   // marks is kept
	marks   []mark // all of queue, in order
	lossy   bool   // messages have been dropped
}

// sample is a place in a backlog. How long the bytes before it take is measured.
type sample struct {
	readAt int64 // UnixNano of the moment they were read; 0 = there is no sample
	left   int64 // bytes up to it
}

// follow makes a sample of bytes that were read at readAt, if that is not 0 and there is no sample
// yet. They end after the first left bytes of the backlog.
func (b *backlog) follow(readAt, left int64) {
	if readAt != 0 && b.sample.readAt == 0 {
		b.sample = sample{readAt: readAt, left: left}
	}
}

// sent notes that n bytes of the backlog were written. When they reach the sample it ends, and sent
// returns when its bytes were read, else 0.
func (s *sample) sent(n int64) (readAt int64) {
	if s.left -= n; s.left > 0 {
		return 0
	}
	readAt = s.readAt
	*s = sample{}
	return readAt
}

// add queues a segment: it keeps the chunk, or copies the bytes exactly.
func (b *backlog) add(s Segment) {
	if s.worthKeeping() {
		s.Chunk.retain()
		b.queue = append(b.queue, s)
		return
	}
	for text := s.Bytes; len(text) > 0; {
		tail := b.tail(max(len(text), b.coming))
		k := min(len(text), b.fill.free())
		b.coming = max(0, b.coming-k)
		b.fill.buf = append(b.fill.buf, text[:k]...)
		tail.Bytes = tail.Bytes[:len(tail.Bytes)+k]
		text = text[k:]
	}
}

// tail returns a last segment that ends where the free part of fill begins.
func (b *backlog) tail(want int) *Segment {
	if b.fill == nil || b.fill.free() == 0 {
		b.dropFill()
		b.fill = NewChunk(fillSize(want, b.bytes))
	}
	at := len(b.fill.buf)
	if k := len(b.queue); k > 0 && b.queue[k-1].Chunk == b.fill {
		return &b.queue[k-1] // nothing was queued since, so it ends there
	}
	b.fill.retain()
	b.queue = append(b.queue, Segment{Bytes: b.fill.mem[at:at], Chunk: b.fill})
	return &b.queue[len(b.queue)-1]
}

// fillSize returns the size of a chunk for want bytes in a backlog that has so many already: at most
// half as much memory is taken as there are bytes. So that short pushes share a chunk it has room
// for a fourth of the backlog, and what would leave a third of it empty gets two chunks.
func fillSize(want int, bytes int64) int {
	size := min(ReadSize, max(want, int(min(bytes/4, ReadSize))))
	at, _ := slices.BinarySearch(chunkSizes[:], size)
	if at > 0 && 3*size < 2*chunkSizes[at] {
		at--
	}
	return chunkSizes[at]
}

// kept returns segments as a queue holds them: with references of their own, or copied.
func kept(segs []Segment) []Segment {
	var b backlog
	for _, s := range segs {
		if !s.worthKeeping() {
			b.coming += len(s.Bytes)
		}
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
		b.fill.Release()
		b.fill = nil
	}
}

// take takes limit bytes from the front, or all there are.
func (b *backlog) take(limit int) []Segment {
	front, rest := cut(b.queue, limit)
	segs := slices.Clone(front)
	b.queue = slices.Delete(b.queue, 0, len(b.queue)-len(rest))
	b.noteTaken(sizeOf(segs))
	return segs
}

// putBack puts segments that were taken back to the front.
func (b *backlog) putBack(segs []Segment) {
	b.notePutBack(sizeOf(segs))
	b.queue = slices.Insert(b.queue, 0, segs...) // where they were: nothing is allocated
}

// topSubject finds, in one pass and constant memory, the subject that most of the queued bytes were
// published on, if there is one: Boyer–Moore majority vote, weighted by bytes.
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
