package netio

import (
	"slices"
	"sync"
	"time"
)

// backlog is what waits for a socket that does not take everything at once. It exists only while
// there is such a thing, and is guarded by the mutex of the queue it belongs to.
type backlog struct {
	first        segmentQueue // precedes the rest, and must be sent even if messages may be dropped
	segmentQueue              // the rest

	bytes  int64 // in both, or taken from them and not yet written
	top    topSubject
	since  time.Time // when it began
	sample sample
	then   Link  // that what follows the next until bytes is written to; nil = the same
	until  int64 // if messages may be dropped there is no such link
	lossy  bool  // messages have been dropped
}

// backlogs are kept: under overload there are many, and each is over soon.
var backlogs = sync.Pool{New: func() any { return new(backlog) }}

// reset gives up an empty backlog.
func (b *backlog) reset() {
	*b = backlog{top: topSubject{subject: b.top.subject[:0]}}
	backlogs.Put(b)
}

// segmentQueue is segments in order, with references of its own. What is added and taken is moved, the
// rest stays where it is.
type segmentQueue struct {
	queue  []Segment
	size   int64  // bytes in queue
	fill   *Chunk // the queue's own, to copy short segments to; nil = none yet
	coming int    // bytes that are about to be copied; 0 if that is not known
}

// sample is a place in a backlog. How long the bytes before it take is measured.
type sample struct {
	readAt int64 // UnixNano of the moment they were read; 0 = there is no sample
	left   int64 // bytes up to it
}

// follow makes a delivery that ends after the first left bytes of the backlog a sample, if it is one and
// there is none yet, and notes the link that follows it.
func (b *backlog) follow(d *Delivery, left int64) {
	if d.ReadAt != 0 && b.sample.readAt == 0 {
		b.sample = sample{readAt: d.ReadAt, left: left}
	}
	if d.Then != nil {
		b.then, b.until = d.Then, left
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
func (q *segmentQueue) add(s Segment) {
	if s.worthKeeping() {
		s.Chunk.retain()
		q.addOwn(s)
		return
	}
	for text := s.Bytes; len(text) > 0; {
		tail := q.tail(max(len(text), q.coming))
		k := min(len(text), q.fill.free())
		q.coming = max(0, q.coming-k)
		q.fill.buf = append(q.fill.buf, text[:k]...)
		tail.Bytes = tail.Bytes[:len(tail.Bytes)+k]
		q.size += int64(k)
		text = text[k:]
	}
}

// tail returns a last segment that ends where the free part of fill begins.
func (q *segmentQueue) tail(want int) *Segment {
	if q.fill == nil || q.fill.free() == 0 {
		q.dropFill()
		size := q.size
		if q.coming > 0 {
			size = 0 // no more is copied then
		}
		q.fill = NewChunk(fillSize(want, size))
	}
	at := len(q.fill.buf)
	if k := len(q.queue); k > 0 && q.queue[k-1].Chunk == q.fill {
		return &q.queue[k-1] // nothing was queued since, so it ends there
	}
	q.fill.retain()
	q.queue = append(q.queue, Segment{Bytes: q.fill.mem[at:at], Chunk: q.fill})
	return &q.queue[len(q.queue)-1]
}

// addOwn queues segments, and takes over their references.
func (q *segmentQueue) addOwn(segs ...Segment) {
	q.queue = append(q.queue, segs...)
	q.size += sizeOf(segs)
}

// addDelivery queues the segments of a delivery.
func (q *segmentQueue) addDelivery(d *Delivery) {
	if d.own {
		q.addOwn(d.Segments...)
		return
	}
	for _, s := range d.Segments {
		q.add(s)
	}
}

// putBack is addOwn, in front of all others.
func (q *segmentQueue) putBack(segs []Segment) {
	if len(segs) == 0 {
		return
	}
	q.queue = append(segs[:len(segs):len(segs)], q.queue...)
	q.size += sizeOf(segs)
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
	var q segmentQueue
	for _, s := range segs {
		if !s.worthKeeping() {
			q.coming += len(s.Bytes)
		}
	}
	for _, s := range segs {
		q.add(s)
	}
	q.dropFill()
	return q.queue
}

// dropFill gives up the chunk that short segments are copied to.
func (q *segmentQueue) dropFill() {
	if q.fill != nil {
		q.fill.Release()
		q.fill = nil
	}
}

// take moves limit bytes from the front, or all there are, to the end of segs.
func (q *segmentQueue) take(segs []Segment, limit int) (_ []Segment, bytes int) {
	front, rest := cut(q.queue, limit)
	segs, bytes = append(segs, front...), int(sizeOf(front))
	clear(q.queue[:len(q.queue)-len(rest)]) // or it would hold the chunks
	q.queue, q.size = rest, q.size-int64(bytes)
	return segs, bytes
}

// drop gives up the first n bytes.
func (q *segmentQueue) drop(n int64) {
	var memory [4]Segment
	segs, _ := q.take(memory[:0], int(n))
	releaseAll(segs)
}

// take takes limit bytes from the front, or all there are.
func (b *backlog) take(limit int) []Segment {
	segs, n := b.first.take(nil, limit)
	segs, _ = b.segmentQueue.take(segs, limit-n)
	return segs
}

// all returns everything that is queued. The backlog is not used any more.
func (b *backlog) all() []Segment {
	b.dropFill()
	b.first.dropFill()
	return append(b.first.queue, b.queue...)
}

func (b *backlog) empty() bool { return b.first.size+b.size == 0 }

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
