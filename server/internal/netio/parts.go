package netio

// part is deliveries that were pushed one after the other, each of them as a whole: about a [DropUnit],
// so that there are few parts, however small the deliveries are.
type part struct {
	bytes     int64
	Lost      // if it is dropped
	droppable bool
}

// parts say where the last bytes that were pushed can be divided. The first part may have been written
// to some extent. What was pushed before it has been written, or it is not known where its deliveries
// begin. Guarded by WriteQueue.mu.
type parts struct {
	list []part
	size int64 // bytes in list
}

// add notes a delivery, or several. It becomes a part of the last one, if that is among the last waiting
// bytes as a whole, and both together are not more than a unit.
func (p *parts) add(m part, waiting, unit int64) {
	p.size += m.bytes
	if k := len(p.list); k > 0 {
		last := &p.list[k-1]
		if last.droppable == m.droppable && last.bytes <= waiting && last.bytes+m.bytes <= unit {
			last.bytes += m.bytes
			last.add(m.Lost)
			return
		}
	}
	p.list = append(p.list, m)
}

// trim forgets what has been written: everything but the last left bytes, and the part in which these
// begin.
func (p *parts) trim(left int64) {
	n := 0
	for n < len(p.list) && p.size-p.list[n].bytes >= left {
		p.size -= p.list[n].bytes
		n++
	}
	if n == len(p.list) {
		p.list = p.list[:0] // mostly there are few, and soon more
		return
	}
	p.list = p.list[n:]
}

// partsLocked returns the parts, which begin if there are none.
func (q *WriteQueue) partsLocked() *parts {
	if q.parts == nil {
		q.parts = new(parts)
	}
	return q.parts
}

// noteLocked notes a delivery that was pushed, behind waiting bytes, if it matters where it begins.
func (q *WriteQueue) noteLocked(d *Delivery, waiting int64) {
	if q.keeper == nil && q.lim.Drop != DropOld {
		q.parts = nil
		return
	}
	q.partsLocked().add(part{int64(d.Bytes), Lost{d.Messages, d.Payload}, d.Droppable}, waiting, DropUnit(q.lim.MaxPending))
}

// unwrittenLocked returns how many bytes have been pushed and not been written, or set aside for Leave.
func (q *WriteQueue) unwrittenLocked() int64 {
	n := q.pending - q.reserved
	if k := q.keeper; k != nil {
		n += k.rest.size
	}
	return n
}

// trimLocked forgets what has been written, up to the part that is being written.
func (q *WriteQueue) trimLocked() {
	if q.parts == nil {
		return
	}
	left := q.unwrittenLocked()
	q.parts.trim(left)
	if k := q.keeper; k != nil {
		k.past.drop(k.past.size - max(0, q.parts.size-left))
	}
}
