package netio

import "slices"

// This file drops messages for a connection that does not read fast enough, instead of
// disconnecting it.

// DropPolicy says what happens when more is to be queued for a connection than may be pending.
type DropPolicy uint8

// The connection is a slow consumer and its owner is told, or it loses messages: those that come,
// or those that have been queued for longest.
const (
	DropNone DropPolicy = iota
	DropNew
	DropOld
)

// textRoom is how many bytes may be pending above the limit if they are no messages, which are never
// dropped.
const textRoom = 256 << 10

// dropShare is the part of what may be pending that a writer takes from a backlog at a time: what it
// has taken cannot be dropped.
const dropShare = 8

// DropUnit returns about how many bytes are dropped at a time of a connection that may have so many
// pending.
func DropUnit(maxPending int64) int64 { return min(maxDropUnit, max(1, maxPending/dropUnits)) }

const (
	maxDropUnit = 32 << 10
	// dropUnits is in how many units at least a connection may have its bytes pending.
	dropUnits = 16
)

// Lost is what a connection has not been sent.
type Lost struct {
	Messages int64
	Payload  int64 // bytes of their payloads
}

func (l *Lost) add(more Lost) {
	l.Messages += more.Messages
	l.Payload += more.Payload
}

// mark is a part of a backlog: whole deliveries of about a [DropUnit], or bytes that must be sent. So
// there are few, however small the deliveries are.
type mark struct {
	bytes     int64
	Lost      // if it is dropped
	droppable bool
}

// makeRoomLocked makes room for a delivery, where messages may be dropped for that. It reports
// whether it has dropped the delivery itself.
func (q *WriteQueue) makeRoomLocked(d *Delivery) (dropped bool) {
	over := q.pending + int64(d.Bytes) - q.lim.MaxPending
	if over <= 0 && !d.TooLarge {
		return false
	}
	if q.lim.Drop == DropOld && !d.TooLarge && q.back != nil {
		over -= q.evictLocked(over, &d.lost)
	}
	if d.Droppable && (over > 0 || d.TooLarge) {
		d.lost.add(Lost{d.Messages, d.Payload})
		q.messages += d.Messages // it was handed to the connection
		q.payload += d.Payload
		d.Drop()
		dropped = true
	}
	if d.lost.Messages > 0 {
		d.firstLost = q.lostLocked(d.lost)
	}
	return dropped
}

// lostLocked counts what was dropped. It reports whether that is the first of this backlog.
func (q *WriteQueue) lostLocked(l Lost) (first bool) {
	q.lost.add(l)
	if q.back != nil {
		first, q.back.lossy = !q.back.lossy, true
	}
	return first
}

// evictLocked drops the oldest messages of the backlog until there are so many bytes less, or none
// that may be dropped. It returns how many bytes it has dropped.
func (q *WriteQueue) evictLocked(need int64, lost *Lost) (freed int64) {
	b := q.back
	b.track()
	before := b.size
	freed = b.evict(need, lost)
	if freed == 0 {
		return 0
	}
	b.bytes -= freed
	b.sample = sample{} // it may have been in what was dropped
	q.pending -= freed
	q.shared.Pending.Add(-freed)
	if k := q.keeper; k != nil {
		k.evicted(k.begun-before, k.begun-b.size, freed)
	}
	return freed
}

// track begins to note where deliveries begin. What is queued already must be sent.
func (b *backlog) track() {
	if b.tracked {
		return
	}
	b.tracked = true
	b.first.push(b.queue...)
	b.queue, b.size = nil, 0
}

func sizeOf(segs []Segment) (n int64) {
	for _, s := range segs {
		n += int64(len(s.Bytes))
	}
	return n
}

// noteQueued notes a delivery that was appended. unit is the [DropUnit].
func (b *backlog) noteQueued(m mark, unit int64) {
	if !b.tracked || m.bytes == 0 {
		return
	}
	if k := len(b.marks); k > 0 && b.marks[k-1].droppable == m.droppable {
		if last := &b.marks[k-1]; !m.droppable || last.bytes+m.bytes <= unit {
			last.bytes += m.bytes
			last.add(m.Lost)
			return
		}
	}
	b.marks = append(b.marks, m)
}

// noteTaken notes that so many bytes were taken from the front. The rest of a delivery of which a
// part was taken must be sent.
func (b *backlog) noteTaken(n int64) {
	if !b.tracked {
		return
	}
	at := 0
	for at < len(b.marks) && b.marks[at].bytes <= n {
		n -= b.marks[at].bytes
		at++
	}
	b.marks = b.marks[at:]
	if n == 0 {
		return
	}
	m := &b.marks[0]
	if m.bytes -= n; m.droppable {
		segs, _ := b.segmentQueue.take(nil, int(m.bytes))
		b.first.push(segs...)
		b.marks = b.marks[1:]
	}
}

// evict drops the oldest droppable deliveries until need bytes are dropped, or all of them. What lies
// between them and must be sent stays in its order.
func (b *backlog) evict(need int64, lost *Lost) (freed int64) {
	last := 0
	for last < len(b.marks) && freed < need {
		if m := b.marks[last]; m.droppable {
			freed += m.bytes
			lost.add(m.Lost)
		}
		last++
	}
	if freed == 0 {
		return 0
	}
	for _, m := range b.marks[:last] {
		var memory [4]Segment
		part, _ := b.segmentQueue.take(memory[:0], int(m.bytes))
		for _, s := range part {
			if !m.droppable {
				b.first.add(s) // a copy, if it is short: a few bytes must not hold all that is dropped around them
			}
			s.Chunk.Release()
		}
	}
	b.marks = b.marks[last:]
	return freed
}

// evicted notes that of what was queued from one position to another so many bytes were dropped, and
// that the rest of it, which begins in front, has no positions any more. Those before it are moved, as
// they are few.
func (k *keeper) evicted(from, to, dropped int64) {
	n, _ := slices.BinarySearch(k.starts, from+1)
	behind, _ := slices.BinarySearch(k.starts, to)
	for i := range n {
		k.starts[i] += dropped
	}
	if n > 0 && behind < len(k.starts) && k.starts[behind]-k.starts[n-1] < startInterval {
		behind++
	}
	copy(k.starts[behind-n:behind], k.starts[:n])
	k.starts = k.starts[behind-n:]
	k.written += dropped
}
