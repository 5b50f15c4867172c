package netio

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

// makeRoomLocked makes room for a delivery, where messages may be dropped for that. It reports
// whether it has dropped the delivery itself.
func (q *WriteQueue) makeRoomLocked(d *Delivery) (dropped bool) {
	over := q.pending + int64(d.Bytes) - q.lim.MaxPending
	if over <= 0 && !d.TooLarge {
		return false
	}
	if q.lim.Drop == DropOld && !d.TooLarge && q.back != nil {
		freed := q.back.evict(q.partsLocked(), over, &d.lost, DropUnit(q.lim.MaxPending))
		over -= freed
		q.pending -= freed
		q.total -= freed
		q.shared.Pending.Add(-freed)
	}
	if d.Droppable && (over > 0 || d.TooLarge) {
		d.lost.add(Lost{d.Messages, d.Payload})
		q.messages += d.Messages // it was handed to the connection
		q.payload += d.Payload
		q.total -= int64(d.Bytes)
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

// evict drops the oldest droppable parts until need bytes are dropped, or all of them. What lies between
// them and must be sent stays in its order, in units at most. What precedes them was being written, or
// it is not known where its deliveries begin: it must be sent, too.
func (b *backlog) evict(p *parts, need int64, lost *Lost, unit int64) (freed int64) {
	begin, before := 0, b.size-p.size // the first part that waits as a whole, and what waits before it
	for ; before < 0; begin++ {
		before += p.list[begin].bytes
	}
	var memory [4]Segment
	segs, _ := b.segmentQueue.take(memory[:0], int(before))
	b.first.addOwn(segs...)
	stay, end := parts{list: p.list[:begin]}, begin
	for ; end < len(p.list) && freed < need; end++ {
		m := p.list[end]
		segs, _ = b.segmentQueue.take(segs[:0], int(m.bytes))
		if m.droppable {
			freed += m.bytes
			lost.add(m.Lost)
		} else {
			stay.add(m, b.first.size, unit)
			for _, s := range segs {
				b.first.add(s) // a copy, if it is short: a few bytes must not hold all that is dropped around them
			}
		}
		releaseAll(segs)
	}
	p.list = p.list[end-len(stay.list):] // the rest is not moved
	copy(p.list, stay.list)
	p.size -= freed
	b.bytes -= freed
	if freed > 0 {
		b.sample = sample{} // it may have been in what was dropped
	}
	return freed
}

func sizeOf(segs []Segment) (n int64) {
	for _, s := range segs {
		n += int64(len(s.Bytes))
	}
	return n
}
